//! Lending: a file that is cached as a whole is read by somebody else, past us and for as long as he likes.
//!
//! The borrower (the kernel, by FUSE passthrough) reads the data file itself and can't be called back. So a lent file
//! stays as it is: nothing is stored to it, no block of it is evicted, and it ends where its content ends, because its
//! end is what the borrower takes for the end. What changes meanwhile is read from elsewhere.

use crate::cache_file::CacheFile;
use crate::part::CachePart;
use crate::units::spans;
use rustix::fs::{Mode, OFlags, ftruncate};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

impl CachePart {
    /// The data file, opened for reading through the page cache, if all of the `length` bytes are in it and verified.
    /// Every loan is to be given back. `None` with `verify_always` and where the cache is encrypted: a borrower verifies and
    /// decrypts nothing.
    pub fn lend(&self, file: &Arc<CacheFile>, length: u64) -> Option<OwnedFd> {
        let disk = file.disk()?;
        if self.shared.verify_always || self.shared.encrypts() {
            return None;
        }
        if self.is_degraded() || file.is_dead() || !is_ready(file, length) {
            return None;
        }
        // The end moves only while nobody else writes to the file.
        if spans(0..length).any(|(block, _)| self.busy.is_busy(file.ino(), block)) {
            return None;
        }
        let lent = ftruncate(&disk.data, length).and_then(|()| {
            let path = format!("/proc/self/fd/{}", disk.data.as_raw_fd());
            rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        });
        match lent {
            Ok(lent) => {
                file.loans.fetch_add(1, SeqCst);
                Some(lent)
            }
            Err(error) => {
                self.note(&error.into());
                None
            }
        }
    }

    /// One loan less. Returns whether all of the file is now to be dropped, because somebody wanted that meanwhile.
    pub fn give_back(&self, file: &CacheFile) -> bool {
        let before = file.loans.fetch_sub(1, SeqCst);
        assert!(before > 0, "only what was lent is given back");
        before == 1 && file.drop_when_returned.load(SeqCst)
    }
}

/// Whether any shard could read all of it now.
fn is_ready(file: &CacheFile, length: u64) -> bool {
    length > 0
        && spans(0..length)
            .all(|(block, units)| file.table.peek(block, |state| state.ready() & units == units).unwrap_or(false))
}
