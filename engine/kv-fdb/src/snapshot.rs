//! All pairs at one moment, in a cluster that knows the last five seconds: while a snapshot is read, commits keep what they
//! overwrite, and who reads puts it back in its place.
//!
//! There is one snapshot of a volume at a time; it's announced by a key, and its moment is the commit that writes it. A
//! commit conflicts with that key, and so it either comes before the moment or knows of the snapshot. To know costs
//! nothing as long as there is none: who writes the key also moves the cluster's metadata version, which comes with every
//! read version.
//!
//! Who changes a pair that has no older state kept yet keeps the one it reads: as it reads after the moment, and nobody has
//! changed the pair between the moment and its read, that is how it was. Several who do so at once keep the same.
//!
//! A snapshot that nobody has read for a while is ended by who takes the next one, or who would have to keep something
//! for it.

use crate::c::{Conflicts, Operation, Transaction};
use crate::client::{Client, Seen};
use crate::keys::{Keys, METADATA_VERSION, stamped, version_of};
use crate::reads::Reads;
use shoal_kv::{Direction, KeyRange, KvError, KvResult, Pair, Reader, Snapshot, WriteSet};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// The id of the snapshot that is being read, as of the transaction's version, which is known afterwards.
pub(crate) fn current(reads: &Reads<'_>) -> KvResult<Option<Vec<u8>>> {
    let client = reads.client;
    // It's here as soon as the version is, and counts as no round trip.
    let future = reads.transaction.get(METADATA_VERSION);
    client.wait(&future)?;
    let metadata = future.value().map_err(|code| client.error(code))?;
    if let Some(seen) = &*client.seen.lock().expect(UNPOISONED)
        && seen.metadata == metadata
    {
        return Ok(seen.snapshot.clone());
    }
    let snapshot = reads.get_raw(&[client.keys.snapshot()])?.pop().flatten();
    *client.seen.lock().expect(UNPOISONED) = Some(Seen { metadata, snapshot: snapshot.clone() });
    Ok(snapshot)
}

/// Puts into the transaction what its writes are about to change, where nobody has done so yet.
pub(crate) fn keep_old(reads: &mut Reads<'_>, id: &[u8], writes: &WriteSet) -> KvResult<()> {
    let (client, transaction) = (reads.client, reads.transaction);
    let keys = &client.keys;
    if is_unread(reads)? {
        end(client, id)?;
        return Err(KvError::Conflict);
    }
    for (start, end) in writes.cleared.iter() {
        let range = KeyRange { start: start.to_vec(), end: end.to_vec() };
        let scan = |start, end| reads.scan_raw(&KeyRange { start, end }, usize::MAX, Direction::Forward);
        let kept = [
            scan(keys.old(&range.start), keys.old(&range.end))?,
            scan(keys.none(&range.start), keys.none(&range.end))?,
        ];
        let kept: BTreeSet<_> = kept.iter().flatten().map(|(key, _)| keys.own(key)).collect();
        for (key, value) in reads.scan(&range, usize::MAX, Direction::Forward)? {
            if !kept.contains(&key) {
                transaction.set(&keys.old(&key), &value);
            }
        }
    }
    // One that is also in a cleared range gets the same again.
    let changed: Vec<&[u8]> = writes.effects.keys().map(Vec::as_slice).collect();
    let kept: Vec<_> = changed.iter().flat_map(|key| [keys.old(key), keys.none(key)]).collect();
    let kept = reads.get_raw(&kept)?;
    for ((key, value), kept) in changed.iter().zip(reads.get_many(&changed)?).zip(kept.chunks(2)) {
        match value {
            _ if kept.iter().any(Option::is_some) => {}
            Some(value) => transaction.set(&keys.old(key), &value),
            None => transaction.set(&keys.none(key), b""),
        }
    }
    for (prefix, _) in &writes.stamped {
        transaction.apply(Operation::SetVersionstampedKey, &stamped(&keys.none(prefix)), b"");
    }
    Ok(())
}

fn is_unread(reads: &Reads<'_>) -> KvResult<bool> {
    let client = reads.client;
    let version = reads.transaction.read_version();
    let read = reads.get_raw(&[client.keys.snapshot_read()])?.pop().flatten();
    client.wait(&version)?;
    let version = version.version().map_err(|code| client.error(code))?;
    Ok(read.is_none_or(|stamp| version_of(&stamp) < version - UNREAD_VERSIONS_MAX))
}

/// Ends this snapshot, if it's still the one.
fn end(client: &Client, id: &[u8]) -> KvResult<()> {
    client.run_small(|transaction| {
        let found = transaction.get(&client.keys.snapshot());
        client.wait(&found)?;
        if found.value().map_err(|code| client.error(code))?.as_deref() == Some(id) {
            transaction.clear(&client.keys.snapshot());
            clear(client, transaction)?;
            client.commit_small(transaction)?;
        }
        Ok(())
    })
}

/// What belongs to a snapshot but its announcement; and everybody is told to look at that.
fn clear(client: &Client, transaction: &Transaction) -> KvResult<()> {
    let keys = &client.keys;
    for range in [keys.all(b'o'), keys.all(b'n')] {
        transaction.clear_range(&range.start, &range.end);
    }
    transaction.clear(&keys.snapshot_read());
    transaction.apply(Operation::SetVersionstampedValue, METADATA_VERSION, &stamped(b""));
    transaction.add_conflict(Conflicts::Read, &keys.snapshot()).map_err(|code| client.error(code))
}

pub(crate) struct FdbSnapshot {
    client: Arc<Client>,
    id: Vec<u8>,
    /// What has not been read yet, in the volume's own keys.
    rest: KeyRange,
}

impl FdbSnapshot {
    pub fn take(client: Arc<Client>) -> KvResult<Self> {
        let id = RandomState::new().hash_one("snapshot").to_le_bytes();
        let id = [id, RandomState::new().hash_one("snapshot").to_le_bytes()].concat();
        let taken = client.run_small(|transaction| {
            let trouble = RefCell::default();
            let reads = Reads::new(&client, transaction, &trouble);
            let other = reads.get_raw(&[client.keys.snapshot()])?.pop().flatten().filter(|other| *other != id);
            if other.is_some() && !is_unread(&reads)? {
                return Ok(false);
            }
            clear(&client, transaction)?;
            transaction.set(&client.keys.snapshot(), &id);
            transaction.apply(Operation::SetVersionstampedValue, &client.keys.snapshot_read(), &stamped(b""));
            client.commit_small(transaction)?;
            Ok(true)
        });
        match taken? {
            true => Ok(FdbSnapshot { client, id, rest: KeyRange::all() }),
            false => Err(KvError::Unavailable(format!(
                "fdb: another snapshot of the volume is being read; one that was given up is forgotten after {} s",
                UNREAD_VERSIONS_MAX / VERSIONS_A_SECOND
            ))),
        }
    }

    /// What stands next; `None`: the snapshot is gone.
    fn read_on(&self, transaction: &Transaction) -> KvResult<Option<Merged>> {
        let (client, keys, trouble) = (&*self.client, &self.client.keys, RefCell::default());
        let reads = Reads::new(client, transaction, &trouble);
        let announced = reads.get_raw(&[keys.snapshot(), keys.snapshot_read()])?;
        let [Some(id), Some(read)] = &announced[..] else { return Ok(None) };
        if *id != self.id {
            return Ok(None);
        }
        let range = |kind: fn(&Keys, &[u8]) -> Vec<u8>| KeyRange {
            start: kind(keys, &self.rest.start),
            end: kind(keys, &self.rest.end),
        };
        let ranges = [Keys::data, Keys::old, Keys::none].map(range);
        let found = reads.scan_batches(&ranges, PAIRS, Direction::Forward)?;
        let mut parts = found.into_iter().map(|(pairs, more)| Part::of(keys, pairs, more));
        let mut part = || parts.next().expect("each range has an answer");
        let merged = merge(part(), part(), part());
        let version = transaction.read_version();
        client.wait(&version)?;
        if version_of(read) < version.version().map_err(|code| client.error(code))? - READ_VERSIONS_MAX {
            transaction.apply(Operation::SetVersionstampedValue, &keys.snapshot_read(), &stamped(b""));
            client.commit_small(transaction)?;
        }
        Ok(Some(merged))
    }
}

/// Pairs, and the key up to which they are known, but at the end.
type Merged = (Vec<Pair>, Option<Vec<u8>>);

/// Pairs that were read, up to some key or to the end.
#[derive(Default)]
struct Part {
    pairs: BTreeMap<Vec<u8>, Vec<u8>>,
    reach: Option<Vec<u8>>,
}

impl Part {
    fn of(keys: &Keys, pairs: Vec<Pair>, more: bool) -> Self {
        let pairs: BTreeMap<_, _> = pairs.into_iter().map(|(key, value)| (keys.own(&key), value)).collect();
        let reach = pairs.last_key_value().filter(|_| more).map(|(key, _)| key.clone());
        Part { pairs, reach }
    }
}

/// What stood there, up to the key that all parts reach.
fn merge(now: Part, old: Part, none: Part) -> Merged {
    let end = [now.reach, old.reach, none.reach].into_iter().flatten().min();
    let mut merged = now.pairs;
    merged.extend(old.pairs);
    let within = |key: &Vec<u8>| end.as_ref().is_none_or(|end| key <= end) && !none.pairs.contains_key(key);
    (merged.into_iter().filter(|(key, _)| within(key)).collect(), end)
}

impl Snapshot for FdbSnapshot {
    fn next(&mut self) -> KvResult<Vec<Pair>> {
        while self.rest.start < self.rest.end {
            let Some((pairs, end)) = self.client.run_small(|transaction| self.read_on(transaction))? else {
                return Err(KvError::Unavailable("fdb: the snapshot is gone: it was not read for too long".into()));
            };
            self.rest = match end {
                Some(last) => self.rest.behind(&last),
                None => KeyRange { start: Vec::new(), end: Vec::new() },
            };
            if !pairs.is_empty() {
                return Ok(pairs);
            }
            // All that stood here has been made since.
        }
        Ok(Vec::new())
    }
}

impl Drop for FdbSnapshot {
    fn drop(&mut self) {
        // Where this fails it is forgotten after a while.
        let _ = end(&self.client, &self.id);
    }
}

const PAIRS: usize = 1000;
/// About as many as pass.
const VERSIONS_A_SECOND: i64 = 1_000_000;
const UNREAD_VERSIONS_MAX: i64 = 300 * VERSIONS_A_SECOND;
/// Who reads says so that often.
const READ_VERSIONS_MAX: i64 = 30 * VERSIONS_A_SECOND;
const UNPOISONED: &str = "nobody panics who holds it";

#[cfg(test)]
mod tests {
    use super::*;

    fn part(keys: &[u8], value: &str, more: bool) -> Part {
        let pairs: BTreeMap<_, _> = keys.iter().map(|key| (vec![*key], value.into())).collect();
        Part { reach: keys.last().filter(|_| more).map(|key| vec![*key]), pairs }
    }

    #[test]
    fn what_has_changed_stands_as_it_was_up_to_where_all_parts_reach() {
        let pair = |key: u8, value: &str| (vec![key], value.as_bytes().to_vec());
        let whole = merge(part(&[1, 2, 4], "now", false), part(&[1, 3], "old", false), part(&[4], "", false));
        assert_eq!(whole, (vec![pair(1, "old"), pair(2, "now"), pair(3, "old")], None));
        let cut = merge(part(&[1, 2, 9], "now", true), part(&[1, 3], "old", true), part(&[2], "", false));
        assert_eq!(cut, (vec![pair(1, "old"), pair(3, "old")], Some(vec![3])));
        assert_eq!(merge(Part::default(), Part::default(), Part::default()), (Vec::new(), None));
    }
}
