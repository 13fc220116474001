//! What a name stands for.

use crate::inode::{self, Inode};
use crate::keys::Key;
use crate::records::{Dirent, damaged};
use crate::{MetaError, MetaResult, Metadata};
use shoal_kv::Reader;
use shoal_types::{Attributes, Errno, Ino, Name};

impl Metadata {
    /// `ENOENT`, or `ENOTDIR` where the parent is no directory.
    pub fn lookup(&self, parent: Ino, name: &Name) -> MetaResult<Attributes> {
        self.at_snapshot(|reader| {
            // Only where there is no such entry does it matter what the parent is.
            find(reader, parent, name)?.map_or_else(
                || match inode::identity(reader, parent)?.is_directory() {
                    true => Err(Errno::ENOENT.into()),
                    false => Err(Errno::ENOTDIR.into()),
                },
                Ok,
            )
        })
    }

    /// As `lookup`, for a caller who knows what the parent is: one read less where there is no such name.
    pub fn find_entry(&self, parent: Ino, name: &Name) -> MetaResult<Option<Attributes>> {
        self.at_snapshot(|reader| find(reader, parent, name))
    }
}

fn find(reader: &mut dyn Reader, parent: Ino, name: &Name) -> MetaResult<Option<Attributes>> {
    let Some(bytes) = reader.get(&Key::dirent(parent, name).encode())? else { return Ok(None) };
    let ino = Dirent::decode(&bytes)?.ino;
    match inode::load(reader, ino) {
        Err(MetaError::Refused(Errno::ENOENT)) => Err(dangling(parent, name.as_bytes(), ino)),
        other => other.map(|inode: Inode| Some(inode.attributes())),
    }
}

/// An entry and its inode come and go in one transaction, so at one snapshot both are there.
fn dangling(parent: Ino, name: &[u8], ino: Ino) -> MetaError {
    let why =
        format!("{} in directory {parent} names inode {ino}, which does not exist; see fsck", name.escape_ascii());
    damaged("a directory entry", why).into()
}
