//! What people ask for: files that are evicted last, and files of which nothing is to be kept.
//!
//! A pin stands in the header of the file's index, so it is there again when the slot is taken again. It is written like
//! the entries, without a sync: power loss may take the pins of the last seconds.

use crate::cache_file::CacheFile;
use crate::index_entry::Header;
use crate::part::CachePart;
use shoal_types::Ino;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

/// Blocks of a file dropped at once: a quarter of what the janitor takes.
const DROPPED_AT_ONCE: usize = crate::limits::PUNCHES_PENDING_MAX / 4;

impl CachePart {
    /// Pins the file, whether anything of it is cached or not, or ends that. `false` if the disk does not take it.
    pub fn set_pinned(&self, file: &Arc<CacheFile>, pinned: bool) -> bool {
        if self.is_degraded() || file.is_dead() {
            return false;
        }
        let written = match file.disk() {
            Some(disk) => disk.write_header(Header { pinned, encrypted: self.shared.encrypts() }),
            None if pinned => self.create(file.ino(), pinned).map(|disk| file.set_disk(disk)),
            None => Ok(()),
        };
        match written {
            Ok(()) => {
                file.drop_when_returned.store(false, SeqCst);
                self.clock.borrow_mut().set_pinned(file.ino(), pinned);
                true
            }
            Err(error) => {
                self.note(&error);
                false
            }
        }
    }

    pub fn is_pinned(&self, ino: Ino) -> bool {
        self.clock.borrow().is_pinned(ino)
    }

    /// Some pinned files behind `after`, in the order of their numbers: as far as they are known yet.
    pub fn pinned_files(&self, after: Ino, count: usize) -> Vec<Ino> {
        self.clock.borrow().pinned_files(after, count)
    }

    /// Unpins the file and drops all that is cached of it. Blocks that are being stored just now stay; a file that is
    /// lent is dropped when it was given back (see `give_back`).
    pub async fn drop_file(&self, file: &Arc<CacheFile>) {
        if self.is_degraded() || file.is_dead() {
            return;
        }
        // Also where the disk is too full for that to be written: the file is dropped to make room.
        self.set_pinned(file, false);
        if file.is_lent() {
            return file.drop_when_returned.store(true, SeqCst);
        }
        if let Err(error) = self.drop_blocks(file).await {
            self.note(&error);
        }
        file.emptied.store(true, SeqCst);
    }

    async fn drop_blocks(&self, file: &Arc<CacheFile>) -> io::Result<()> {
        let ino = file.ino();
        // An earlier run may have left blocks that nobody has met yet.
        let mut unmet = file.disk().map(|_| 0);
        while let Some(first) = unmet {
            unmet = self.adopt_blocks(ino, first)?;
            shoal_runtime::yield_now().await;
        }
        loop {
            let is_busy = |block| self.busy.is_busy(ino, block);
            let victims = self.clock.borrow_mut().take_blocks(ino, DROPPED_AT_ONCE, is_busy);
            if victims.is_empty() {
                return Ok(());
            }
            let pending = victims.iter().filter_map(|victim| self.drop_victim(victim)).collect();
            self.await_punches(pending).await;
            shoal_runtime::yield_now().await;
        }
    }
}
