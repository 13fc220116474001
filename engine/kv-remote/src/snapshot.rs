//! Reads at one snapshot over a connection that has none: whatever is read, what was read before it is looked at again in
//! the same round trip. If that has not changed, all of it is true at that moment; if it has, the body runs again.
//!
//! A key that was read once is not asked for again.

use crate::server::{Answer, Asked, Connection, Evidence, Failure, SeenRange, Versioned, VersionedPair};
use shoal_kv::limits::KEY_BYTES_MAX;
use shoal_kv::{Direction, KeyRange, KvError, KvResult, Pair, Reader};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) struct Snapshot<'a, C> {
    connection: &'a mut C,
    round_trips: &'a AtomicU64,
    known: BTreeMap<Vec<u8>, Known>,
    /// Of everything that was read.
    seen: Evidence,
    /// Of what a commit depends on.
    checked: Evidence,
    /// Whether a commit will depend on what is read now.
    checking: bool,
    /// Why there are no further answers.
    end: Option<Failed>,
}

struct Known {
    found: Option<Versioned>,
    checked: bool,
}

#[derive(Clone)]
enum Failed {
    Moved,
    By(Failure),
}

impl<'a, C: Connection> Snapshot<'a, C> {
    pub fn new(connection: &'a mut C, round_trips: &'a AtomicU64) -> Self {
        Snapshot {
            connection,
            round_trips,
            known: BTreeMap::new(),
            seen: Evidence::default(),
            checked: Evidence::default(),
            checking: false,
            end: None,
        }
    }

    /// From now on, whether a commit depends on what is read.
    pub fn checking(&mut self, checking: bool) -> &mut Self {
        self.checking = checking;
        self
    }

    /// What a commit depends on.
    pub fn into_checked(self) -> Evidence {
        Evidence { moment: self.seen.moment, ..self.checked }
    }

    /// The error that ended the reads, whatever the body has made of it, and whether the connection is still of use.
    pub fn trouble(&self) -> (Option<KvError>, bool) {
        match &self.end {
            None => (None, true),
            Some(Failed::Moved) => (Some(KvError::Conflict), true),
            Some(Failed::By(failure)) => (Some(failure.clone().into_error()), !matches!(failure, Failure::Lost(_))),
        }
    }

    fn ask<T>(&mut self, ask: impl FnOnce(&mut C, &Evidence) -> Asked<T>) -> KvResult<T> {
        if self.end.is_none() {
            self.round_trips.fetch_add(1, Ordering::Relaxed);
            match ask(self.connection, &self.seen) {
                Ok(Answer::At(moment, found)) if moment >= self.seen.moment => {
                    self.seen.moment = moment;
                    return Ok(found);
                }
                // The number of the last commit falls where a server has lost some of them.
                Ok(Answer::At(..) | Answer::Moved) => self.end = Some(Failed::Moved),
                Err(failure) => self.end = Some(Failed::By(failure)),
            }
        }
        Err(self.trouble().0.expect("there is no answer for a reason"))
    }

    /// Keys of `keys` that have not been read yet, each once.
    fn unknown<'k>(&self, keys: &[&'k [u8]]) -> KvResult<Vec<&'k [u8]>> {
        let mut unknown: Vec<&[u8]> = keys.iter().copied().filter(|key| !self.known.contains_key(*key)).collect();
        unknown.sort_unstable();
        unknown.dedup();
        match unknown.iter().find(|key| key.len() > KEY_BYTES_MAX) {
            Some(key) => Err(KvError::Limit(format!("a read of a key of {} bytes", key.len()))),
            None => Ok(unknown),
        }
    }

    fn note(&mut self, key: &[u8]) {
        let known = self.known.get_mut(key).expect("it has just been read");
        if self.checking && !known.checked {
            known.checked = true;
            self.checked.keys.push((key.to_vec(), version(&known.found)));
        }
    }

    /// One round trip of a scan.
    fn scan_part(&mut self, range: &KeyRange, limit: usize, direction: Direction) -> KvResult<Vec<VersionedPair>> {
        let found = self.ask(|connection, seen| connection.scan(seen, range, limit, direction))?;
        let newest = self.connection.newest(&found);
        let seen = SeenRange { range: answered(range, &found, limit, direction), count: found.len() as u64, newest };
        if self.checking {
            self.checked.ranges.push(seen.clone());
        }
        self.seen.ranges.push(seen);
        Ok(found)
    }
}

impl<C: Connection> Reader for Snapshot<'_, C> {
    fn get(&mut self, key: &[u8]) -> KvResult<Option<Vec<u8>>> {
        Ok(self.get_many(&[key])?.pop().expect("every key has an answer"))
    }

    fn get_many(&mut self, keys: &[&[u8]]) -> KvResult<Vec<Option<Vec<u8>>>> {
        let unknown = self.unknown(keys)?;
        if !unknown.is_empty() {
            let found = self.ask(|connection, seen| connection.get_many(seen, &unknown))?;
            assert_eq!(found.len(), unknown.len(), "every key has an answer");
            for (key, found) in unknown.into_iter().zip(found) {
                self.seen.keys.push((key.to_vec(), version(&found)));
                self.known.insert(key.to_vec(), Known { found, checked: false });
            }
        }
        keys.iter().for_each(|key| self.note(key));
        let value = |key: &&[u8]| self.known[*key].found.as_ref().map(|found| found.value.clone());
        Ok(keys.iter().map(value).collect())
    }

    fn scan(&mut self, range: &KeyRange, limit: usize, direction: Direction) -> KvResult<Vec<Pair>> {
        let mut pairs = Vec::new();
        let mut rest = range.clone();
        while pairs.len() < limit && rest.start < rest.end {
            let wanted = (limit - pairs.len()).min(SCAN_PAIRS_MAX);
            let found = self.scan_part(&rest, wanted, direction)?;
            let whole = found.len() < wanted;
            if let Some((last, _)) = found.last() {
                match direction {
                    Direction::Forward => rest.start = [last.as_slice(), &[0]].concat(),
                    Direction::Backward => rest.end.clone_from(last),
                }
            }
            pairs.extend(found.into_iter().map(|(key, versioned)| (key, versioned.value)));
            if whole {
                break;
            }
        }
        Ok(pairs)
    }

    fn scan_stamped(&mut self, range: &KeyRange, limit: usize, direction: Direction) -> KvResult<Vec<Pair>> {
        match self.connection.scan_stamped(range, limit, direction) {
            None => self.scan(range, limit, direction),
            Some(found) => {
                self.round_trips.fetch_add(1, Ordering::Relaxed);
                let found = found.map_err(|failure| {
                    self.end = Some(Failed::By(failure.clone()));
                    failure.into_error()
                })?;
                Ok(found.into_iter().map(|(key, versioned)| (key, versioned.value)).collect())
            }
        }
    }
}

fn version(found: &Option<Versioned>) -> u64 {
    found.as_ref().map_or(0, |found| found.version)
}

/// The part of `range` that the answer speaks for: one that was cut off at its limit says nothing about the rest.
fn answered(range: &KeyRange, found: &[VersionedPair], limit: usize, direction: Direction) -> KeyRange {
    match (found.last(), direction) {
        (Some((last, _)), Direction::Forward) if found.len() >= limit => {
            KeyRange { start: range.start.clone(), end: [last.as_slice(), &[0]].concat() }
        }
        (Some((last, _)), Direction::Backward) if found.len() >= limit => {
            KeyRange { start: last.clone(), end: range.end.clone() }
        }
        _ => range.clone(),
    }
}

/// Pairs in one answer: more are asked for in several round trips, so that no answer holds up a server for long.
const SCAN_PAIRS_MAX: usize = 1000;
