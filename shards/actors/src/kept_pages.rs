//! When this shard last saw files opened: whether the pages that the kernel keeps of them are still right.

use crate::limits::OPENED_FILES_REMEMBERED;
use crate::recent_map::RecentMap;
use shoal_types::Ino;
use std::cell::RefCell;

/// By inode, the foreign epoch of the last open.
pub(crate) struct KeptPages(RefCell<RecentMap<Ino, u64>>);

impl KeptPages {
    pub fn new() -> Self {
        KeptPages(RefCell::new(RecentMap::new(OPENED_FILES_REMEMBERED)))
    }

    /// Takes note of an open; `true` when no other mount has changed anything since this shard last saw the file opened,
    /// so that pages which the kernel keeps since then are right.
    pub fn note_open(&self, ino: Ino, epoch: Option<u64>) -> bool {
        let Some(epoch) = epoch else { return false };
        let mut opened = self.0.borrow_mut();
        let unchanged = opened.get(&ino) == Some(epoch);
        opened.insert(ino, epoch);
        unchanged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_kept_only_while_nobody_else_has_changed_anything() {
        let pages = KeptPages::new();
        assert!(!pages.note_open(Ino(2), Some(5)));
        assert!(pages.note_open(Ino(2), Some(5)));
        assert!(!pages.note_open(Ino(2), Some(6)));
        assert!(!pages.note_open(Ino(2), None));
    }
}
