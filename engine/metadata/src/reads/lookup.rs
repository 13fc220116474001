//! What a name stands for.

use crate::inode::{self, Inode};
use crate::keys::Key;
use crate::records::{Dirent, damaged};
use crate::{MetaError, MetaResult, Metadata};
use shoal_types::{Attributes, Errno, Ino, Name};

impl Metadata {
    /// `ENOENT`, or `ENOTDIR` where the parent is no directory.
    pub fn lookup(&self, parent: Ino, name: &Name) -> MetaResult<Attributes> {
        self.at_snapshot(|reader| {
            let Some(bytes) = reader.get(&Key::dirent(parent, name).encode())? else {
                // Only where there is no such entry does it matter what the parent is.
                return Err(match inode::identity(reader, parent)?.is_directory() {
                    true => Errno::ENOENT.into(),
                    false => Errno::ENOTDIR.into(),
                });
            };
            let ino = Dirent::decode(&bytes)?.ino;
            match inode::load(reader, ino) {
                Err(MetaError::Refused(Errno::ENOENT)) => Err(dangling(parent, name.as_bytes(), ino)),
                other => other.map(|inode: Inode| inode.attributes()),
            }
        })
    }
}

/// An entry and its inode come and go in one transaction, so at one snapshot both are there.
fn dangling(parent: Ino, name: &[u8], ino: Ino) -> MetaError {
    let why =
        format!("{} in directory {parent} names inode {ino}, which does not exist; see fsck", name.escape_ascii());
    damaged("a directory entry", why).into()
}
