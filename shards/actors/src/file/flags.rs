//! Setting an inode's flags: what has been written before is stored first, and an immutable file takes no more.

use super::FileState;
use super::lifecycle::InUse;
use crate::Shard;
use shoal_metadata::SetFlags;
use shoal_types::{Attributes, Errno, FsResult, InodeFlags};
use std::rc::Rc;

impl Shard {
    pub(crate) async fn set_flags_owned(self: &Rc<Self>, operation: SetFlags) -> FsResult<Attributes> {
        let ino = operation.ino;
        let loaded = || self.files.borrow().get(&ino).map(|file| InUse::new(self, file));
        let Some(file) = loaded() else {
            let attributes = self.change_flags(operation).await?;
            // As after a truncation: somebody may be about to load what was there before.
            self.revalidations.set(self.revalidations.get() + 1);
            if let Some(file) = loaded() {
                self.reload(&file).await?;
            }
            return Ok(attributes);
        };
        // From here on, or a write could be let in between the last commit and the flag.
        file.freezing.set(operation.flags.only(operation.decided).has(InodeFlags::IMMUTABLE));
        // No byte changes.
        let changed = self.change_stored(&file, 0..0, self.change_flags(operation)).await;
        file.freezing.set(false);
        changed
    }

    /// What has been written to a file with the flag for it is durable when this returns.
    pub(super) async fn sync_if_flagged(self: &Rc<Self>, file: &FileState) -> FsResult<()> {
        let flagged = file.content.borrow().flags.has(InodeFlags::SYNC);
        if flagged { self.fsync_owned(file.ino).await } else { Ok(()) }
    }

    /// Looks again at the flags of a file that has some which forbid writes: another mount may have taken them off.
    pub(super) async fn refresh_protection(self: &Rc<Self>, file: &FileState) -> FsResult<()> {
        let protected = file.content.borrow().flags.any(InodeFlags::PROTECTION);
        if protected {
            let flags = self.get_attributes(file.ino).await?.flags;
            file.content.borrow_mut().flags = flags;
        }
        Ok(())
    }

    /// `EPERM` for an immutable file, and for bytes of an append-only one that are there. Such a file can be open without
    /// `O_APPEND`: it was opened before it was append-only, or the program has taken `O_APPEND` off again, of which nobody
    /// tells us. What the kernel has kept for a while was acknowledged and comes in whole pages: there, opening decides.
    pub(super) fn require_writable(&self, file: &FileState, offset: u64) -> FsResult<()> {
        if file.freezing.get() {
            return Err(Errno::EPERM);
        }
        let content = file.content.borrow();
        let overwrites = content.flags.has(InodeFlags::APPEND_ONLY) && offset < content.length;
        match content.flags.has(InodeFlags::IMMUTABLE) || overwrites && !self.kernel_keeps_writes() {
            true => Err(Errno::EPERM),
            false => Ok(()),
        }
    }
}
