//! What people ask about a file's place in the cache: how much is there, fetch the rest, keep it, drop it.
//!
//! Only what lies in objects is counted: holes, and what the metadata holds itself, need no cache.

use super::FileState;
use super::fetch::{BlockView, FetchState, Fetched, UNIT_BYTES};
use super::missing::Missing;
use super::read::BLOCKS_PER_CHUNK;
use crate::{Shard, limits};
use shoal_cache::{CacheFile, CachePart};
use shoal_types::{BLOCK_BYTES, CHUNK_BYTES, Errno, FsResult, Ino};
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// What is to be done about a file's cached bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CacheOrder {
    /// Count them.
    Look,
    /// Verify those that are there, and fetch the others.
    Fill,
    /// Evict them last from now on, whether they are there yet or not.
    Pin,
    Unpin,
    /// Unpin the file, and drop all that is cached of it.
    Drop,
}

/// How far a call has come with a file, and what it found on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Warmed {
    /// The byte to go on with; `None`: it's done.
    pub next: Option<u64>,
    /// Of `bytes`, those that are cached now.
    pub cached: u64,
    /// Bytes that could be cached.
    pub bytes: u64,
    pub pinned: bool,
}

/// A block on its way into the cache.
struct Begun {
    block: u64,
    wanted: u64,
    end: u64,
    fetches: Vec<Rc<Fetched>>,
}

/// The open cache file of a file.
struct Place<'a> {
    part: &'a CachePart,
    file: &'a Rc<FileState>,
    cache: Arc<CacheFile>,
}

impl Shard {
    /// Bytes are counted and filled within `range`, from its start on, for a while; the other orders are for all of the
    /// file. `EOPNOTSUPP` without a cache, `ENODEV` without the folder that the file falls to.
    pub(crate) async fn warm_owned(
        self: &Rc<Self>,
        ino: Ino,
        order: CacheOrder,
        range: Range<u64>,
    ) -> FsResult<Warmed> {
        let cache = self.cache.as_ref().ok_or(Errno::EOPNOTSUPP)?;
        let part = cache.of(ino).filter(|part| !part.is_degraded()).ok_or(Errno::ENODEV)?;
        let file = self.file(ino).await?;
        let cache = self.cache_file(&file).ok_or(Errno::ESTALE)?;
        let place = Place { part, file: &file, cache };
        let mut done = match order {
            CacheOrder::Look => self.warm_range(&place, false, range).await?,
            CacheOrder::Fill => {
                self.flush_file(&file).await?;
                self.warm_range(&place, true, range).await?
            }
            CacheOrder::Pin | CacheOrder::Unpin => match part.set_pinned(&place.cache, order == CacheOrder::Pin) {
                true => Warmed::default(),
                false if part.is_degraded() => return Err(Errno::ENODEV),
                false => return Err(Errno::ENOSPC),
            },
            CacheOrder::Drop => {
                part.drop_file(&place.cache).await;
                Warmed::default()
            }
        };
        done.pinned = part.is_pinned(ino);
        Ok(done)
    }

    async fn warm_range(self: &Rc<Self>, place: &Place<'_>, fill: bool, range: Range<u64>) -> FsResult<Warmed> {
        let (start, mut done) = (Instant::now(), Warmed { next: Some(range.start), ..Warmed::default() });
        let mut missing = Missing::default();
        while let Some(first) = done.next {
            let end = range.end.min(place.file.content.borrow().committed_length);
            if first >= end {
                done.next = None;
            } else if start.elapsed() < limits::WARM_WORK_TIME {
                match self.warm_chunks(place, fill, first..end, start, &mut done).await {
                    Err(Errno::ESTALE) => {
                        self.look_again(&mut missing).await?;
                        self.reload(place.file).await?;
                    }
                    result => result?,
                }
            } else {
                break;
            }
        }
        Ok(done)
    }

    /// The next chunks that have something in them. `done` grows block by block, also where an error ends it.
    async fn warm_chunks(
        self: &Rc<Self>,
        place: &Place<'_>,
        fill: bool,
        range: Range<u64>,
        start: Instant,
        done: &mut Warmed,
    ) -> FsResult<()> {
        let (ino, first, page) = (place.file.ino, range.start / CHUNK_BYTES, limits::CHUNKS_PER_READ);
        let chunks = self.read_metadata(move |metadata| metadata.get_chunks(ino, first, page)).await?;
        let mut numbers: Vec<u64> = chunks.iter().map(|(number, _)| *number).collect();
        if first == 0 && numbers.first() != Some(&0) && place.file.content.borrow().inline_below_chunks() {
            numbers.insert(0, 0);
        }
        let all = chunks.len() < page;
        let behind = numbers.last().map_or(range.end, |last| (last + 1).saturating_mul(CHUNK_BYTES));
        let blocks = numbers.iter().flat_map(|number| number * BLOCKS_PER_CHUNK..(number + 1) * BLOCKS_PER_CHUNK);
        let mut blocks = blocks
            .skip_while(|block| (block + 1) * BLOCK_BYTES <= range.start)
            .take_while(|block| block * BLOCK_BYTES < range.end)
            .peekable();
        let (mut under_way, mut left_out) = (VecDeque::new(), Vec::new());
        loop {
            let late = start.elapsed() >= limits::WARM_WORK_TIME && done.next != Some(range.start);
            let room = under_way.is_empty() || self.read_budget.has_room_ahead(BLOCK_BYTES as usize);
            if room
                && !late
                && left_out.is_empty()
                && under_way.len() < limits::WARM_BLOCKS_AT_ONCE
                && let Some(block) = blocks.next()
            {
                under_way.push_back(self.begin_warming(place, fill, block, range.end).await?);
            } else if let Some(begun) = under_way.pop_front() {
                done.bytes += bytes_of(begun.wanted, begun.end);
                done.next = Some((begun.block + 1) * BLOCK_BYTES);
                match self.end_warming(place, &begun).await? {
                    0 => done.cached += bytes_of(begun.wanted, begun.end),
                    _ => left_out.push(begun),
                }
            } else if let Some(begun) = left_out.pop() {
                // A block that is being stored can't make room for another. Now none is.
                let missing = self.end_warming(place, &begun).await?;
                done.cached += bytes_of(begun.wanted & !missing, begun.end);
            } else {
                break;
            }
        }
        if blocks.peek().is_none() {
            done.next = Some(if all { range.end } else { behind.min(range.end) });
        }
        Ok(())
    }

    async fn begin_warming(
        self: &Rc<Self>,
        place: &Place<'_>,
        fill: bool,
        block: u64,
        file_end: u64,
    ) -> FsResult<Begun> {
        let Place { part, file, cache } = place;
        let view = self.view(file, block).await?;
        let end = (file_end - block * BLOCK_BYTES).min(BLOCK_BYTES);
        let wanted = data_units(&view, end);
        let mut begun = Begun { block, wanted, end, fetches: Vec::new() };
        part.identify(cache, block, view.identity);
        if !fill || wanted == 0 {
            return Ok(begun);
        }
        let missing = wanted & !part.verify_units(cache, block, wanted).await;
        if missing == wanted {
            begun.fetches = self.fetch_units(file, &view, span_of(missing), true);
        } else {
            let mut rest = missing;
            while rest != 0 {
                let first = rest.trailing_zeros();
                let run = first..first + (rest >> first).trailing_ones();
                rest &= !super::read::unit_mask(&run);
                begun.fetches.extend(self.fetch_units(file, &view, run, false));
            }
        }
        Ok(begun)
    }

    /// The units that are not cached, although they were fetched and offered.
    async fn end_warming(self: &Rc<Self>, place: &Place<'_>, begun: &Begun) -> FsResult<u64> {
        let Place { file, cache, .. } = place;
        for fetched in &begun.fetches {
            fetched.event.wait_until(|| fetched.settled.get()).await;
            let bytes = match &*fetched.state.borrow() {
                FetchState::Ready(bytes) => bytes.clone(),
                FetchState::Failed(error) => return Err(*error),
                FetchState::Pending => unreachable!("settled"),
            };
            let units = super::read::unit_mask(&(fetched.first_unit..fetched.first_unit + fetched.units));
            if begun.wanted & units & !cache.valid_units(begun.block) != 0 {
                // They were still in memory, or had no room at first.
                self.cache_fetched(file, fetched, bytes).await;
            }
            if fetched.ahead {
                self.pass(file, fetched);
            }
        }
        Ok(begun.wanted & !cache.valid_units(begun.block))
    }

    /// Unpins files that are no more: another mount may have removed them. A few at a time, round and round.
    pub(crate) async fn look_after_pins(self: &Rc<Self>, part: &CachePart, after: Ino) -> Ino {
        let pinned = part.pinned_files(after, limits::PINS_LOOKED_AT_ONCE);
        for ino in &pinned {
            let ino = *ino;
            let found = self.read_metadata(move |metadata| metadata.get_attributes(ino)).await;
            if found.is_err_and(|error| error == Errno::ENOENT) {
                self.removed_owned(ino).await;
            }
        }
        pinned.last().copied().unwrap_or(Ino(0))
    }
}

/// The units of a block, up to byte `end` of it, in which something else than a hole lies.
fn data_units(view: &BlockView, end: u64) -> u64 {
    let within = super::read::unit_mask(&(0..end.div_ceil(UNIT_BYTES) as u32));
    view.data_units() & within
}

fn span_of(units: u64) -> Range<u32> {
    units.trailing_zeros()..u64::BITS - units.leading_zeros()
}

/// The bytes of these units in a block that ends at byte `end`.
fn bytes_of(units: u64, end: u64) -> u64 {
    let whole = u64::from(units.count_ones()) * UNIT_BYTES;
    let last = (end - 1) / UNIT_BYTES;
    match units & 1 << last {
        0 => whole,
        _ => whole - ((last + 1) * UNIT_BYTES - end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_unit_counts_as_far_as_the_file_reaches() {
        assert_eq!(bytes_of(0b11, 2 * UNIT_BYTES), 2 * UNIT_BYTES);
        assert_eq!(bytes_of(0b11, UNIT_BYTES + 1), UNIT_BYTES + 1);
        assert_eq!(bytes_of(0b01, UNIT_BYTES + 1), UNIT_BYTES);
        assert_eq!(bytes_of(u64::MAX, BLOCK_BYTES), BLOCK_BYTES);
        assert_eq!((span_of(0b0110), span_of(u64::MAX)), (1..3, 0..64));
    }
}
