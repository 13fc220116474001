//! A commit: what was read becomes conflict ranges, what is written becomes mutations, all in one request.
//!
//! Counters are FoundationDB's ADD and MAX. **Appending** is its APPEND_IF_FITS, which silently leaves away what makes a value
//! too long; nothing may be lost that way. So:
//!
//! * who appends to a value that is short ([`SHARED_BYTES_MAX`]) appends without looking, and conflicts with no other who
//!   does;
//! * who appends to a long one writes it anew, and so conflicts with everybody who changes it meanwhile;
//! * the first kind conflicts with every commit since its own version that has written a long value, by a key that is only
//!   there for conflicts.
//!
//! Then of the commits that a blind append did not see, each has written a short value or had itself seen one. The last of
//! them to begin saw one to which all has been added that committed before; those after it were under way at the same time.
//! So a value is at most as long as a short one and one append of each worker of each client at once: thousands of them fit.
//!
//! While a **snapshot** is read, a commit keeps what it changes as it was before: see `snapshot.rs`.

use crate::c::{Conflicts, Operation};
use crate::error::Code;
use crate::job::Slot;
use crate::keys::stamped;
use crate::reads::Reads;
use crate::snapshot;
use shoal_kv::{Effect, KvError, KvResult, ReadSet, Reader, Update, WriteSet};
use std::sync::atomic::Ordering;

pub(crate) struct Commit<'a> {
    pub read: &'a ReadSet,
    pub writes: &'a WriteSet,
    pub slot: &'a Slot,
}

/// Why a commit is not known to have happened.
pub(crate) enum CommitEnd {
    /// It has not, and never will.
    Refused(KvError),
    Unknown(String),
}

impl From<KvError> for CommitEnd {
    fn from(error: KvError) -> Self {
        CommitEnd::Refused(error)
    }
}

impl Commit<'_> {
    pub fn run(&self, reads: &mut Reads<'_>) -> Result<(), CommitEnd> {
        self.prepare(reads)?;
        let client = reads.client;
        client.round_trips.fetch_add(1, Ordering::Relaxed);
        let future = reads.transaction.commit();
        if !future.wait(client.answer_max) {
            return Err(CommitEnd::Unknown(format!("fdb: no answer to a commit within {:?}", client.answer_max)));
        }
        future.result().map_err(|code| match code.has_refused() {
            true => CommitEnd::Refused(client.error(code)),
            false => CommitEnd::Unknown(format!("fdb: {}", client.database.client().text(code))),
        })
    }

    /// Puts everything into the transaction. Its version is known afterwards, also where nothing was read: a commit that
    /// got its version late would not conflict with what was done about it meanwhile.
    fn prepare(&self, reads: &mut Reads<'_>) -> KvResult<()> {
        let snapshot = snapshot::current(reads)?;
        let appended: Vec<&[u8]> = self.writes.effects.iter().filter(|(_, effect)| appends(effect)).map(key).collect();
        reads.get_many(&appended)?;
        if let Some(id) = snapshot {
            snapshot::keep_old(reads, &id, self.writes)?;
        }
        self.declare(reads).map_err(|code| reads.client.error(code))?;
        self.write(reads)
    }

    fn declare(&self, reads: &Reads<'_>) -> Result<(), Code> {
        let (keys, transaction) = (&reads.client.keys, reads.transaction);
        for key in &self.read.keys {
            transaction.add_conflict(Conflicts::Read, &keys.data(key))?;
        }
        for range in self.read.ranges.iter().filter(|range| range.start < range.end) {
            let range = keys.data_range(range);
            transaction.add_conflicts(Conflicts::Read, &range.start, &range.end)?;
        }
        transaction.add_conflict(Conflicts::Read, &keys.snapshot())?;
        transaction.add_conflict(Conflicts::Read, &self.slot.key)
    }

    fn write(&self, reads: &mut Reads<'_>) -> KvResult<()> {
        let (keys, transaction) = (&reads.client.keys, reads.transaction);
        for (start, end) in self.writes.cleared.iter() {
            transaction.clear_range(&keys.data(start), &keys.data(end));
        }
        for (key, effect) in &self.writes.effects {
            match effect {
                Effect::Put(value) => self.put(reads, key, value)?,
                Effect::Delete => transaction.clear(&keys.data(key)),
                Effect::Update(update) => self.update(reads, key, std::slice::from_ref(update))?,
                Effect::Updates(updates) => self.update(reads, key, updates)?,
            }
        }
        for (prefix, value) in &self.writes.stamped {
            transaction.apply(Operation::SetVersionstampedKey, &stamped(&keys.data(prefix)), value);
        }
        if !self.writes.stamped.is_empty() {
            transaction.apply(Operation::SetVersionstampedValue, &keys.bell(), &stamped(b""));
        }
        let number = self.slot.number.to_le_bytes();
        transaction.apply(Operation::SetVersionstampedValue, &self.slot.key, &stamped(&number));
        Ok(())
    }

    fn put(&self, reads: &Reads<'_>, key: &[u8], value: &[u8]) -> KvResult<()> {
        if value.len() > SHARED_BYTES_MAX {
            conflict(reads, Conflicts::Write, &reads.client.keys.appended(key))?;
        }
        reads.transaction.set(&reads.client.keys.data(key), value);
        Ok(())
    }

    fn update(&self, reads: &mut Reads<'_>, key: &[u8], updates: &[Update]) -> KvResult<()> {
        let transaction = reads.transaction;
        let data = reads.client.keys.data(key);
        if !updates.iter().any(is_append) {
            for update in updates {
                match update {
                    Update::Add(amount) => transaction.apply(Operation::Add, &data, &amount.to_le_bytes()),
                    Update::Max(value) => transaction.apply(Operation::Max, &data, &value.to_le_bytes()),
                    Update::Append(_) => unreachable!("there is none"),
                }
            }
            return Ok(());
        }
        let guard = reads.client.keys.appended(key);
        conflict(reads, Conflicts::Read, &guard)?;
        let before = reads.known(key);
        if let [Update::Append(bytes)] = updates
            && bytes.len() <= ADDED_BYTES_MAX
            && before.map_or(0, Vec::len) + bytes.len() <= SHARED_BYTES_MAX
        {
            transaction.apply(Operation::AppendIfFits, &data, bytes);
            return Ok(());
        }
        let value = updates.iter().try_fold(before.cloned(), |value, update| update.apply(key, value).map(Some))?;
        conflict(reads, Conflicts::Write, &guard)?;
        conflict(reads, Conflicts::Read, &data)?;
        transaction.set(&data, &value.expect("an update leaves a value"));
        Ok(())
    }
}

fn conflict(reads: &Reads<'_>, kind: Conflicts, key: &[u8]) -> KvResult<()> {
    reads.transaction.add_conflict(kind, key).map_err(|code| reads.client.error(code))
}

fn key<'a>((key, _): (&'a Vec<u8>, &Effect)) -> &'a [u8] {
    key
}

fn appends(effect: &Effect) -> bool {
    match effect {
        Effect::Update(update) => is_append(update),
        Effect::Updates(updates) => updates.iter().any(is_append),
        Effect::Put(_) | Effect::Delete => false,
    }
}

fn is_append(update: &Update) -> bool {
    matches!(update, Update::Append(_))
}

/// A value up to this length is appended to blindly. What is left up to the greatest length of a value is room for those
/// who do so at the same time, with [`ADDED_BYTES_MAX`] each at most; what the schema appends has some dozens.
const SHARED_BYTES_MAX: usize = 20_000;
const ADDED_BYTES_MAX: usize = 1_000;
