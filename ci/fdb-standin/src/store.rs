//! The data of a cluster: every value of the last five seconds, and which ranges the commits of that time have written.

use crate::errors::{FUTURE_VERSION, NOT_COMMITTED, TRANSACTION_TOO_LARGE, TRANSACTION_TOO_OLD};
use crate::log::Log;
use crate::mutation::{CLEAR_RANGE, METADATA_VERSION, Mutation};
use crate::wire::{Bytes, Commit, Range};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::time::Instant;

pub struct Store {
    /// By version, the newest last; the first is from before the window, or the key's first.
    values: BTreeMap<Bytes, Vec<(i64, Option<Bytes>)>>,
    /// Keys that were cleared, to be forgotten when nobody can see what they were.
    cleared: VecDeque<(i64, Bytes)>,
    /// What the commits of the window have written.
    written: VecDeque<(i64, Vec<Range>)>,
    log: Log,
    first: i64,
    last: i64,
    start: Instant,
}

/// Versions pass at a million a second, whether anybody commits or not.
const WINDOW: i64 = 5_000_000;
/// So far the versions jump when a cluster recovers: nothing from before is of use any more.
const RECOVERY: i64 = 100_000_000;
const TRANSACTION_BYTES_MAX: usize = 10_000_000;
const BATCH_BYTES_MAX: usize = 80_000;

impl Store {
    pub fn over(mut log: Log) -> Self {
        let (mut values, mut last) = (BTreeMap::new(), 0);
        while let Some((version, writes)) = log.read() {
            last = version;
            for (key, value) in writes {
                match value {
                    Some(value) => drop(values.insert(key, vec![(0, Some(value))])),
                    None => drop(values.remove(&key)),
                }
            }
        }
        let first = last + RECOVERY;
        let (cleared, written) = (VecDeque::new(), VecDeque::new());
        Store { values, cleared, written, log, first, last: first, start: Instant::now() }
    }

    pub fn read_version(&mut self) -> (i64, Option<Bytes>) {
        self.last = self.last.max(self.first + self.start.elapsed().as_micros() as i64);
        (self.last, self.newest(METADATA_VERSION).cloned())
    }

    pub fn get(&mut self, version: i64, key: &[u8]) -> Result<Option<Bytes>, i32> {
        self.check(version)?;
        Ok(self.values.get(key).and_then(|values| at(values, version)).cloned())
    }

    pub fn get_range(
        &mut self,
        version: i64,
        (start, end): &Range,
        limit: usize,
        reverse: bool,
    ) -> Result<(Vec<Range>, bool), i32> {
        self.check(version)?;
        if start >= end {
            return Ok((Vec::new(), false));
        }
        let range = self.values.range::<[u8], _>((Bound::Included(start.as_slice()), Bound::Excluded(end.as_slice())));
        let found = |(key, values): (&Bytes, &Vec<_>)| at(values, version).map(|value| (key.clone(), value.clone()));
        let mut found: Box<dyn Iterator<Item = Range>> = match reverse {
            false => Box::new(range.filter_map(found)),
            true => Box::new(range.rev().filter_map(found)),
        };
        let (mut pairs, mut bytes) = (Vec::new(), 0);
        while pairs.len() < limit && bytes < BATCH_BYTES_MAX {
            let Some(pair) = found.next() else { return Ok((pairs, false)) };
            bytes += pair.0.len() + pair.1.len();
            pairs.push(pair);
        }
        Ok((pairs, true))
    }

    /// Whether a value is not what it was at this version, as far as can be told.
    pub fn has_changed(&self, version: i64, key: &[u8]) -> bool {
        let values = self.values.get(key).map(Vec::as_slice).unwrap_or_default();
        version < self.first || at(values, version) != values.last().and_then(|(_, value)| value.as_ref())
    }

    /// Gives the keys that were written.
    pub fn commit(&mut self, commit: Commit) -> Result<Vec<Bytes>, i32> {
        let size = |ranges: &[Range]| ranges.iter().map(|(start, end)| start.len() + end.len()).sum::<usize>();
        let mutated: usize = commit.mutations.iter().map(|change| change.key.len() + change.operand.len()).sum();
        if size(&commit.reads) + size(&commit.writes) + mutated > TRANSACTION_BYTES_MAX {
            return Err(TRANSACTION_TOO_LARGE);
        }
        commit.mutations.iter().try_for_each(Mutation::check)?;
        if let Some(version) = commit.version {
            self.check(version)?;
            let newer = self.written.iter().rev().take_while(|(written, _)| *written > version);
            let meets = |(start, end): &Range| {
                newer.clone().flat_map(|(_, ranges)| ranges).any(|(first, last)| first < end && start < last)
            };
            if commit.reads.iter().any(meets) {
                return Err(NOT_COMMITTED);
            }
        }
        let before = self.last;
        let version = self.read_version().0.max(before + 1);
        self.last = version;
        let mut stamp = [0; 10];
        stamp[..8].copy_from_slice(&version.to_be_bytes());
        let mutations = commit.mutations.into_iter().map(|mutation| mutation.stamped(&stamp));
        let mutations = mutations.collect::<Result<Vec<_>, _>>()?;
        let mut ranges: Vec<Range> = mutations.iter().map(Mutation::range).collect();
        ranges.extend(commit.writes);
        let changes = self.changes(&mutations)?;
        self.log.write(version, &changes);
        self.written.push_back((version, ranges));
        let keys = changes.keys().cloned().collect();
        changes.into_iter().for_each(|(key, value)| self.put(version, key, value));
        self.forget();
        Ok(keys)
    }

    /// What each key is to be.
    fn changes(&self, mutations: &[Mutation]) -> Result<BTreeMap<Bytes, Option<Bytes>>, i32> {
        let mut changes = BTreeMap::<Bytes, Option<Bytes>>::new();
        for mutation in mutations {
            let (start, end) = mutation.range();
            if mutation.kind == CLEAR_RANGE {
                if start < end {
                    changes.range_mut(start.clone()..end.clone()).for_each(|(_, value)| *value = None);
                    let there = self.values.range(start..end).filter(|(key, _)| self.newest(key).is_some());
                    changes.extend(there.map(|(key, _)| (key.clone(), None)));
                }
                continue;
            }
            let before = match changes.get(&start) {
                Some(changed) => changed.as_ref(),
                None => self.newest(&start),
            };
            let value = mutation.apply(before.map(Vec::as_slice))?;
            changes.insert(start, Some(value));
        }
        Ok(changes)
    }

    fn put(&mut self, version: i64, key: Bytes, value: Option<Bytes>) {
        if value.is_none() {
            self.cleared.push_back((version, key.clone()));
        }
        let values = self.values.entry(key).or_default();
        values.push((version, value));
        let old = values.iter().rposition(|(written, _)| *written <= version - WINDOW).unwrap_or(0);
        values.drain(..old);
    }

    fn forget(&mut self) {
        let horizon = self.last - WINDOW;
        while self.written.front().is_some_and(|(version, _)| *version < horizon) {
            self.written.pop_front();
        }
        while self.cleared.front().is_some_and(|(version, _)| *version < horizon) {
            let (version, key) = self.cleared.pop_front().expect("it was just seen");
            let gone = |values: &Vec<_>| values.last().is_some_and(|(written, _)| *written == version);
            if self.values.get(&key).is_some_and(gone) {
                self.values.remove(&key);
            }
        }
    }

    fn newest(&self, key: &[u8]) -> Option<&Bytes> {
        self.values.get(key)?.last()?.1.as_ref()
    }

    fn check(&mut self, version: i64) -> Result<(), i32> {
        let (now, _) = self.read_version();
        match version {
            _ if version < self.first || version < now - WINDOW => Err(TRANSACTION_TOO_OLD),
            _ if version > now => Err(FUTURE_VERSION),
            _ => Ok(()),
        }
    }
}

fn at(values: &[(i64, Option<Bytes>)], version: i64) -> Option<&Bytes> {
    values.iter().rev().find(|(written, _)| *written <= version)?.1.as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutation::{ADD, SET};

    fn store() -> Store {
        Store::over(Log::none())
    }

    fn set(key: &[u8], value: &[u8]) -> Mutation {
        Mutation { kind: SET, key: key.to_vec(), operand: value.to_vec() }
    }

    fn point(key: &[u8]) -> Range {
        (key.to_vec(), [key, &[0]].concat())
    }

    #[test]
    fn a_version_shows_what_was_then() {
        let mut store = store();
        store.commit(Commit { mutations: vec![set(b"a", b"1"), set(b"b", b"1")], ..Commit::default() }).unwrap();
        let (before, _) = store.read_version();
        let clear = Mutation { kind: CLEAR_RANGE, key: b"a".to_vec(), operand: b"c".to_vec() };
        store.commit(Commit { mutations: vec![clear, set(b"b", b"2")], ..Commit::default() }).unwrap();
        let (after, _) = store.read_version();
        assert_eq!(store.get(before, b"a"), Ok(Some(b"1".to_vec())));
        assert_eq!(store.get(after, b"a"), Ok(None));
        let all = (b"".to_vec(), b"\xff".to_vec());
        assert_eq!(store.get_range(before, &all, 9, false).unwrap().0.len(), 2);
        assert_eq!(store.get_range(after, &all, 9, true), Ok((vec![(b"b".to_vec(), b"2".to_vec())], false)));
        assert_eq!(store.get(after + 60_000_000, b"a"), Err(FUTURE_VERSION));
        assert_eq!(store.get(before - RECOVERY, b"a"), Err(TRANSACTION_TOO_OLD));
        assert!(store.has_changed(before, b"a") && !store.has_changed(after, b"a"));
    }

    #[test]
    fn who_has_read_what_was_written_since_does_not_commit() {
        let mut store = store();
        let (version, _) = store.read_version();
        let add = Mutation { kind: ADD, key: b"a".to_vec(), operand: vec![1] };
        let commit = |reads: &[Range]| Commit {
            version: Some(version),
            reads: reads.to_vec(),
            mutations: vec![add.clone()],
            ..Commit::default()
        };
        assert!(store.commit(commit(&[point(b"a")])).is_ok());
        assert_eq!(store.commit(commit(&[point(b"a")])), Err(NOT_COMMITTED));
        assert_eq!(store.commit(commit(&[(b"".to_vec(), b"b".to_vec())])), Err(NOT_COMMITTED));
        assert!(store.commit(commit(&[point(b"aa"), point(b"")])).is_ok());
        assert_eq!(store.newest(b"a"), Some(&vec![2]));
    }
}
