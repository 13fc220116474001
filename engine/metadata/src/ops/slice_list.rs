//! What truncation, hole punching, copying and tidying do to a chunk's slice list: pure functions, no store.
//!
//! Relies on lists in the order in which they were committed: a later slice covers earlier ones. Resolving a list for
//! reading is `shoal-file-data`'s work.

use crate::MetaResult;
use crate::records::encode_slices;
use shoal_kv::limits;
use shoal_types::{Errno, ObjectKind, Slice};
use std::collections::BTreeMap;
use std::ops::Range;

/// The list without what stands at or behind `end`; below it, it shows the same bytes.
pub(crate) fn cut(list: &[Slice], end: u32) -> Vec<Slice> {
    list.iter().filter_map(|slice| part(slice, &(0..end))).collect()
}

/// The list without anything in `hole`; elsewhere it shows the same bytes.
pub(crate) fn without(list: &[Slice], hole: &Range<u32>) -> Vec<Slice> {
    let left = |slice| [part(slice, &(0..hole.start)), part(slice, &(hole.end..u32::MAX))];
    list.iter().flat_map(left).flatten().collect()
}

/// What the list shows of `wanted`, as slices that do not overlap, in order. Holes are left out.
pub(crate) fn shown(list: &[Slice], wanted: &Range<u32>) -> Vec<Slice> {
    let mut covered = Ranges::default();
    let mut shown = Vec::new();
    for slice in list.iter().rev().filter_map(|slice| part(slice, wanted)) {
        if slice.kind != ObjectKind::Hole {
            shown.extend(covered.gaps(&range(&slice)).iter().filter_map(|gap| part(&slice, gap)));
        }
        covered.cover(range(&slice));
    }
    shown.sort_unstable_by_key(|slice| slice.position);
    shown
}

/// The list without slices that later ones cover wholly; it shows the same bytes.
pub(crate) fn without_covered(list: &[Slice]) -> Vec<Slice> {
    let mut covered = Ranges::default();
    let mut kept: Vec<Slice> = list.iter().rev().filter(|slice| covered.cover(range(slice))).copied().collect();
    kept.reverse();
    kept
}

/// Whether a byte at or behind `start` comes from an object.
pub(crate) fn shows_data_from(list: &[Slice], start: u32) -> bool {
    let mut covered = Ranges::default();
    list.iter().rev().any(|slice| {
        let shown = slice.end() > start && covered.cover(slice.position.max(start)..slice.end());
        shown && slice.kind != ObjectKind::Hole
    })
}

/// Bytes of slices that refer to objects: what the list adds to `allocated`.
pub(crate) fn allocated(list: &[Slice]) -> i64 {
    list.iter().filter(|slice| slice.kind != ObjectKind::Hole).map(|slice| i64::from(slice.length)).sum()
}

/// `EFBIG` for a list that is too long for any value.
pub(crate) fn require_room(list: &[Slice]) -> MetaResult<()> {
    match encode_slices(list).len() > limits::VALUE_BYTES_MAX {
        true => Err(Errno::EFBIG.into()),
        false => Ok(()),
    }
}

fn range(slice: &Slice) -> Range<u32> {
    slice.position..slice.end()
}

/// The part of a slice within `range`, if there is one.
fn part(slice: &Slice, range: &Range<u32>) -> Option<Slice> {
    let position = slice.position.max(range.start);
    let end = slice.end().min(range.end);
    let object_offset = match slice.kind {
        ObjectKind::Hole => 0,
        _ => slice.object_offset + (position - slice.position),
    };
    (position < end).then(|| Slice { position, length: end - position, object_offset, ..*slice })
}

/// Disjoint ranges that do not touch, by their starts.
#[derive(Default)]
struct Ranges(BTreeMap<u32, u32>);

impl Ranges {
    /// Adds `range`; whether any of it was new.
    fn cover(&mut self, range: Range<u32>) -> bool {
        let before = self.0.range(..=range.start).next_back().map(|(start, end)| (*start, *end));
        let joined = before.filter(|(_, end)| *end >= range.start);
        if joined.is_some_and(|(_, end)| end >= range.end) {
            return false;
        }
        let start = joined.map_or(range.start, |(start, _)| start);
        let swallowed: Vec<_> = self.0.range(start..=range.end).map(|(start, end)| (*start, *end)).collect();
        let end = swallowed.iter().map(|(_, end)| *end).fold(range.end, u32::max);
        for (start, _) in swallowed {
            self.0.remove(&start);
        }
        self.0.insert(start, end);
        true
    }

    /// What of `range` is not covered, in order.
    fn gaps(&self, range: &Range<u32>) -> Vec<Range<u32>> {
        let before = self.0.range(..range.start).next_back().map_or(0, |(_, end)| *end);
        let mut at = range.start.max(before);
        let mut gaps = Vec::new();
        for (start, end) in self.0.range(range.clone()) {
            if at < *start {
                gaps.push(at..*start);
            }
            at = *end;
        }
        if at < range.end {
            gaps.push(at..range.end);
        }
        gaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use shoal_types::ObjectId;

    fn slice(position: u32, length: u32, object: u64) -> Slice {
        match object {
            0 => Slice::hole(position, length),
            _ => Slice {
                position,
                length,
                object: ObjectId(object),
                object_offset: 7,
                object_length: 1000,
                kind: ObjectKind::Block,
            },
        }
    }

    /// For each byte the object and the place in it, the slow and obvious way.
    fn painted(list: &[Slice]) -> Vec<Option<(u64, u32)>> {
        let mut bytes = vec![None; 200];
        for slice in list {
            for at in slice.position..slice.end() {
                let place = (slice.object.0, slice.object_offset + at - slice.position);
                bytes[at as usize] = (slice.kind != ObjectKind::Hole).then_some(place);
            }
        }
        bytes
    }

    #[test]
    fn a_list_written_over_and_over_keeps_the_last_writes() {
        let list: Vec<Slice> = (0..50).map(|n| slice(n % 5 * 10, 10, u64::from(n) + 1)).collect();
        assert_eq!(without_covered(&list), list[45..]);
    }

    #[test]
    fn a_slice_that_shows_a_single_byte_is_kept() {
        let list = [slice(0, 30, 1), slice(0, 10, 2), slice(11, 19, 3)];
        assert_eq!(without_covered(&list), list);
    }

    fn lists() -> impl Strategy<Value = Vec<Slice>> {
        let one = (0u32..100, 1u32..60, 0u64..5).prop_map(|(position, length, object)| slice(position, length, object));
        proptest::collection::vec(one, 0..25)
    }

    proptest! {
        #[test]
        fn dropping_covered_slices_changes_no_shown_byte(list in lists()) {
            let kept = without_covered(&list);
            prop_assert_eq!(painted(&kept), painted(&list));
            prop_assert_eq!(without_covered(&kept), kept);
        }

        #[test]
        fn cutting_changes_no_byte_before_the_cut_and_leaves_none_behind_it(list in lists(), end in 0u32..170) {
            let (before, after) = (painted(&list), painted(&cut(&list, end)));
            prop_assert_eq!(&after[..end as usize], &before[..end as usize]);
            prop_assert!(after[end as usize..].iter().all(Option::is_none));
        }

        #[test]
        fn a_hole_changes_no_byte_outside_of_it_and_leaves_none_inside(
            list in lists(), start in 0u32..170, length in 0u32..60,
        ) {
            let hole = start..(start + length).min(200);
            let (before, after) = (painted(&list), painted(&without(&list, &hole)));
            for at in 0..200 {
                let expected = if hole.contains(&at) { None } else { before[at as usize] };
                prop_assert_eq!(after[at as usize], expected, "byte {}", at);
            }
        }

        #[test]
        fn what_is_shown_is_what_painting_shows_and_every_byte_of_it_once(
            list in lists(), start in 0u32..170, length in 0u32..60,
        ) {
            let wanted = start..(start + length).min(200);
            let shown = shown(&list, &wanted);
            let (before, after) = (painted(&list), painted(&shown));
            for at in 0..200 {
                let expected = if wanted.contains(&at) { before[at as usize] } else { None };
                prop_assert_eq!(after[at as usize], expected, "byte {}", at);
            }
            prop_assert!(shown.windows(2).all(|pair| pair[0].end() <= pair[1].position));
            prop_assert!(shown.iter().all(|slice| slice.kind != ObjectKind::Hole));
        }

        #[test]
        fn data_is_seen_from_a_place_on_exactly_where_painting_shows_some(list in lists(), start in 0u32..170) {
            let shown = painted(&list)[start as usize..].iter().any(Option::is_some);
            prop_assert_eq!(shows_data_from(&list, start), shown);
        }
    }
}
