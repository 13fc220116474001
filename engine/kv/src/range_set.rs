//! A set of keys given as ranges: kept sorted, disjoint and merged, so that a lookup is one step down a tree.
//! The write buffer keeps in it what was deleted by range.

use crate::KeyRange;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Invariant: the ranges (`start -> end`) are not empty and neither overlap nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeSet {
    ranges: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl RangeSet {
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub fn contains(&self, key: &[u8]) -> bool {
        !self.ranges.is_empty() && self.at_or_before(key).is_some_and(|(_, end)| key < end.as_slice())
    }

    pub fn intersects(&self, range: &KeyRange) -> bool {
        if self.ranges.is_empty() || range.start >= range.end {
            return false;
        }
        self.contains(&range.start)
            || self
                .ranges
                .range::<[u8], _>((Bound::Included(range.start.as_slice()), Bound::Excluded(range.end.as_slice())))
                .next()
                .is_some()
    }

    pub fn insert(&mut self, range: &KeyRange) {
        if range.start >= range.end {
            return;
        }
        let (mut start, mut end) = (range.start.clone(), range.end.clone());
        if let Some((before, before_end)) = self.at_or_before(&start)
            && *before_end >= start
        {
            end = end.max(before_end.clone());
            start = before.clone();
        }
        // Everything that begins inside (or just at the end of) the grown range melts into it. Merging one may reach
        // the next, but never beyond it: the old ranges were disjoint, so one pass in order is enough.
        while let Some((next, next_end)) = self
            .ranges
            .range::<[u8], _>((Bound::Included(start.as_slice()), Bound::Included(end.as_slice())))
            .next()
            .map(|(next, next_end)| (next.clone(), next_end.clone()))
        {
            self.ranges.remove(&next);
            end = end.max(next_end);
        }
        self.ranges.insert(start, end);
    }

    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.ranges.iter().map(|(start, end)| (start.as_slice(), end.as_slice()))
    }

    fn at_or_before(&self, key: &[u8]) -> Option<(&Vec<u8>, &Vec<u8>)> {
        self.ranges.range::<[u8], _>((Bound::Unbounded, Bound::Included(key))).next_back()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Random;

    #[test]
    fn agrees_with_a_plain_list_of_ranges() {
        for seed in 0..200 {
            let mut random = Random::new(seed);
            let mut set = RangeSet::default();
            let mut covered = [false; 32];
            for _ in 0..random.below(12) {
                let (start, end) = (random.below(32) as u8, random.below(33) as u8);
                set.insert(&KeyRange { start: vec![start], end: vec![end] });
                (start..end).for_each(|key| covered[usize::from(key)] = true);
            }
            for key in 0..32u8 {
                assert_eq!(set.contains(&[key]), covered[usize::from(key)], "seed {seed} key {key}");
                for end in key..=32 {
                    let expected = (key..end).any(|at| covered[usize::from(at)]);
                    let range = KeyRange { start: vec![key], end: vec![end] };
                    assert_eq!(set.intersects(&range), expected, "seed {seed} {key}..{end}");
                }
            }
            let ranges: Vec<_> = set.iter().collect();
            assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0), "seed {seed}: merged and disjoint");
        }
    }
}
