//! What a lock promises about the bytes it protects: who gets it sees what others have written under theirs.
//!
//! Two caches may be older than the lock: ours, which the owner then brings up to date, and the pages that the kernel
//! keeps of the file. Both are as old as the engine's foreign epoch of then. As long as that stands, nobody else has
//! changed anything, and a lock costs neither.

use crate::recent_map::RecentMap;
use crate::{Shard, limits};
use futures_channel::oneshot;
use shoal_types::{FsResult, Ino, Name};
use std::cell::RefCell;
use std::rc::Rc;

/// What the kernel keeps of a mounted volume: pages of files, and names and attributes for as long as it was told it may. A
/// front end that has none leaves it out.
pub trait KernelPages: Send + Sync + 'static {
    /// Writes back what programs have changed in them, and forgets them; then calls `done`, on any thread. Must not block.
    fn forget(&self, ino: Ino, done: Box<dyn FnOnce() + Send>);

    /// Forgets attributes. From a thread that is no shard's.
    fn forget_attributes(&self, ino: Ino);

    /// Forgets what a name stands for, soon. Must not block.
    fn forget_entry(&self, parent: Ino, name: Name);

    /// Whether writes may stay there for a while before they are told to us.
    fn keep_writes(&self) -> bool;
}

/// By inode, the foreign epoch at which the kernel's pages were last right.
pub(crate) struct LockedPages(RefCell<RecentMap<Ino, u64>>);

impl LockedPages {
    pub fn new() -> Self {
        LockedPages(RefCell::new(RecentMap::new(limits::LOCKED_FILES_REMEMBERED)))
    }

    /// Pages that are not known of are as old as the mount.
    fn are_right(&self, ino: Ino, epoch: Option<u64>, epoch_of_start: Option<u64>) -> bool {
        epoch.is_some() && self.0.borrow_mut().get(&ino).or(epoch_of_start) == epoch
    }

    fn note(&self, ino: Ino, epoch: Option<u64>) {
        if let Some(epoch) = epoch {
            self.0.borrow_mut().insert(ino, epoch);
        }
    }
}

impl Shard {
    /// After a lock was had: everything that is read from now on is at least as new.
    pub(super) async fn refresh(self: &Rc<Self>, ino: Ino) -> FsResult<()> {
        let epoch = self.shared.exact_epoch();
        if let Some(open) = self.shared.open_files.get(ino) {
            self.revalidate(&open, epoch).await?;
        }
        // In this order: what the kernel reads anew is read from what is up to date.
        if !self.locked_pages.are_right(ino, epoch, self.shared.epoch_of_start) {
            self.forget_kernel_pages(ino).await;
            self.locked_pages.note(ino, epoch);
        }
        Ok(())
    }

    /// Before exclusive use ends: what was written under it can be seen by every mount.
    pub(super) async fn commit_written(self: &Rc<Self>, ino: Ino) -> FsResult<()> {
        if self.kernel_keeps_writes() {
            self.forget_kernel_pages(ino).await;
        }
        self.flush_owned(ino).await
    }

    pub(crate) fn kernel_keeps_writes(&self) -> bool {
        self.shared.kernel_pages.get().is_some_and(|pages| pages.keep_writes())
    }

    pub(crate) async fn forget_kernel_pages(&self, ino: Ino) {
        let Some(pages) = self.shared.kernel_pages.get() else { return };
        let (sender, receiver) = oneshot::channel();
        let done = move || {
            // Nobody waits any more when this shard was stopped meanwhile.
            let _ = sender.send(());
        };
        pages.forget(ino, Box::new(done));
        // A front end that has ended has no pages.
        let _ = receiver.await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_right_while_nobody_else_has_changed_anything_since_they_were() {
        let pages = LockedPages::new();
        assert!(pages.are_right(Ino(2), Some(5), Some(5)), "nobody has since the mount began");
        assert!(!pages.are_right(Ino(2), Some(6), Some(5)));
        pages.note(Ino(2), Some(6));
        assert!(pages.are_right(Ino(2), Some(6), Some(5)));
        assert!(!pages.are_right(Ino(2), Some(7), Some(5)));
        assert!(!pages.are_right(Ino(3), None, None), "an engine that can't tell");
    }
}
