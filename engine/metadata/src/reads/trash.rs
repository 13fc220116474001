//! What is in the trash, and where it comes from.

use crate::inode;
use crate::keys::{self, Key};
use crate::ops::trash;
use crate::records::decode_origin;
use crate::{MetaResult, Metadata, TrashName};
use shoal_kv::Direction;
use shoal_types::{Errno, Ino, InodeFlags, Name, Timestamp};

impl Metadata {
    /// Something came into the trash in an hour that had ended by then.
    pub fn trash_is_due(&self, before: Timestamp) -> MetaResult<bool> {
        let hours = keys::inodes_from(Ino(Ino::TRASH.0 + 1));
        let first = self.at_snapshot(|reader| Ok(reader.scan(&hours, 1, Direction::Forward)?.pop()))?;
        Ok(first.and_then(|(key, _)| keys::inode_of(&key)).is_some_and(|hour| hour < trash::hour_at(before)))
    }

    /// The directory that something was removed from, and the name it had there. `ENOENT` for what the trash does not have
    /// or does not call so.
    pub fn trash_origin(&self, ino: Ino, in_trash: &Name) -> MetaResult<(Ino, Name)> {
        self.at_snapshot(|reader| {
            if !inode::identity(reader, ino)?.flags.has(InodeFlags::TRASHED) {
                return Err(Errno::ENOENT.into());
            }
            if let Some(origin) = reader.get(&Key::Origin(ino).encode())? {
                return Ok(decode_origin(&origin)?);
            }
            match TrashName::parse(in_trash) {
                Some((from, named, name)) if named == ino => Ok((from, name)),
                _ => Err(Errno::ENOENT.into()),
            }
        })
    }
}
