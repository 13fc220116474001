//! A directory's attributes after a change of its entries, without asking the store.
//!
//! Every change of an entry changes the counts and times of its directory, and the kernel asks for them right afterwards.
//! They follow from those before it: if these were known, and nobody else has touched the directory meanwhile, as its
//! stamp and the foreign epoch tell, then so are those after it.

use crate::name_cache::Seen;
use crate::shard::Shard;
use shoal_types::{Attributes, FileKind, Ino, Timestamp};

/// What happens to one entry of a directory.
#[derive(Clone, Copy)]
pub(super) enum EntryChange {
    Made(FileKind),
    Removed(FileKind),
}

/// A directory's attributes before a change, if they are known, and the world they belong to.
pub(super) struct DirectoryBefore {
    attributes: Option<Attributes>,
    seen: Seen,
}

impl Shard {
    pub(super) fn directory_before(&self, directory: Ino) -> DirectoryBefore {
        let seen = self.see_attributes(directory);
        DirectoryBefore { attributes: self.shared.names.attributes(directory, seen), seen }
    }

    /// After the one change, made at `now`.
    pub(super) fn put_directory_after(&self, before: DirectoryBefore, change: EntryChange, now: Timestamp) {
        let DirectoryBefore { attributes: Some(attributes), seen } = before else { return };
        let after = self.see_attributes(attributes.ino);
        if after.epoch == seen.epoch
            && after.stamp == seen.stamp + 1
            && let Some(attributes) = changed(attributes, change, now)
        {
            self.shared.names.put_attributes(&attributes, after);
        }
    }
}

/// `None` where the modification time lies in the future: whether it stays depends on who has set it.
fn changed(mut attributes: Attributes, change: EntryChange, now: Timestamp) -> Option<Attributes> {
    if attributes.kind != FileKind::Directory || attributes.mtime > now {
        return None;
    }
    let one = |kind| u32::from(kind == FileKind::Directory);
    (attributes.length, attributes.nlink) = match change {
        EntryChange::Made(kind) => (attributes.length + 1, attributes.nlink.checked_add(one(kind))?),
        EntryChange::Removed(kind) => (attributes.length.checked_sub(1)?, attributes.nlink.checked_sub(one(kind))?),
    };
    attributes.mtime = now;
    attributes.ctime = attributes.ctime.max(now);
    Some(attributes)
}
