//! The bytes of one file that one owner has locked: what taking, converting and giving up a range makes of them.
//!
//! Kept sorted, disjoint and joined: two ranges that touch have different modes.

use shoal_types::{LockMode, LockRange};

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LockRanges(Vec<(LockRange, LockMode)>);

impl LockRanges {
    /// `None` for ranges that are not in the order in which they are kept.
    pub fn from_sorted(ranges: Vec<(LockRange, LockMode)>) -> Option<Self> {
        let apart = |one: &(LockRange, LockMode), other: &(LockRange, LockMode)| {
            one.0.end < other.0.start && !(one.0.end + 1 == other.0.start && one.1 == other.1)
        };
        ranges.is_sorted_by(apart).then_some(LockRanges(ranges))
    }

    pub fn iter(&self) -> impl Iterator<Item = (LockRange, LockMode)> + '_ {
        self.0.iter().copied()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Locks `range` in `mode`, or gives it up. What was held of it before in another mode is converted; what lies
    /// outside stays, cut where necessary.
    pub fn set(&mut self, range: LockRange, mode: Option<LockMode>) {
        let mut pieces = Vec::with_capacity(self.0.len() + 2);
        for (held, held_mode) in self.0.drain(..) {
            if held.start < range.start {
                pieces.push((LockRange { end: held.end.min(range.start - 1), ..held }, held_mode));
            }
            if held.end > range.end {
                pieces.push((LockRange { start: held.start.max(range.end + 1), ..held }, held_mode));
            }
        }
        pieces.extend(mode.map(|mode| (range, mode)));
        pieces.sort_unstable_by_key(|(piece, _)| piece.start);
        for (piece, mode) in pieces {
            match self.0.last_mut() {
                Some((last, last_mode)) if *last_mode == mode && last.end + 1 == piece.start => last.end = piece.end,
                _ => self.0.push((piece, mode)),
            }
        }
    }

    /// The first locked range that keeps another owner from locking `range` in `mode`.
    pub fn conflict(&self, range: LockRange, mode: LockMode) -> Option<(LockRange, LockMode)> {
        self.iter().find(|(held, held_mode)| held.overlaps(range) && held_mode.excludes(mode))
    }

    /// The first of them that has a byte in `range`.
    pub fn overlap(&self, range: LockRange) -> Option<(LockRange, LockMode)> {
        self.iter().find(|(held, _)| held.overlaps(range))
    }

    /// Whether `set` would give up anything that keeps others away.
    pub fn gives_up(&self, range: LockRange, mode: Option<LockMode>) -> bool {
        self.iter().any(|(held, held_mode)| match mode {
            _ if !held.overlaps(range) => false,
            None => true,
            Some(mode) => held_mode == LockMode::Exclusive && mode == LockMode::Shared,
        })
    }

    /// Whether `set` would end exclusive use of any byte: what was written under it must be seen by others from then on.
    pub fn ends_exclusion(&self, range: LockRange, mode: Option<LockMode>) -> bool {
        let exclusive = |(held, mode): (LockRange, LockMode)| mode == LockMode::Exclusive && held.overlaps(range);
        mode != Some(LockMode::Exclusive) && self.iter().any(exclusive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use shoal_types::FILE_BYTES_MAX;

    /// Bytes of the naive model; the last stands for all behind it.
    const BYTES: u64 = 24;

    type Naive = [Option<LockMode>; BYTES as usize];

    fn range(start: u64, end: u64) -> LockRange {
        let end = if end == BYTES - 1 { FILE_BYTES_MAX } else { end };
        LockRange::new(start, end).unwrap()
    }

    fn bytes(ranges: &LockRanges) -> Naive {
        let at = |byte: u64| ranges.overlap(LockRange { start: byte, end: byte }).map(|(_, mode)| mode);
        std::array::from_fn(|byte| at(byte as u64))
    }

    fn mode() -> impl Strategy<Value = LockMode> {
        prop_oneof![Just(LockMode::Shared), Just(LockMode::Exclusive)]
    }

    fn some_range() -> impl Strategy<Value = (u64, u64)> {
        (0..BYTES, 0..BYTES).prop_map(|(one, other)| (one.min(other), one.max(other)))
    }

    proptest! {
        #[test]
        fn every_change_does_to_each_byte_what_it_says_and_leaves_the_rest(
            steps in prop::collection::vec((some_range(), prop::option::of(mode())), 1..30),
            (probe_start, probe_end) in some_range(),
            probe_mode in mode(),
        ) {
            let (mut ranges, mut naive) = (LockRanges::default(), [None; BYTES as usize]);
            for ((start, end), mode) in steps {
                let touched = start as usize..=end as usize;
                let gives_up = naive[touched.clone()].iter().any(|held| match (held, mode) {
                    (Some(_), None) => true,
                    (Some(held), Some(mode)) => *held == LockMode::Exclusive && mode == LockMode::Shared,
                    (None, _) => false,
                });
                prop_assert_eq!(ranges.gives_up(range(start, end), mode), gives_up);
                let exclusive = naive[touched.clone()].contains(&Some(LockMode::Exclusive));
                let ends_exclusion = exclusive && mode != Some(LockMode::Exclusive);
                prop_assert_eq!(ranges.ends_exclusion(range(start, end), mode), ends_exclusion);
                ranges.set(range(start, end), mode);
                naive[touched].fill(mode);
                prop_assert_eq!(bytes(&ranges), naive);
                prop_assert_eq!(LockRanges::from_sorted(ranges.iter().collect()), Some(ranges.clone()), "normal form");
            }
            let probed = &naive[probe_start as usize..=probe_end as usize];
            let conflicts = probed.iter().flatten().any(|held| held.excludes(probe_mode));
            prop_assert_eq!(ranges.conflict(range(probe_start, probe_end), probe_mode).is_some(), conflicts);
        }
    }

    #[test]
    fn a_lock_in_the_middle_of_another_splits_it_and_joins_it_again() {
        let mut ranges = LockRanges::default();
        ranges.set(LockRange::WHOLE, Some(LockMode::Exclusive));
        ranges.set(LockRange { start: 10, end: 19 }, Some(LockMode::Shared));
        let pieces: Vec<_> = ranges.iter().map(|(range, mode)| (range.start, range.end, mode)).collect();
        let expected =
            [(0, 9, LockMode::Exclusive), (10, 19, LockMode::Shared), (20, FILE_BYTES_MAX, LockMode::Exclusive)];
        assert_eq!(pieces, expected);
        ranges.set(LockRange { start: 10, end: 19 }, Some(LockMode::Exclusive));
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [(LockRange::WHOLE, LockMode::Exclusive)]);
        ranges.set(LockRange::WHOLE, None);
        assert!(ranges.is_empty());
    }

    #[test]
    fn ranges_that_are_not_in_normal_form_are_refused() {
        let (one, next) = (LockRange { start: 0, end: 4 }, LockRange { start: 5, end: 9 });
        let (shared, exclusive) = (LockMode::Shared, LockMode::Exclusive);
        assert!(LockRanges::from_sorted(vec![(one, shared), (next, exclusive)]).is_some());
        for wrong in [vec![(one, shared), (next, shared)], vec![(next, shared), (one, exclusive)]] {
            assert_eq!(LockRanges::from_sorted(wrong), None);
        }
    }
}
