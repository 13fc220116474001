//! The traits an engine implements and a transaction body uses.

use crate::{KvError, KvResult};
use std::time::Duration;

pub type Pair = (Vec<u8>, Vec<u8>);

/// Keys `start <= key < end`, in byte order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyRange {
    pub start: Vec<u8>,
    pub end: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    Forward,
    Backward,
}

/// What a commit must have survived before it is reported.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Durability {
    /// Seen by every client from now on; survives the death of this process.
    Visible,
    /// Also survives power loss. It covers every earlier acknowledged commit as well.
    Durable,
}

/// Reads at one snapshot. Inside a transaction they add read conflicts and see its own earlier writes.
pub trait Reader {
    fn get(&mut self, key: &[u8]) -> KvResult<Option<Vec<u8>>>;

    /// Several keys in one round trip, answers in the order of the keys.
    fn get_many(&mut self, keys: &[&[u8]]) -> KvResult<Vec<Option<Vec<u8>>>> {
        keys.iter().map(|key| self.get(key)).collect()
    }

    /// At most `limit` pairs of `range` in key order, or from its end backwards.
    fn scan(&mut self, range: &KeyRange, limit: usize, direction: Direction) -> KvResult<Vec<Pair>>;

    /// The same of keys under one prefix that stamps have completed, for followers: no key with a smaller stamp than one that is
    /// found will ever come to be, and all are found that had been committed before this call. To be the only read of a
    /// body, as it may be of a later moment, and may wait for it.
    fn scan_stamped(&mut self, range: &KeyRange, limit: usize, direction: Direction) -> KvResult<Vec<Pair>> {
        self.scan(range, limit, direction)
    }
}

/// A transaction: serializable, all or nothing. Writes are buffered until commit.
///
/// Commutative updates (`add`, `max`, `append`) never conflict with each other. `add` counts in `i64` and `max` in
/// `u64`, both stored as 8 bytes little-endian; a missing key counts as 0, or as empty for `append`.
pub trait Transaction: Reader {
    /// As `get`, without adding a read conflict.
    fn get_unchecked(&mut self, key: &[u8]) -> KvResult<Option<Vec<u8>>>;
    /// As `scan`, without adding a read conflict.
    fn scan_unchecked(&mut self, range: &KeyRange, limit: usize, direction: Direction) -> KvResult<Vec<Pair>>;
    fn put(&mut self, key: &[u8], value: &[u8]);
    fn delete(&mut self, key: &[u8]);
    fn delete_range(&mut self, range: &KeyRange) -> KvResult<()>;
    fn add(&mut self, key: &[u8], amount: i64);
    fn max(&mut self, key: &[u8], value: u64);
    fn append(&mut self, key: &[u8], bytes: &[u8]);
    /// Writes `value` under `prefix` followed by a 10-byte stamp that grows in commit order.
    /// The stamped key cannot be read in the same transaction.
    fn put_versionstamped(&mut self, prefix: &[u8], value: &[u8]);
}

/// How often a job has run and what may have become of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// 0 for the first run.
    pub number: u32,
    /// An earlier run may have committed. Sticky: once true it stays true for all later runs of the job.
    pub maybe_committed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Commit,
    /// Roll back: the body has decided to change nothing (a refusal such as EEXIST).
    Abort,
}

/// A transaction's body, run again after each conflict, perhaps on another thread.
pub trait Job: Send {
    fn run(&mut self, transaction: &mut dyn Transaction, attempt: Attempt) -> KvResult<Verdict>;

    /// Called exactly once, on any thread, with the end of it: `Ok` after the commit has the wished durability, or
    /// after an abort. It must be short and must not block.
    fn done(self: Box<Self>, outcome: KvResult<Verdict>);
}

/// A metadata engine.
pub trait Kv: Send + Sync + 'static {
    /// Reads on the caller's thread at one snapshot. Blocks for as long as the engine's reads take. The body may run more
    /// than once, each time from the start at another snapshot: only its last run counts.
    fn read(&self, body: &mut dyn FnMut(&mut dyn Reader) -> KvResult<()>) -> KvResult<()>;

    /// Everything the store holds, as it is stored and as it was at one moment, not before this call. It may be read for
    /// hours while others commit; what that costs is the engine's to say. `Unavailable` also where the engine can't hold
    /// another one just now.
    fn snapshot(&self) -> KvResult<Box<dyn Snapshot>>;

    /// Whether `read` is a matter of microseconds, so that a shard may call it on its own thread.
    fn reads_are_local(&self) -> bool;

    /// Queues a job. Never waits for anything slow; conflicts are retried inside, with jittered back-off and a bound.
    /// An engine whose commits are a matter of microseconds may run the job here and now, `done` included: so no lock may
    /// be held that either of them takes.
    fn submit(&self, job: Box<dyn Job>, durability: Durability);

    /// A number that has grown by the time another client's commit can be read, or `None` where the engine cannot
    /// tell cheaply. Own commits through this `Kv` do not count. What was read while it stood at `n` is current as
    /// long as it stands at `n`.
    fn foreign_epoch(&self) -> Option<u64>;

    /// Whether the result of a commit can be unknown, so that operations need records to be retried safely.
    fn results_may_be_unknown(&self) -> bool;

    /// Watches one key from now on.
    fn watch(&self, key: &[u8]) -> KvResult<Box<dyn Watch>>;

    /// Watches, from now on, for commits of anybody that complete a key with a stamp. It may wake for no reason too.
    fn watch_stamped(&self) -> KvResult<Box<dyn Watch>>;

    /// Waits until everything submitted so far has ended, then releases what other processes could wait for.
    fn close(&self) -> KvResult<()>;
}

/// All pairs of a store at one moment, from the first key to the last.
pub trait Snapshot: Send {
    /// The next pairs in key order, a few megabytes at most but for what one call must give; none: that was all.
    fn next(&mut self) -> KvResult<Vec<Pair>>;
}

/// Resolves when what is watched may have changed since the watch was set.
pub trait Watch: Send {
    /// `true`: may have changed. `false`: the time ran out.
    fn wait(&mut self, timeout: Duration) -> KvResult<bool>;
}

impl KeyRange {
    /// Every key there can be but the empty one; none begins with 17 bytes of 0xff.
    pub fn all() -> Self {
        KeyRange { start: vec![0], end: vec![0xff; 17] }
    }

    /// The rest of it behind `key`.
    pub fn behind(&self, key: &[u8]) -> Self {
        KeyRange { start: [key, &[0]].concat(), end: self.end.clone() }
    }

    /// All keys that begin with `prefix`.
    pub fn prefix(prefix: &[u8]) -> Self {
        let mut end = prefix.to_vec();
        while let Some(last) = end.pop() {
            if last < 0xff {
                end.push(last + 1);
                return KeyRange { start: prefix.to_vec(), end };
            }
        }
        // Only a prefix of 0xff bytes gets here; no key of the schema begins with 0xff.
        KeyRange { start: prefix.to_vec(), end: vec![0xff; 17] }
    }

    pub fn contains(&self, key: &[u8]) -> bool {
        self.start.as_slice() <= key && key < self.end.as_slice()
    }
}

impl From<KvError> for shoal_types::Errno {
    fn from(error: KvError) -> Self {
        error.errno()
    }
}
