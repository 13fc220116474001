//! The block states of one open file: a table that costs nothing before the first block is cached.
//!
//! Segments are made on first use by the owner and live as long as the table, so a state's address never changes.
//! Only the root is replaced when it grows; readers that still hold the old root miss the newest segments, no more.

use crate::block_state::BlockState;
use crate::limits::BLOCKS_PER_FILE_MAX;
use arc_swap::ArcSwap;
use std::ops::{Deref, Range};
use std::sync::{Arc, OnceLock};

#[derive(Default)]
pub(crate) struct BlockTable {
    root: ArcSwap<Vec<OnceLock<Arc<Segment>>>>,
}

const SEGMENT_BLOCKS: u64 = 16;

type Segment = [BlockState; SEGMENT_BLOCKS as usize];

/// A state that its holder keeps alive, across awaits too.
pub(crate) struct BlockRef {
    segment: Arc<Segment>,
    within: usize,
}

impl Deref for BlockRef {
    type Target = BlockState;

    fn deref(&self) -> &BlockState {
        &self.segment[self.within]
    }
}

impl BlockTable {
    /// Looks at a block's state, if it has one.
    pub fn peek<T>(&self, block: u64, look: impl FnOnce(&BlockState) -> T) -> Option<T> {
        let root = self.root.load();
        let segment = root.get((block / SEGMENT_BLOCKS) as usize)?.get()?;
        Some(look(&segment[(block % SEGMENT_BLOCKS) as usize]))
    }

    pub fn get(&self, block: u64) -> Option<BlockRef> {
        let root = self.root.load();
        let segment = root.get((block / SEGMENT_BLOCKS) as usize)?.get()?.clone();
        Some(BlockRef { segment, within: (block % SEGMENT_BLOCKS) as usize })
    }

    /// Owner only: the block's state, made if need be; `None` beyond what a cache file can hold.
    pub fn get_or_add(&self, block: u64) -> Option<BlockRef> {
        if block >= BLOCKS_PER_FILE_MAX {
            return None;
        }
        let index = (block / SEGMENT_BLOCKS) as usize;
        if self.root.load().len() <= index {
            self.grow(index + 1);
        }
        let segment = self.root.load()[index].get_or_init(Arc::default).clone();
        Some(BlockRef { segment, within: (block % SEGMENT_BLOCKS) as usize })
    }

    /// At least doubles, so that a file that grows block by block copies its root a few times only.
    fn grow(&self, segments: usize) {
        let old = self.root.load();
        let mut root: Vec<_> = old.iter().cloned().collect();
        let segments = segments.max(old.len() * 2).min((BLOCKS_PER_FILE_MAX / SEGMENT_BLOCKS) as usize);
        root.resize_with(segments, OnceLock::new);
        self.root.store(Arc::new(root));
    }

    /// Every block of `range` that has been loaded.
    pub fn for_each_loaded(&self, range: Range<u64>, mut act: impl FnMut(u64, &BlockState)) {
        let root = self.root.load();
        let end = range.end.min(root.len() as u64 * SEGMENT_BLOCKS);
        let mut block = range.start;
        while block < end {
            let segment_end = (block / SEGMENT_BLOCKS + 1) * SEGMENT_BLOCKS;
            if let Some(segment) = root[(block / SEGMENT_BLOCKS) as usize].get() {
                for block in block..segment_end.min(end) {
                    let state = &segment[(block % SEGMENT_BLOCKS) as usize];
                    if state.is_loaded() {
                        act(block, state);
                    }
                }
            }
            block = segment_end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_stay_the_same_while_the_table_grows_to_its_bound() {
        let table = BlockTable::default();
        assert!(table.peek(0, |_| ()).is_none());
        let first = table.get_or_add(3).expect("within bounds");
        first.load(1, 7);
        let last = table.get_or_add(BLOCKS_PER_FILE_MAX - 1).expect("within bounds");
        last.load(1, 9);
        first.identify(1);
        first.approve(8);
        assert_eq!(table.peek(3, |state| state.valid()), Some(Some(15)));
        assert!(table.get_or_add(BLOCKS_PER_FILE_MAX).is_none());
        let mut seen = Vec::new();
        table.for_each_loaded(0..u64::MAX, |block, _| seen.push(block));
        assert_eq!(seen, [3, BLOCKS_PER_FILE_MAX - 1]);
        table.for_each_loaded(4..BLOCKS_PER_FILE_MAX - 1, |block, _| panic!("block {block} is out of range"));
    }
}
