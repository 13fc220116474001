//! Which blocks are on disk, and which of them goes next: a clock with a second chance for blocks that were used again.
//!
//! Pure bookkeeping, no I/O. A new block joins at the end of the queue, one left by an earlier run at its front. The
//! hand takes from the front; a referenced block loses its mark and goes to the end instead. Blocks of pinned files have
//! a queue of their own, so that the hand does not meet them again and again; it moves them there when it first does.

use crate::block_state::BlockState;
use crate::cache_file::CacheFile;
use crate::units::bytes_of;
use shoal_types::Ino;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

#[derive(Default)]
pub(crate) struct Clock {
    /// May name blocks that are no longer on disk, or no longer in this queue; they are passed over.
    queue: VecDeque<(Ino, u64)>,
    pinned_queue: VecDeque<(Ino, u64)>,
    files: HashMap<Ino, FileRecord>,
    pinned: BTreeSet<Ino>,
    blocks: usize,
}

#[derive(Default)]
struct FileRecord {
    open: Option<Arc<CacheFile>>,
    pinned: bool,
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
    /// It is in the queue of pinned files' blocks.
    set_aside: bool,
}

/// Whether blocks of pinned files may be evicted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pinned {
    Stay,
    GoLast,
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
    /// Nothing else of the file is on disk, as far as we know, and no pin.
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
        if record.blocks.is_empty() && !record.pinned {
            self.files.remove(&file.ino());
        }
    }

    pub fn is_pinned(&self, ino: Ino) -> bool {
        self.pinned.contains(&ino)
    }

    pub fn set_pinned(&mut self, ino: Ino, pinned: bool) {
        if self.is_pinned(ino) == pinned {
            return;
        }
        let record = self.files.entry(ino).or_default();
        record.pinned = pinned;
        match pinned {
            true => _ = self.pinned.insert(ino),
            false => {
                self.pinned.remove(&ino);
                for block in record.blocks.iter_mut().filter(|block| block.set_aside) {
                    block.set_aside = false;
                    self.queue.push_back((ino, block.block));
                }
                if record.blocks.is_empty() && record.open.is_none() {
                    self.files.remove(&ino);
                }
                self.forget_stale();
            }
        }
    }

    /// Pinned files behind `after`.
    pub fn pinned_files(&self, after: Ino, count: usize) -> Vec<Ino> {
        self.pinned.range((Bound::Excluded(after), Bound::Unbounded)).take(count).copied().collect()
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
                record
                    .blocks
                    .insert(at, BlockRecord { block, referenced: false, verified: 0, units, set_aside: false });
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
        self.pinned.remove(&ino);
        self.blocks -= record.blocks.len();
        (bytes, record.open)
    }

    /// The next block to evict. Blocks that `is_busy`, and those of lent files, are passed over.
    pub fn take_victim(&mut self, pinned: Pinned, is_busy: impl Fn(Ino, u64) -> bool) -> Option<Victim> {
        // Twice round: the first may only take second chances back.
        for _ in 0..2 * self.queue.len() {
            let (ino, block) = self.queue.pop_front()?;
            let Some((record, at)) = self.find(ino, block, false) else { continue };
            if record.pinned {
                record.blocks[at].set_aside = true;
                self.pinned_queue.push_back((ino, block));
                continue;
            }
            if is_busy(ino, block) || record.is_lent() || record.take_second_chance(at) {
                self.queue.push_back((ino, block));
                continue;
            }
            return Some(self.take_block(ino, at));
        }
        match pinned {
            Pinned::Stay => None,
            Pinned::GoLast => self.take_pinned_victim(is_busy),
        }
    }

    /// The block that was set aside first.
    fn take_pinned_victim(&mut self, is_busy: impl Fn(Ino, u64) -> bool) -> Option<Victim> {
        for _ in 0..self.pinned_queue.len() {
            let (ino, block) = self.pinned_queue.pop_front()?;
            let Some((record, at)) = self.find(ino, block, true) else { continue };
            if is_busy(ino, block) || record.is_lent() {
                self.pinned_queue.push_back((ino, block));
                continue;
            }
            return Some(self.take_block(ino, at));
        }
        None
    }

    /// Takes up to `count` blocks of one file off the books, except those that are busy.
    pub fn take_blocks(&mut self, ino: Ino, count: usize, is_busy: impl Fn(u64) -> bool) -> Vec<Victim> {
        let Some(record) = self.files.get(&ino) else { return Vec::new() };
        let free = |at: &usize| !is_busy(record.blocks[*at].block);
        let places: Vec<usize> = (0..record.blocks.len()).rev().filter(free).take(count).collect();
        // From the end, so that those before keep their places.
        places.into_iter().map(|at| self.take_block(ino, at)).collect()
    }

    fn find(&mut self, ino: Ino, block: u64, set_aside: bool) -> Option<(&mut FileRecord, usize)> {
        let record = self.files.get_mut(&ino)?;
        let at = record.position(block).ok()?;
        (record.blocks[at].set_aside == set_aside).then_some((record, at))
    }

    fn take_block(&mut self, ino: Ino, at: usize) -> Victim {
        let record = self.files.get_mut(&ino).expect("whoever takes a block has looked");
        let BlockRecord { block, units, .. } = record.blocks.remove(at);
        self.blocks -= 1;
        let last = record.blocks.is_empty();
        let (open, pinned) = (record.open.clone(), record.pinned);
        if last && open.is_none() && !pinned {
            self.files.remove(&ino);
        }
        Victim { ino, block, units, open, last: last && !pinned }
    }

    /// Blocks leave their names in the queues; neither gets much longer than twice what is on disk.
    fn forget_stale(&mut self) {
        let files = &self.files;
        for (queue, set_aside) in [(&mut self.queue, false), (&mut self.pinned_queue, true)] {
            if queue.len() <= 2 * self.blocks + STALE_MAX {
                continue;
            }
            let mut seen = HashSet::new();
            queue.retain(|(ino, block)| {
                let record = files.get(ino).and_then(|record| record.get(*block));
                record.is_some_and(|record| record.set_aside == set_aside) && seen.insert((*ino, *block))
            });
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
        std::iter::from_fn(|| clock.take_victim(Pinned::Stay, |_, _| false))
            .map(|victim| (victim.ino.0, victim.block))
            .collect()
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
        let mut take = |is_busy: fn(Ino, u64) -> bool| clock.take_victim(Pinned::Stay, is_busy);
        assert!(take(|_, _| true).is_none());
        assert!(take(|_, block| block == 0).is_some_and(|victim| victim.block == 1 && !victim.last));
        assert!(take(|_, _| false).is_some_and(|victim| victim.last));
    }

    #[test]
    fn pinned_blocks_go_after_all_others_and_only_if_they_may() {
        let mut clock = Clock::default();
        clock.set_pinned(Ino(1), true);
        for ino in 1..4 {
            clock.add(Ino(ino), 0, 1, Warmth::Fresh);
            clock.add(Ino(ino), 1, 1, Warmth::Fresh);
        }
        clock.set_pinned(Ino(2), true);
        assert_eq!(order(&mut clock), [(3, 0), (3, 1)]);
        assert_eq!(order(&mut clock), []);
        clock.set_pinned(Ino(2), false);
        assert_eq!(order(&mut clock), [(2, 0), (2, 1)]);
        let victim = clock.take_victim(Pinned::GoLast, |_, _| false).expect("a pinned one");
        assert_eq!((victim.ino, victim.block, clock.pinned_files(Ino(0), 9)), (Ino(1), 0, vec![Ino(1)]));
        let victim = clock.take_victim(Pinned::GoLast, |_, _| false).expect("another one");
        assert!(!victim.last && clock.is_pinned(Ino(1)), "the pin stays");
        clock.set_pinned(Ino(1), false);
        assert!(clock.files.is_empty() && clock.blocks == 0);
    }

    #[test]
    fn the_blocks_of_one_file_are_taken_except_busy_ones() {
        let mut clock = Clock::default();
        for block in 0..5 {
            clock.add(Ino(1), block, 1, Warmth::Fresh);
            clock.add(Ino(2), block, 1, Warmth::Fresh);
        }
        let mut taken = |count| {
            let victims = clock.take_blocks(Ino(1), count, |block| block == 3);
            victims.iter().map(|victim| victim.block).collect::<Vec<_>>()
        };
        assert_eq!([taken(2), taken(9), taken(9)], [vec![4, 2], vec![1, 0], vec![]]);
        assert_eq!((clock.bytes(Ino(1)), clock.bytes(Ino(2))), (1 << 16, 5 << 16));
    }

    #[test]
    fn pins_that_come_and_go_do_not_pile_up_in_the_queues() {
        let mut clock = Clock::default();
        clock.add(Ino(1), 0, 1, Warmth::Fresh);
        for _ in 0..4 * STALE_MAX {
            clock.set_pinned(Ino(1), true);
            assert!(clock.take_victim(Pinned::Stay, |_, _| false).is_none());
            clock.set_pinned(Ino(1), false);
        }
        assert!(clock.queue.len() + clock.pinned_queue.len() <= 2 * (STALE_MAX + 4));
        assert_eq!(order(&mut clock), [(1, 0)]);
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
