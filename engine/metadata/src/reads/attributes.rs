//! What an inode itself tells: attributes, a link's target, a directory's parent.

use crate::inode;
use crate::keys::Key;
use crate::ops::trash;
use crate::records::{damaged, decode_content};
use crate::{MetaResult, Metadata};
use shoal_types::{Attributes, Errno, FileKind, Ino};

impl Metadata {
    /// Also of an inode that has no name any more, as long as it is there.
    pub fn get_attributes(&self, ino: Ino) -> MetaResult<Attributes> {
        self.at_snapshot(|reader| Ok(inode::load(reader, ino)?.attributes()))
    }

    /// `EINVAL` for anything but a symlink.
    pub fn read_link(&self, ino: Ino) -> MetaResult<Vec<u8>> {
        self.at_snapshot(|reader| {
            // The target first: where there is one, nothing else needs to be known.
            if let Some(target) = reader.get(&Key::Target(ino).encode())? {
                return Ok(decode_content(target)?);
            }
            match inode::identity(reader, ino)?.kind {
                FileKind::Symlink => Err(damaged("a symlink", format!("inode {ino} has no target")).into()),
                _ => Err(Errno::EINVAL.into()),
            }
        })
    }

    /// Of a directory (`ENOTDIR`); the root is its own. `ENOENT` for a directory that has been removed.
    pub fn get_parent(&self, ino: Ino) -> MetaResult<Ino> {
        self.at_snapshot(|reader| {
            let identity = inode::identity(reader, ino)?;
            if !identity.is_directory() {
                return Err(Errno::ENOTDIR.into());
            }
            match trash::has_name(&identity) {
                true => Ok(identity.parent),
                false => Err(Errno::ENOENT.into()),
            }
        })
    }
}
