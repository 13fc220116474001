//! Which blocks are on disk, and which of them goes next: a clock with a second chance for blocks that were used again.
//!
//! Pure bookkeeping, no I/O. A new block joins at the end of the queue, one left by an earlier run at its front. The
//! hand takes from the front; a referenced block loses its mark and goes to the end instead.

use crate::block_state::BlockState;
use crate::cache_file::CacheFile;
use crate::units::bytes_of;
use shoal_types::Ino;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

#[derive(Default)]
pub(crate) struct Clock {
    /// May name blocks that are no longer on disk; they are passed over.
    queue: VecDeque<(Ino, u64)>,
    files: HashMap<Ino, FileRecord>,
    blocks: usize,
}

#[derive(Default)]
struct FileRecord {
    open: Option<Arc<CacheFile>>,
    /// In order of their numbers.
    blocks: Vec<BlockRecord>,
}

struct BlockRecord {
    block: u64,
    /// What a closed file remembers of its readers.
    referenced: bool,
    /// What a closed file remembers of the units whose checksums this run has seen to be right.
    verified: u64,
    /// Units that occupy room on disk, valid or not.
    units: u64,
}

/// Where a new block joins the queue.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Warmth {
    Fresh,
    Cold,
}

/// A block that is off the books and must now go from the disk.
pub(crate) struct Victim {
    pub ino: Ino,
    pub block: u64,
    pub units: u64,
    pub open: Option<Arc<CacheFile>>,
    /// Nothing else of the file is on disk, as far as we know.
    pub last: bool,
}

impl Clock {
    pub fn open_file(&self, ino: Ino) -> Option<Arc<CacheFile>> {
        self.files.get(&ino)?.open.clone()
    }

    pub fn set_open(&mut self, file: Arc<CacheFile>) {
        let record = self.files.entry(file.ino()).or_default();
        record.open = Some(file);
    }

    /// The file is no longer open; what its readers left as references is kept, and what has been verified.
    pub fn close(&mut self, file: &CacheFile) {
        let Some(record) = self.files.get_mut(&file.ino()) else { return };
        record.open = None;
        for block in &mut record.blocks {
            let look = |state: &BlockState| (state.take_referenced(), state.verified());
            let (referenced, verified) = file.table.peek(block.block, look).unwrap_or((false, block.verified));
            block.referenced |= referenced;
            block.verified = verified;
        }
        if record.blocks.is_empty() {
            self.files.remove(&file.ino());
        }
    }

    /// The bytes that these units would newly occupy.
    pub fn missing_bytes(&self, ino: Ino, block: u64, units: u64) -> u64 {
        let present = self.files.get(&ino).and_then(|record| record.get(block)).map_or(0, |record| record.units);
        bytes_of(units & !present)
    }

    /// These units occupy room on disk; returns the bytes they newly do.
    pub fn add(&mut self, ino: Ino, block: u64, units: u64, warmth: Warmth) -> u64 {
        let added = self.missing_bytes(ino, block, units);
        let record = self.files.entry(ino).or_default();
        match record.position(block) {
            Ok(at) => record.blocks[at].units |= units,
            Err(at) => {
                if record.blocks.is_empty() {
                    // Most files are small: no room for blocks that never come.
                    record.blocks.reserve_exact(1);
                }
                record.blocks.insert(at, BlockRecord { block, referenced: false, verified: 0, units });
                self.blocks += 1;
                match warmth {
                    Warmth::Fresh => self.queue.push_back((ino, block)),
                    Warmth::Cold => self.queue.push_front((ino, block)),
                }
                self.forget_stale();
            }
        }
        added
    }

    /// Units of the block that were verified when its file was last closed. Nobody else writes to our slot.
    pub fn verified(&self, ino: Ino, block: u64) -> u64 {
        self.files.get(&ino).and_then(|record| record.get(block)).map_or(0, |record| record.verified)
    }

    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// Bytes of one file on disk.
    pub fn bytes(&self, ino: Ino) -> u64 {
        self.files.get(&ino).map_or(0, |record| record.blocks.iter().map(|block| bytes_of(block.units)).sum())
    }

    /// Takes the file off the books; returns its bytes and its open cache file.
    pub fn remove(&mut self, ino: Ino) -> (u64, Option<Arc<CacheFile>>) {
        let bytes = self.bytes(ino);
        let Some(record) = self.files.remove(&ino) else { return (0, None) };
        self.blocks -= record.blocks.len();
        (bytes, record.open)
    }

    /// The next block to evict. Blocks that `is_busy`, and those of lent files, are passed over.
    pub fn take_victim(&mut self, is_busy: impl Fn(Ino, u64) -> bool) -> Option<Victim> {
        // Twice round: the first may only take second chances back.
        for _ in 0..2 * self.queue.len() {
            let (ino, block) = self.queue.pop_front()?;
            let Some(record) = self.files.get_mut(&ino) else { continue };
            let Ok(at) = record.position(block) else { continue };
            if is_busy(ino, block) || record.is_lent() || record.take_second_chance(at) {
                self.queue.push_back((ino, block));
                continue;
            }
            let units = record.blocks.remove(at).units;
            self.blocks -= 1;
            let last = record.blocks.is_empty();
            let open = record.open.clone();
            if last && open.is_none() {
                self.files.remove(&ino);
            }
            return Some(Victim { ino, block, units, open, last });
        }
        None
    }

    /// Removed files leave their blocks in the queue; it never gets longer than twice what is on disk.
    fn forget_stale(&mut self) {
        if self.queue.len() > 2 * self.blocks + STALE_MAX {
            let files = &self.files;
            self.queue.retain(|(ino, block)| files.get(ino).is_some_and(|record| record.position(*block).is_ok()));
        }
    }
}

const STALE_MAX: usize = 1024;

impl FileRecord {
    fn position(&self, block: u64) -> Result<usize, usize> {
        self.blocks.binary_search_by_key(&block, |record| record.block)
    }

    fn is_lent(&self) -> bool {
        self.open.as_ref().is_some_and(|file| file.is_lent())
    }

    fn get(&self, block: u64) -> Option<&BlockRecord> {
        self.position(block).ok().map(|at| &self.blocks[at])
    }

    fn take_second_chance(&mut self, at: usize) -> bool {
        let record = &mut self.blocks[at];
        let remembered = std::mem::take(&mut record.referenced);
        let open = self.open.as_ref();
        let read = open.and_then(|file| file.table.peek(record.block, |state| state.take_referenced()));
        remembered || read.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(clock: &mut Clock) -> Vec<(u64, u64)> {
        std::iter::from_fn(|| clock.take_victim(|_, _| false)).map(|victim| (victim.ino.0, victim.block)).collect()
    }

    #[test]
    fn cold_blocks_go_first_and_referenced_ones_last() {
        let mut clock = Clock::default();
        for block in 0..3 {
            assert_eq!(clock.add(Ino(1), block, 0b11, Warmth::Fresh), 2 << 16);
        }
        assert_eq!(clock.add(Ino(1), 0, 0b111, Warmth::Fresh), 1 << 16);
        clock.add(Ino(2), 0, 1, Warmth::Cold);
        let at = clock.files[&Ino(1)].position(0).expect("added");
        clock.files.get_mut(&Ino(1)).expect("added").blocks[at].referenced = true;
        assert_eq!(order(&mut clock), [(2, 0), (1, 1), (1, 2), (1, 0)]);
        assert!(clock.files.is_empty() && clock.blocks == 0);
    }

    #[test]
    fn busy_blocks_stay_and_the_last_block_of_a_file_is_told() {
        let mut clock = Clock::default();
        clock.add(Ino(1), 0, 1, Warmth::Fresh);
        clock.add(Ino(1), 1, 1, Warmth::Fresh);
        assert!(clock.take_victim(|_, _| true).is_none());
        assert!(clock.take_victim(|_, block| block == 0).is_some_and(|victim| victim.block == 1 && !victim.last));
        assert!(clock.take_victim(|_, _| false).is_some_and(|victim| victim.last));
    }

    #[test]
    fn removed_files_do_not_pile_up_in_the_queue() {
        let mut clock = Clock::default();
        for ino in 0..10 * STALE_MAX as u64 {
            clock.add(Ino(ino), 0, 1, Warmth::Fresh);
            assert_eq!(clock.remove(Ino(ino)).0, 1 << 16);
        }
        assert!(clock.queue.len() <= STALE_MAX + 2);
    }
}
