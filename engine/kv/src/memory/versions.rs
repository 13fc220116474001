//! Every value of every key that some snapshot may still see.
//!
//! Relies on its owner for locking. Versions count commits of the whole store, from 1; a commit's stamp is its version.
//! A deletion is a version too (a tombstone), so that "changed since" can be answered; it goes away once no snapshot is
//! older than it.

use crate::limits::STAMP_BYTES;
use crate::{Direction, Effect, KeyRange, KvError, KvResult, Pair, ReadSet, Reader, WriteBuffer};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

#[derive(Default)]
pub(super) struct Versions {
    /// Ascending by version; never empty.
    keys: BTreeMap<Vec<u8>, Vec<Version>>,
    latest: u64,
    /// The last commit that completed a key with a stamp.
    stamped: u64,
    /// Snapshots in use: version -> how many.
    snapshots: BTreeMap<u64, usize>,
    tombstones: VecDeque<(u64, Vec<u8>)>,
}

struct Version {
    at: u64,
    value: Option<Vec<u8>>,
}

impl Versions {
    pub fn latest(&self) -> u64 {
        self.latest
    }

    pub fn stamped_at(&self) -> u64 {
        self.stamped
    }

    pub fn pin(&mut self) -> u64 {
        *self.snapshots.entry(self.latest).or_default() += 1;
        self.latest
    }

    pub fn unpin(&mut self, version: u64) {
        let count = self.snapshots.get_mut(&version).expect("only pinned snapshots are unpinned");
        *count -= 1;
        if *count == 0 {
            self.snapshots.remove(&version);
        }
    }

    pub fn get(&self, key: &[u8], at: u64) -> Option<Vec<u8>> {
        self.keys.get(key).and_then(|versions| value_at(versions, at)).cloned()
    }

    pub fn scan(&self, range: &KeyRange, limit: usize, direction: Direction, at: u64) -> Vec<Pair> {
        let pairs = self.in_range(range).filter_map(|(key, versions)| Some((key, value_at(versions, at)?)));
        let owned = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
        match direction {
            Direction::Forward => pairs.take(limit).map(owned).collect(),
            Direction::Backward => pairs.rev().take(limit).map(owned).collect(),
        }
    }

    /// The version that last changed the key, 0 if that is long ago.
    pub fn changed_at(&self, key: &[u8]) -> u64 {
        self.keys.get(key).and_then(|versions| versions.last()).map_or(0, |version| version.at)
    }

    #[cfg(test)]
    pub fn kept(&self) -> usize {
        self.keys.values().map(Vec::len).sum()
    }

    /// All of `buffer` at once, if nothing in `reads` has changed since `snapshot`.
    pub fn commit(&mut self, snapshot: u64, mut buffer: WriteBuffer, reads: &ReadSet) -> KvResult<u64> {
        let key_changed = reads.keys.iter().any(|key| self.changed_at(key) > snapshot);
        let range_changed =
            || reads.ranges.iter().any(|range| self.in_range(range).any(|(_, versions)| last(versions).at > snapshot));
        if key_changed || range_changed() {
            return Err(KvError::Conflict);
        }
        // Commutative updates meet the latest value, not the snapshot's: that is what spares them conflicts.
        buffer.settle(&mut Latest(self))?;
        self.latest += 1;
        let at = self.latest;
        let writes = buffer.into_parts();
        for (start, end) in writes.cleared.iter() {
            let range = KeyRange { start: start.to_vec(), end: end.to_vec() };
            let live = self.in_range(&range).filter(|(_, versions)| last(versions).value.is_some());
            let keys: Vec<_> = live.map(|(key, _)| key.clone()).collect();
            keys.into_iter().for_each(|key| self.write(key, at, None));
        }
        for (key, effect) in writes.effects {
            match effect {
                Effect::Put(value) => self.write(key, at, Some(value)),
                Effect::Delete => self.write(key, at, None),
                Effect::Update(_) | Effect::Updates(_) => unreachable!("a settled buffer holds no updates"),
            }
        }
        for (mut key, value) in writes.stamped {
            key.extend_from_slice(&stamp(at));
            self.write(key, at, Some(value));
            self.stamped = at;
        }
        self.forget_tombstones();
        Ok(at)
    }

    fn write(&mut self, key: Vec<u8>, at: u64, value: Option<Vec<u8>>) {
        let oldest = self.oldest_snapshot();
        if value.is_none() {
            self.tombstones.push_back((at, key.clone()));
        }
        let versions = self.keys.entry(key).or_default();
        // A key deleted by range and written again in one commit has one version for both.
        versions.retain(|version| version.at < at);
        versions.push(Version { at, value });
        // The newest version that the oldest snapshot sees stays; what is older no one can ask for.
        let seen_by_oldest = versions.iter().rposition(|version| version.at <= oldest).unwrap_or(0);
        versions.drain(..seen_by_oldest);
    }

    fn forget_tombstones(&mut self) {
        let oldest = self.oldest_snapshot();
        while self.tombstones.front().is_some_and(|(at, _)| *at <= oldest) {
            let (at, key) = self.tombstones.pop_front().expect("the front has just been seen");
            let dead =
                self.keys.get(&key).is_some_and(|versions| last(versions).at == at && last(versions).value.is_none());
            if dead {
                self.keys.remove(&key);
            }
        }
    }

    fn oldest_snapshot(&self) -> u64 {
        self.snapshots.first_key_value().map_or(self.latest, |(version, _)| *version)
    }

    fn in_range(&self, range: &KeyRange) -> impl DoubleEndedIterator<Item = (&Vec<u8>, &Vec<Version>)> {
        // An empty or reversed range would panic inside the map.
        let end = range.end.as_slice().max(range.start.as_slice());
        self.keys
            .range::<[u8], _>((Bound::Included(range.start.as_slice()), Bound::Excluded(end)))
            .filter(move |_| range.start < range.end)
    }
}

fn value_at(versions: &[Version], at: u64) -> Option<&Vec<u8>> {
    versions.iter().rev().find(|version| version.at <= at).and_then(|version| version.value.as_ref())
}

fn last(versions: &[Version]) -> &Version {
    versions.last().expect("a key has at least one version")
}

/// The commit's version and two bytes that are free here; other engines number commits of one batch in them.
fn stamp(version: u64) -> [u8; STAMP_BYTES] {
    let mut stamp = [0; STAMP_BYTES];
    stamp[..8].copy_from_slice(&version.to_be_bytes());
    stamp
}

struct Latest<'a>(&'a Versions);

impl Reader for Latest<'_> {
    fn get(&mut self, key: &[u8]) -> KvResult<Option<Vec<u8>>> {
        Ok(self.0.get(key, u64::MAX))
    }

    fn scan(&mut self, range: &KeyRange, limit: usize, direction: Direction) -> KvResult<Vec<Pair>> {
        Ok(self.0.scan(range, limit, direction, u64::MAX))
    }
}
