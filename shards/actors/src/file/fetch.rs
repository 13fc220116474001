//! Fetches: committed bytes on their way from the object store, shared by all readers that need them.
//!
//! Fetched bytes stay in memory within the shard's read budget, oldest out first, and go to the cache file beside. What was
//! fetched for a reader in order is read from memory, and leaves it when he has passed it and it is cached: so its
//! memory, still in the processor's cache, serves what comes next.

use super::content::Chunk;
use super::lifecycle::InUse;
use super::read::{BLOCKS_PER_CHUNK, unit_mask, unit_range};
use super::{FileState, ReadBudget};
use crate::Shard;
use crate::local_event::LocalEvent;
use crate::transfer::{Fetch, Piece};
use bytes::Bytes;
use shoal_file_data::{Extent, Source, block_identity};
use shoal_types::{BLOCK_BYTES, Errno, FsResult, ObjectKind, Slice};
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::{Rc, Weak};

pub(super) const UNIT_BYTES: u64 = 64 << 10;
const UNITS_PER_BLOCK: u32 = (BLOCK_BYTES / UNIT_BYTES) as u32;
/// Random reads fetch whole frames: two units.
const UNITS_PER_FRAME: u32 = 2;

/// Some units of one block in one state of the file.
pub(crate) struct Fetched {
    pub block: u64,
    pub identity: u64,
    pub first_unit: u32,
    pub units: u32,
    pub state: RefCell<FetchState>,
    /// For a reader in order.
    pub ahead: bool,
    /// He has come to its end.
    passed: Cell<bool>,
    /// What follows its arrival has been done: it is in the cache, as far as that takes it.
    pub settled: Cell<bool>,
    pub event: LocalEvent,
    file: Weak<FileState>,
    budget: Rc<ReadBudget>,
}

/// One block in one state of the file, taken at one moment.
pub(super) struct BlockView {
    pub block: u64,
    /// What the block's bytes are made of, as one number: equal numbers, equal bytes.
    pub identity: u64,
    pub chunk: Rc<Chunk>,
    /// The file's inline bytes below the slices, where they reach into this block.
    pub inline: Option<Bytes>,
}

pub(crate) enum FetchState {
    Pending,
    Ready(Bytes),
    Failed(Errno),
}

impl Fetched {
    pub(super) fn holds(&self, identity: u64, unit: u32) -> bool {
        let failed = matches!(&*self.state.borrow(), FetchState::Failed(_));
        let units = self.first_unit..self.first_unit + self.units;
        !failed && self.identity == identity && units.contains(&unit)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.units as usize * UNIT_BYTES as usize
    }

    pub(crate) fn is_pending(&self) -> bool {
        matches!(&*self.state.borrow(), FetchState::Pending)
    }

    /// Takes it out of the file; readers that hold it go on with it.
    pub(crate) fn forget(&self) {
        let Some(file) = self.file.upgrade() else { return };
        let mut fetched = file.fetched.borrow_mut();
        if let Some(of_block) = fetched.get_mut(&self.block) {
            of_block.retain(|other| !std::ptr::eq(&**other, self));
            if of_block.is_empty() {
                fetched.remove(&self.block);
            }
        }
        drop(fetched);
        if self.ahead {
            // Perhaps it was the last thing to be read from memory.
            file.publish();
        }
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        self.budget.end(self.bytes());
    }
}

impl Shard {
    /// Inline bytes lie within the first block.
    pub(super) async fn view(self: &Rc<Self>, file: &FileState, block: u64) -> FsResult<BlockView> {
        let chunk = self.chunk(file, block / BLOCKS_PER_CHUNK).await?;
        let mut identity = block_identity(&chunk.resolved.extents(block_in_chunk(block)));
        let inline = file.content.borrow().inline.clone().filter(|_| block == 0);
        if let Some(inline) = &inline {
            identity = twox_hash::XxHash3_64::oneshot_with_seed(identity, inline);
        }
        Ok(BlockView { block, identity, chunk, inline })
    }

    /// The fetches that together hold `units`, started where none is under way.
    pub(super) fn fetch_units(
        self: &Rc<Self>,
        file: &Rc<FileState>,
        view: &BlockView,
        units: Range<u32>,
        whole_block: bool,
    ) -> Vec<Rc<Fetched>> {
        let BlockView { block, identity, .. } = *view;
        let mut found: Vec<Rc<Fetched>> = Vec::new();
        let mut unit = units.start;
        while unit < units.end {
            let of_block = file.fetched.borrow().get(&block).cloned().unwrap_or_default();
            let known = of_block.into_iter().find(|fetched| fetched.holds(identity, unit));
            let fetched = known.unwrap_or_else(|| {
                let span = self.fetch_span(file, block, unit..units.end, whole_block);
                self.start_fetch(file, view, span, whole_block)
            });
            unit = fetched.first_unit + fetched.units;
            found.push(fetched);
        }
        found
    }

    /// How much to fetch for some missing units: the rest of the block for a sequential reader, else whole frames.
    pub(super) fn fetch_span(
        &self,
        file: &FileState,
        block: u64,
        missing: Range<u32>,
        whole_block: bool,
    ) -> Range<u32> {
        let block_start = block * BLOCK_BYTES;
        let committed = file.content.borrow().committed_length;
        let last = committed.saturating_sub(block_start).min(BLOCK_BYTES).div_ceil(UNIT_BYTES) as u32;
        let (first, end) = match whole_block {
            true => (0, UNITS_PER_BLOCK),
            false => (missing.start / UNITS_PER_FRAME * UNITS_PER_FRAME, missing.end.next_multiple_of(UNITS_PER_FRAME)),
        };
        first..end.min(last).max(missing.end)
    }

    fn start_fetch(
        self: &Rc<Self>,
        file: &Rc<FileState>,
        view: &BlockView,
        units: Range<u32>,
        ahead: bool,
    ) -> Rc<Fetched> {
        let fetched = Rc::new(Fetched {
            block: view.block,
            identity: view.identity,
            first_unit: units.start,
            units: units.end - units.start,
            state: RefCell::new(FetchState::Pending),
            ahead,
            passed: Cell::new(false),
            settled: Cell::new(false),
            event: LocalEvent::default(),
            file: Rc::downgrade(file),
            budget: self.read_budget.clone(),
        });
        self.read_budget.begin(fetched.bytes());
        if !file.forgotten.get() {
            file.fetched.borrow_mut().entry(view.block).or_default().push(fetched.clone());
            if ahead {
                file.publish();
            }
        }
        self.read_budget.remember(&fetched);
        let outcome = self.shared.transfer.fetch(fetch_plan(view, &units));
        // The file's state stays until the bytes are in the cache, also if it's closed before.
        let (shard, file, task) = (self.clone(), InUse::new(self, file), fetched.clone());
        shoal_runtime::spawn(async move {
            let state = match outcome.wait().await {
                Ok(buffer) => FetchState::Ready(buffer.into_bytes()),
                Err(error) => FetchState::Failed(error),
            };
            let ready = match &state {
                FetchState::Ready(bytes) => Some(bytes.clone()),
                _ => None,
            };
            *task.state.borrow_mut() = state;
            shard.read_budget.arrived(task.bytes());
            task.event.notify();
            match ready {
                Some(bytes) => shard.cache_fetched(&file, &task, bytes).await,
                None => task.forget(),
            }
            task.settled.set(true);
            task.event.notify();
            shard.let_go(&file, &task);
        });
        fetched
    }

    /// A reader in order has come to the end of these bytes.
    pub(super) fn pass(&self, file: &FileState, fetched: &Fetched) {
        fetched.passed.set(true);
        self.let_go(file, fetched);
    }

    fn let_go(&self, file: &FileState, fetched: &Fetched) {
        if !fetched.passed.get() || !fetched.settled.get() {
            return;
        }
        let start = fetched.block * BLOCK_BYTES + u64::from(fetched.first_unit) * UNIT_BYTES;
        if self.cache_file(file).is_some_and(|cache| cache.covers(start, fetched.bytes())) {
            fetched.forget();
        }
    }

    /// Writes fetched units into the cache file, unless the file has changed meanwhile.
    pub(super) async fn cache_fetched(self: &Rc<Self>, file: &Rc<FileState>, fetched: &Fetched, bytes: Bytes) {
        let Some(part) = self.cache_part(file.ino) else { return };
        let Ok(view) = self.view(file, fetched.block).await else { return };
        if view.identity != fetched.identity {
            return;
        }
        let Some(cache) = self.cache_file(file) else { return };
        part.identify(&cache, fetched.block, fetched.identity);
        part.store(&cache, fetched.block, fetched.first_unit, fetched.units, bytes).await;
        if file.open.plan.load().is_none() {
            file.publish();
        }
    }

    /// The cache's copy of these parts of a chunk is no longer right.
    pub(super) fn forget_cached(&self, file: &FileState, chunk: u64, slices: &[Slice]) {
        if let (Some(part), Some(cache)) = (self.cache_part(file.ino), &*file.cache.borrow()) {
            for slice in slices {
                let first = chunk * BLOCKS_PER_CHUNK + u64::from(slice.position) / BLOCK_BYTES;
                let last = chunk * BLOCKS_PER_CHUNK + u64::from(slice.end() - 1) / BLOCK_BYTES;
                part.invalidate(cache, first..last + 1);
            }
        }
    }
}

impl BlockView {
    /// Nothing but zeros stands in these units.
    pub fn is_zeros(&self, units: &Range<u32>) -> bool {
        let hole = |extent: &Extent| matches!(extent.source, Source::Hole);
        self.inline.is_none() && self.chunk.resolved.extents(self.in_chunk(units)).iter().all(hole)
    }

    /// The units in which something else than zeros may stand.
    pub fn data_units(&self) -> u64 {
        let block = block_in_chunk(self.block);
        let extents = self.chunk.resolved.extents(block.clone());
        let data = extents.iter().filter(|extent| !matches!(extent.source, Source::Hole));
        let slices = data.map(|extent| u64::from(extent.position - block.start)..extent.length.into());
        let inline = self.inline.iter().map(|inline| 0..inline.len() as u64);
        slices
            .chain(inline)
            .filter(|data| data.end > 0)
            .fold(0, |mask, data| mask | unit_mask(&unit_range(data.start, data.end as usize)))
    }

    fn in_chunk(&self, units: &Range<u32>) -> Range<u32> {
        let block = block_in_chunk(self.block);
        block.start + units.start * UNIT_BYTES as u32..block.start + units.end * UNIT_BYTES as u32
    }
}

fn fetch_plan(view: &BlockView, units: &Range<u32>) -> Fetch {
    let range = view.in_chunk(units);
    let extents = view.chunk.resolved.extents(range.clone());
    let pieces = extents.iter().filter_map(|extent| piece(extent, range.start)).collect();
    let base = view.inline.clone().filter(|_| units.start == 0);
    Fetch { pieces, base, length: range.len() }
}

pub(super) fn piece(extent: &Extent, start: u32) -> Option<Piece> {
    match extent.source {
        Source::Hole => None,
        Source::Object { object, object_offset, object_length, kind } => Some(Piece {
            object,
            object_length,
            object_offset,
            length: extent.length,
            target: (extent.position - start) as usize,
            pack: kind == ObjectKind::Pack,
        }),
    }
}

/// The block's bytes as positions within its chunk.
fn block_in_chunk(block: u64) -> Range<u32> {
    let start = (block % BLOCKS_PER_CHUNK * BLOCK_BYTES) as u32;
    start..start + BLOCK_BYTES as u32
}
