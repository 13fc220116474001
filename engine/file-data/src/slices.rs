//! A chunk's slice list resolved: for each byte the one slice that counts.
//!
//! Relies on lists in the order in which they were committed: a later slice covers earlier ones.

use shoal_types::{CHUNK_BYTES, ObjectId, ObjectKind, Slice};
use std::collections::BTreeMap;
use std::ops::Range;

/// A run of a chunk's bytes with one source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    /// First byte within the chunk.
    pub position: u32,
    /// Bytes, at least 1.
    pub length: u32,
    pub source: Source,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// Zeros: never written, or written over by a hole.
    Hole,
    Object {
        object: ObjectId,
        /// Of the extent's first byte, in the object's plain content.
        object_offset: u32,
        /// Bytes of the object's whole plain content.
        object_length: u32,
        kind: ObjectKind,
    },
}

impl Extent {
    pub fn end(&self) -> u32 {
        self.position + self.length
    }

    /// The part of this extent within `range`, which it overlaps.
    fn within(&self, range: &Range<u32>) -> Extent {
        let position = self.position.max(range.start);
        let end = self.end().min(range.end);
        assert!(position < end, "an extent outside of what is asked for");
        Extent { position, length: end - position, source: self.source.advanced(position - self.position) }
    }

    /// `next` stands right behind `self`, in the file and in the object.
    fn continues_in(&self, next: &Extent) -> bool {
        self.end() == next.position && self.source.advanced(self.length) == next.source
    }
}

impl Source {
    fn of(slice: &Slice) -> Source {
        match slice.kind {
            ObjectKind::Hole => Source::Hole,
            kind => Source::Object {
                object: slice.object,
                object_offset: slice.object_offset,
                object_length: slice.object_length,
                kind,
            },
        }
    }

    fn advanced(self, count: u32) -> Source {
        match self {
            Source::Hole => Source::Hole,
            Source::Object { object, object_offset, object_length, kind } => {
                Source::Object { object, object_offset: object_offset + count, object_length, kind }
            }
        }
    }
}

/// The extents that make up `range`: in order, without gaps, neighbours from one place in one piece.
pub fn resolve(list: &[Slice], range: Range<u32>) -> Vec<Extent> {
    ResolvedChunk::new(list).extents(range)
}

/// A resolved list, kept for looking up ranges.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ResolvedChunk {
    /// Only what comes from objects; all else is holes.
    data: Vec<Extent>,
}

impl ResolvedChunk {
    pub fn new(list: &[Slice]) -> Self {
        let mut overlay = BTreeMap::new();
        for slice in list {
            assert!(slice.length > 0, "a slice of nothing");
            assert!(u64::from(slice.position) + u64::from(slice.length) <= CHUNK_BYTES, "a slice outside of its chunk");
            let extent = Extent { position: slice.position, length: slice.length, source: Source::of(slice) };
            clear(&mut overlay, extent.position..extent.end());
            if extent.source != Source::Hole {
                overlay.insert(extent.position, extent);
            }
        }
        ResolvedChunk { data: joined(overlay.into_values()) }
    }

    /// The extents that make up `range`: in order, without gaps, neighbours from one place in one piece.
    pub fn extents(&self, range: Range<u32>) -> Vec<Extent> {
        let mut extents = Vec::new();
        if range.is_empty() {
            return extents;
        }
        let mut at = range.start;
        let first = self.data.partition_point(|extent| extent.end() <= range.start);
        for extent in self.data[first..].iter().take_while(|extent| extent.position < range.end) {
            let extent = extent.within(&range);
            if at < extent.position {
                extents.push(hole(at..extent.position));
            }
            at = extent.end();
            extents.push(extent);
        }
        if at < range.end {
            extents.push(hole(at..range.end));
        }
        extents
    }

    /// The first byte at or behind `from` that comes from an object.
    pub fn next_data(&self, from: u32) -> Option<u32> {
        let next = self.data.partition_point(|extent| extent.end() <= from);
        self.data.get(next).map(|extent| extent.position.max(from))
    }

    /// The first byte at or behind `from` that comes from no object; perhaps the one behind the chunk.
    pub fn next_hole(&self, from: u32) -> u32 {
        let mut at = from;
        let next = self.data.partition_point(|extent| extent.end() <= from);
        for extent in &self.data[next..] {
            if extent.position > at {
                break;
            }
            at = extent.end();
        }
        at
    }

    /// What comes from objects, in order.
    pub fn data(&self) -> &[Extent] {
        &self.data
    }

    /// Bytes that come from objects.
    pub fn data_bytes(&self) -> u64 {
        self.data.iter().map(|extent| u64::from(extent.length)).sum()
    }
}

fn hole(range: Range<u32>) -> Extent {
    Extent { position: range.start, length: range.end - range.start, source: Source::Hole }
}

/// Takes `range` out of the extents; one that reaches beyond it keeps the parts outside. Each slice adds at most two
/// extents, so a list of n slices is resolved in O(n log n).
fn clear(overlay: &mut BTreeMap<u32, Extent>, range: Range<u32>) {
    let first = overlay.range(..range.start).next_back().filter(|(_, extent)| extent.end() > range.start);
    let first = first.map_or(range.start, |(position, _)| *position);
    let overlapped: Vec<u32> = overlay.range(first..range.end).map(|(position, _)| *position).collect();
    for position in overlapped {
        let extent = overlay.remove(&position).expect("just seen");
        if extent.position < range.start {
            overlay.insert(extent.position, extent.within(&(0..range.start)));
        }
        if extent.end() > range.end {
            overlay.insert(range.end, extent.within(&(range.end..u32::MAX)));
        }
    }
}

fn joined(extents: impl Iterator<Item = Extent>) -> Vec<Extent> {
    let mut joined: Vec<Extent> = Vec::new();
    for extent in extents {
        match joined.last_mut() {
            Some(last) if last.continues_in(&extent) => last.length += extent.length,
            _ => joined.push(extent),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slice(position: u32, length: u32, object: u64) -> Slice {
        let kind = if object == 0 { ObjectKind::Hole } else { ObjectKind::Block };
        Slice { position, length, object: ObjectId(object), object_offset: 100, object_length: 1 << 20, kind }
    }

    /// For each byte: object and offset, the slow and obvious way.
    fn naive(list: &[Slice], length: usize) -> Vec<Option<(u64, u32)>> {
        let mut bytes = vec![None; length];
        for slice in list {
            for at in slice.position..slice.end() {
                let place = (slice.object.0, slice.object_offset + at - slice.position);
                bytes[at as usize] = (slice.kind != ObjectKind::Hole).then_some(place);
            }
        }
        bytes
    }

    fn spread(extents: &[Extent]) -> Vec<Option<(u64, u32)>> {
        let bytes = |extent: &Extent| {
            let source = extent.source;
            (0..extent.length).map(move |at| match source.advanced(at) {
                Source::Hole => None,
                Source::Object { object, object_offset, .. } => Some((object.0, object_offset)),
            })
        };
        extents.iter().flat_map(bytes).collect()
    }

    #[test]
    fn an_empty_list_is_one_hole() {
        assert_eq!(resolve(&[], 5..10), [hole(5..10)]);
        assert_eq!(resolve(&[], 5..5), []);
    }

    #[test]
    fn a_slice_covered_in_the_middle_shows_on_both_sides() {
        let extents = resolve(&[slice(0, 30, 1), slice(10, 10, 2)], 0..40);
        let shown: Vec<(u32, u32)> = extents.iter().map(|extent| (extent.position, extent.length)).collect();
        assert_eq!(shown, [(0, 10), (10, 10), (20, 10), (30, 10)]);
        let Source::Object { object, object_offset, .. } = extents[2].source else { panic!("a hole") };
        assert_eq!((object, object_offset), (ObjectId(1), 120));
    }

    #[test]
    fn lists_of_thousands_of_slices_resolve() {
        let list: Vec<Slice> = (0..20_000u32).map(|n| slice(n * 7919 % 60_000_000, 5000, u64::from(n) + 1)).collect();
        let extents = resolve(&list, 0..CHUNK_BYTES as u32);
        assert_eq!(extents.iter().map(|extent| u64::from(extent.length)).sum::<u64>(), CHUNK_BYTES);
    }

    fn slices() -> impl Strategy<Value = Vec<Slice>> {
        let one =
            (0u32..300, 1u32..100, 0u64..4).prop_map(|(position, length, object)| slice(position, length, object));
        proptest::collection::vec(one, 0..40)
    }

    proptest! {
        #[test]
        fn resolving_agrees_with_painting_byte_by_byte(list in slices(), start in 0u32..400, length in 0u32..200) {
            let range = start..start + length;
            let extents = resolve(&list, range.clone());
            let painted = naive(&list, 700);
            prop_assert_eq!(spread(&extents), &painted[range.start as usize..range.end as usize]);
            prop_assert!(extents.iter().all(|extent| extent.length > 0));
            prop_assert!(extents.windows(2).all(|pair| pair[0].end() == pair[1].position));
            prop_assert!(extents.windows(2).all(|pair| !pair[0].continues_in(&pair[1])));
        }

        #[test]
        fn data_and_holes_begin_where_painting_shows_it(list in slices(), from in 0u32..500) {
            let resolved = ResolvedChunk::new(&list);
            let painted = naive(&list, 700);
            let first = |data: bool| (from..700).find(|at| painted[*at as usize].is_some() == data);
            prop_assert_eq!(resolved.next_data(from), first(true));
            prop_assert_eq!(Some(resolved.next_hole(from)), first(false));
        }
    }
}
