//! Buffered writes of one file: which bytes are newer than what is stored.
//!
//! Relies on callers to bound it (`bytes`). Never copies bytes, but for small writes that continue small ones: these
//! grow together, so that a stream of small appends doesn't become thousands of extents. A `Bytes` keeps the whole
//! allocation it is a part of alive; a small write cut out of a large request buffer is better copied before `insert`.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Range;

/// Extents of written bytes by offset. They do not overlap and are never empty.
#[derive(Clone, Debug, Default)]
pub struct DirtyMap {
    extents: BTreeMap<u64, Extent>,
    bytes: usize,
    /// The extent that is `Extent::Growing`, if one is.
    growing: Option<u64>,
    /// Where bytes were inserted since the last look for full blocks.
    touched: Option<Range<u64>>,
}

#[derive(Clone, Debug)]
enum Extent {
    Shared(Bytes),
    Growing(Vec<u8>),
}

impl Extent {
    fn as_slice(&self) -> &[u8] {
        match self {
            Extent::Shared(bytes) => bytes,
            Extent::Growing(bytes) => bytes,
        }
    }

    fn len(&self) -> usize {
        self.as_slice().len()
    }

    fn slice(&self, range: Range<usize>) -> Bytes {
        match self {
            Extent::Shared(bytes) => bytes.slice(range),
            Extent::Growing(bytes) => Bytes::copy_from_slice(&bytes[range]),
        }
    }
}

impl DirtyMap {
    /// Buffers `data` at `offset`, over whatever was buffered there.
    pub fn insert(&mut self, offset: u64, data: Bytes) {
        if data.is_empty() {
            return;
        }
        let end = offset.checked_add(data.len() as u64).expect("no file reaches the end of u64");
        self.touch(offset..end);
        self.clear(offset..end);
        self.bytes += data.len();
        if data.len() >= SMALL_BYTES || !self.append_to_neighbour(offset, &data) {
            self.extents.insert(offset, Extent::Shared(data));
        }
    }

    /// Lets the extent that ends at `offset` grow by `data`, if that extent is small as well.
    fn append_to_neighbour(&mut self, offset: u64, data: &Bytes) -> bool {
        let Some((&start, neighbour)) = self.extents.range_mut(..offset).next_back() else { return false };
        if start + neighbour.len() as u64 != offset || neighbour.len() + data.len() > GROWN_BYTES_MAX {
            return false;
        }
        match neighbour {
            Extent::Growing(bytes) => bytes.extend_from_slice(data),
            Extent::Shared(bytes) if bytes.len() < SMALL_BYTES => {
                let mut grown = Vec::with_capacity(2 * SMALL_BYTES);
                grown.extend_from_slice(bytes);
                grown.extend_from_slice(data);
                *neighbour = Extent::Growing(grown);
                if let Some(other) = self.growing.replace(start) {
                    self.settle(other);
                }
            }
            Extent::Shared(_) => return false,
        }
        true
    }

    /// Ends the growth of the extent at `start`.
    fn settle(&mut self, start: u64) {
        if let Some(extent) = self.extents.get_mut(&start)
            && let Extent::Growing(bytes) = extent
        {
            bytes.shrink_to_fit();
            *extent = Extent::Shared(std::mem::take(bytes).into());
        }
    }

    fn settle_growing(&mut self) {
        if let Some(start) = self.growing.take() {
            self.settle(start);
        }
    }

    fn touch(&mut self, range: Range<u64>) {
        self.touched = Some(match self.touched.take() {
            Some(touched) => touched.start.min(range.start)..touched.end.max(range.end),
            None => range,
        });
    }

    /// Takes `range` out of the map.
    fn clear(&mut self, range: Range<u64>) {
        drop(self.take(range));
    }

    /// Takes what is buffered within `range` out of the map, cutting extents at its borders.
    pub fn take(&mut self, range: Range<u64>) -> DirtyMap {
        let mut taken = DirtyMap::default();
        while let Some(start) = self.first_overlap(&range) {
            if self.growing == Some(start) {
                self.settle_growing();
            }
            let extent = self.extents.remove(&start).expect("just seen");
            let end = start + extent.len() as u64;
            let Extent::Shared(mut bytes) = extent else { unreachable!("settled above") };
            if end > range.end {
                let rest = bytes.split_off((range.end - start) as usize);
                self.extents.insert(range.end, Extent::Shared(rest));
            }
            if start < range.start {
                let rest = bytes.split_off((range.start - start) as usize);
                self.extents.insert(start, Extent::Shared(bytes));
                bytes = rest;
            }
            self.bytes -= bytes.len();
            taken.bytes += bytes.len();
            taken.extents.insert(start.max(range.start), Extent::Shared(bytes));
        }
        taken
    }

    /// Where the first extent starts that has bytes within `range`.
    fn first_overlap(&self, range: &Range<u64>) -> Option<u64> {
        self.overlapping(range).next().map(|(start, _)| start)
    }

    fn overlapping(&self, range: &Range<u64>) -> impl Iterator<Item = (u64, &Extent)> + use<'_> {
        let reaches_in = |(start, extent): &(&u64, &Extent)| **start + extent.len() as u64 > range.start;
        let before = self.extents.range(..range.start).next_back().filter(reaches_in);
        let rest = range.start..range.end.max(range.start);
        before
            .filter(|_| range.start < range.end)
            .into_iter()
            .chain(self.extents.range(rest))
            .map(|(at, extent)| (*at, extent))
    }

    /// The parts of extents within `range`: absolute offset, extent, part of the extent.
    fn parts(&self, range: Range<u64>) -> impl Iterator<Item = (u64, &Extent, Range<usize>)> + use<'_> {
        self.overlapping(&range).map(move |(start, extent)| {
            let from = start.max(range.start);
            let to = (start + extent.len() as u64).min(range.end);
            (from, extent, (from - start) as usize..(to - start) as usize)
        })
    }

    /// Adds what is buffered within `range` to `pieces`, in order: absolute offset and bytes.
    pub fn pieces(&self, range: Range<u64>, pieces: &mut Vec<(u64, Bytes)>) {
        pieces.extend(self.parts(range).map(|(from, extent, part)| (from, extent.slice(part))));
    }

    /// Copies what is buffered over `target`, which holds the file's bytes from `offset` on.
    pub fn overlay(&self, offset: u64, target: &mut [u8]) {
        for (from, extent, part) in self.parts(offset..offset + target.len() as u64) {
            let at = (from - offset) as usize;
            target[at..at + part.len()].copy_from_slice(&extent.as_slice()[part]);
        }
    }

    /// Every byte of `range` is buffered.
    pub fn covers(&self, range: Range<u64>) -> bool {
        let mut at = range.start;
        for (from, _, part) in self.parts(range.clone()) {
            if from != at {
                return false;
            }
            at += part.len() as u64;
        }
        at >= range.end
    }

    /// What is buffered as contiguous runs, in order.
    pub fn runs(&self) -> impl Iterator<Item = (u64, Vec<Bytes>)> + use<'_> {
        let mut extents = self.extents.iter().peekable();
        std::iter::from_fn(move || {
            let (&offset, first) = extents.next()?;
            let mut end = offset + first.len() as u64;
            let mut parts = vec![first.slice(0..first.len())];
            while let Some((_, next)) = extents.next_if(|(start, _)| **start == end) {
                end += next.len() as u64;
                parts.push(next.slice(0..next.len()));
            }
            Some((offset, parts))
        })
    }

    /// Takes out every block (aligned to `block_bytes`) that is buffered in full. Cheap when called after each insert:
    /// it looks only at blocks that have got bytes since the last call.
    pub fn take_full_blocks(&mut self, block_bytes: u64) -> Option<DirtyMap> {
        let touched = self.touched.take()?;
        let mut full = DirtyMap::default();
        let mut at = touched.start / block_bytes * block_bytes;
        while at < touched.end {
            let block = at..at.saturating_add(block_bytes);
            // A stream fills a block from its start, so asking for its last byte answers at once in most cases.
            if self.covers(block.end - 1..block.end) && self.covers(block.clone()) {
                full.absorb(self.take(block.clone()));
            }
            let Some(next) = self.first_overlap(&(block.end..touched.end)) else { break };
            at = next.max(block.end) / block_bytes * block_bytes;
        }
        (!full.is_empty()).then_some(full)
    }

    /// Adds the extents of a map that overlaps nowhere with this one.
    fn absorb(&mut self, other: DirtyMap) {
        self.bytes += other.bytes;
        self.extents.extend(other.extents);
    }

    /// Drops what lies at or beyond `length`.
    pub fn truncate(&mut self, length: u64) {
        self.clear(length..u64::MAX);
    }

    /// Bytes buffered.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The end of the last buffered byte, 0 if there's none.
    pub fn end(&self) -> u64 {
        self.extents.last_key_value().map_or(0, |(start, extent)| start + extent.len() as u64)
    }

    pub fn is_empty(&self) -> bool {
        self.extents.is_empty()
    }
}

/// Writes below this many bytes are joined with small neighbours before them.
const SMALL_BYTES: usize = 32 << 10;
/// Extents grow no further than this.
const GROWN_BYTES_MAX: usize = 128 << 10;

#[cfg(test)]
#[path = "dirty_tests.rs"]
mod tests;
