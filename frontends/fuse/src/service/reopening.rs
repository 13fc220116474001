//! Opens that were refused because the kernel may have gone by an outdated name, and come again.
//!
//! While other mounts live, a name that the kernel has in memory may stand for another file by now. A file that has lost its
//! name is therefore not opened at first: ESTALE makes the kernel walk the path again, asking for each name. Does it find
//! the same file then, or another one that is lost by that time, it gets it, as if it had been open before.

use shoal_client::RemovedFiles;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

const THREADS: usize = 1024;

/// One for all shards: a thread's next request may come to another.
pub(super) struct Reopening(Box<[AtomicU32]>);

impl Reopening {
    pub fn new() -> Self {
        Reopening((0..THREADS).map(|_| AtomicU32::new(NOBODY)).collect())
    }

    /// What an open of this thread gets.
    pub fn next(&self, thread: u32) -> RemovedFiles {
        let slot = self.slot(thread);
        // Whoever shares the slot has meanwhile been refused: then this one is once more.
        match slot.compare_exchange(mark(thread), NOBODY, Relaxed, Relaxed) {
            Ok(_) => RemovedFiles::Opened,
            Err(_) => RemovedFiles::Refused,
        }
    }

    /// The thread was told to walk its path again.
    pub fn refused(&self, thread: u32) {
        self.slot(thread).store(mark(thread), Relaxed);
    }

    fn slot(&self, thread: u32) -> &AtomicU32 {
        &self.0[thread as usize % THREADS]
    }
}

/// Threads that the kernel can't name here have the number 0.
fn mark(thread: u32) -> u32 {
    thread.wrapping_add(1)
}

const NOBODY: u32 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_refused_is_let_through_once() {
        let reopening = Reopening::new();
        for thread in [0, 7, 7 + THREADS as u32] {
            assert_eq!(reopening.next(thread), RemovedFiles::Refused);
            reopening.refused(thread);
            assert_eq!(reopening.next(thread), RemovedFiles::Opened);
            assert_eq!(reopening.next(thread), RemovedFiles::Refused);
        }
    }
}
