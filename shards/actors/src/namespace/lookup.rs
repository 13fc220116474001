//! From a name to its inode.

use crate::name_cache::{Entry, Seen};
use crate::shard::Shard;
use shoal_metadata::TrashName;
use shoal_types::{Attributes, Errno, FileKind, FsResult, Ino, InodeFlags, Name};
use std::rc::Rc;

/// The state of the world before a read that will tell attributes of inodes not known yet.
#[derive(Clone, Copy)]
pub(super) struct Before {
    changes: u64,
    epoch: Option<u64>,
}

impl Shard {
    pub async fn lookup(self: &Rc<Self>, parent: Ino, name: &Name) -> FsResult<Attributes> {
        if parent == Ino::ROOT && TrashName::is_of_all(name) {
            // No entry leads to it, so that it's not listed.
            match self.get_attributes(Ino::TRASH).await {
                Err(Errno::ENOENT) => {}
                found => return found,
            }
        }
        let seen = self.see_entry(parent, name);
        match self.shared.names.entry(parent, name, seen) {
            // What is missing as of the last word from others may be there by now, and whoever made it says so.
            Some(Entry::Missing) if self.shared.exact_epoch().is_some() => return Err(Errno::ENOENT),
            Some(Entry::Missing) => {}
            Some(Entry::Inode(ino)) => match self.get_attributes(ino).await {
                // Removed since; the store knows what the name stands for now.
                Err(Errno::ENOENT) => {}
                Ok(attributes) if has_lost_its_name(&attributes) => {}
                found => return found,
            },
            None if self.shared.whole.excludes(parent, name, self.shared.exact_epoch()) => return Err(Errno::ENOENT),
            None => {}
        }
        let before = self.before();
        let wanted = name.clone();
        let found = self.read_metadata(move |metadata| metadata.find_entry(parent, &wanted)).await?;
        let Some(attributes) = found else {
            self.require_directory(parent).await?;
            self.shared.names.put_entry(parent, name, Entry::Missing, seen);
            return Err(Errno::ENOENT);
        };
        self.shared.names.put_entry(parent, name, Entry::Inode(attributes.ino), seen);
        match self.complete(before, attributes) {
            Ok(attributes) => Ok(attributes),
            Err(ino) => self.get_attributes(ino).await,
        }
    }

    /// `ENOTDIR` for anything else that exists.
    async fn require_directory(self: &Rc<Self>, ino: Ino) -> FsResult<()> {
        let kind = match self.shared.names.kind(ino) {
            Some(kind) => kind,
            None => self.get_attributes(ino).await?.kind,
        };
        if kind == FileKind::Directory { Ok(()) } else { Err(Errno::ENOTDIR) }
    }

    pub(super) fn before(&self) -> Before {
        Before { changes: self.shared.stamps.changes(), epoch: self.shared.cache_epoch() }
    }

    /// Caches attributes read after `before`, and adds what is buffered. Gives the inode back if this mount has changed
    /// anything since: then they may be older than what was buffered and is so no more, and have to be read again.
    pub(super) fn complete(&self, before: Before, mut attributes: Attributes) -> Result<Attributes, Ino> {
        let stamp = self.shared.stamps.of_attributes(attributes.ino);
        let pending = self.shared.open_files.get(attributes.ino).and_then(|file| file.pending());
        // Looked at last: a commit raises it first, then the stamp, and only then takes back what was pending.
        if self.shared.stamps.changes() != before.changes {
            return Err(attributes.ino);
        }
        self.shared.names.put_attributes(&attributes, Seen { stamp, epoch: before.epoch });
        if let Some(pending) = pending {
            pending.overlay(&mut attributes);
        }
        self.shared.accesses.overlay(&mut attributes);
        Ok(attributes)
    }
}

/// No name outside of the trash leads to it.
pub(super) fn has_lost_its_name(attributes: &Attributes) -> bool {
    attributes.nlink == 0 || attributes.flags.has(InodeFlags::TRASHED)
}
