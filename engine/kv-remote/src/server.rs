//! What an adapter implements: how to reach its server, and four questions of one round trip each.
//!
//! A server holds pairs of keys and values, each with its **version**: the number of the commit that last wrote it. Commits
//! are numbered in the order in which they become visible, so a later change always bears a greater number.
//!
//! No question leaves anything open on the server: no transaction, no lock, no cursor. What a snapshot is, is up to the
//! [`Evidence`]: each read says what was read before it, and is answered only if that still holds. So several reads are
//! one snapshot, a client that dies holds up nobody, and connections may be shared behind a pooler.

use crate::address::{Address, AddressError};
use shoal_kv::{Direction, KeyRange, KvError, KvResult, Snapshot, WriteSet};
use std::time::Duration;

pub trait Server: Send + Sync + Sized + 'static {
    type Connection: Connection;

    /// The server at an address. `answer_max` bounds the wait for a connection and for each answer; a server that is slower
    /// counts as lost. Asks nothing of it yet.
    fn at(address: &Address, answer_max: Duration) -> Result<Self, AddressError>;

    /// Whether there is what a volume needs, such as its tables; with `create`, it's made. To be asked before `connect`.
    fn prepare(&self, create: bool) -> KvResult<bool>;

    /// Removes everything of the volume. Nobody may use it.
    fn destroy(&self) -> KvResult<()>;

    /// What keeps the server, as it is set now, from having each commit on disk before it's acknowledged, if anything.
    fn durability_warning(&self) -> KvResult<Option<String>>;

    /// A new connection, with a slot of its own on the server.
    fn connect(&self) -> Result<Self::Connection, Failure>;

    /// All pairs at one moment, over a connection of its own: as `Kv::snapshot`.
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, Failure>;

    /// Where the server tells of such commits: something to wait on instead of asking again and again.
    fn listen(&self, _: Commits) -> KvResult<Option<Box<dyn Listener>>> {
        Ok(None)
    }
}

/// Used by one thread at a time. After [`Failure::Lost`] it is dropped.
pub trait Connection: Send + 'static {
    fn get_many(&mut self, seen: &Evidence, keys: &[&[u8]]) -> Asked<Vec<Option<Versioned>>>;

    /// At most `limit` pairs, in key order or from the end backwards.
    fn scan(
        &mut self,
        seen: &Evidence,
        range: &KeyRange,
        limit: usize,
        direction: Direction,
    ) -> Asked<Vec<VersionedPair>>;

    /// All of it at once if the evidence holds and the slot is open, else nothing.
    fn commit(&mut self, commit: &Commit<'_>) -> Result<CommitEnd, Failure>;

    /// The connection's own slot.
    fn slot(&self) -> u64;

    /// Closes a slot: no commit under it can ever happen from now on. Gives the number of the last one that has, 0 for
    /// none; the same again if the slot is closed already. `None`: there is no such slot.
    fn close_slot(&mut self, slot: u64) -> Result<Option<u64>, Failure>;

    /// As `Reader::scan_stamped`; `None`: an ordinary scan does it.
    fn scan_stamped(&mut self, _: &KeyRange, _: usize, _: Direction) -> Option<Result<Vec<VersionedPair>, Failure>> {
        None
    }

    /// What stands for these pairs in a [`SeenRange`]. Where versions don't grow from commit to commit, something else than
    /// the greatest of them must.
    fn newest(&self, found: &[VersionedPair]) -> u64 {
        found.iter().map(|(_, versioned)| versioned.version).max().unwrap_or(0)
    }
}

/// Which commits a listener is told of, whoever makes them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Commits {
    All,
    /// Those that complete a key with a stamp.
    Stamped,
}

pub trait Listener: Send {
    /// Returns after a commit and what came within `LISTEN_PAUSE` after it, or when the time is over, or earlier for no
    /// reason. Tells whether it has heard anything.
    fn wait(&mut self, timeout: Duration) -> KvResult<bool>;
}

/// Commits that follow each other so closely are told of together.
pub const LISTEN_PAUSE: Duration = Duration::from_millis(2);

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Versioned {
    pub version: u64,
    pub value: Vec<u8>,
}

pub type VersionedPair = (Vec<u8>, Versioned);

pub type Asked<T> = Result<Answer<T>, Failure>;

#[derive(Debug)]
pub enum Answer<T> {
    /// As of the commit of this number, the last one before the read.
    At(u64, T),
    /// What was read earlier has changed.
    Moved,
}

/// What has been read, in a form in which a server can tell whether it still holds.
#[derive(Clone, Default, Debug)]
pub struct Evidence {
    /// All of it held when this was the number of the last commit; while it still is, nothing needs a look.
    pub moment: u64,
    /// With the version found; 0: there was no such key.
    pub keys: Vec<(Vec<u8>, u64)>,
    pub ranges: Vec<SeenRange>,
}

/// A range is as it was if it holds as many keys as it did, and none that is newer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SeenRange {
    pub range: KeyRange,
    pub count: u64,
    pub newest: u64,
}

/// One transaction to apply. Versionstamps are made of the commit's number.
///
/// A slot makes a commit that nobody has heard of again a fact: the server notes in the slot the number of each commit
/// under it and refuses commits whose slot is closed. So who closes the slot learns whether the commit has happened, and
/// knows that it won't happen any more if it has not. Slots are forgotten when they have not been used for days.
pub struct Commit<'a> {
    pub slot: u64,
    /// Grows within the slot.
    pub number: u64,
    pub evidence: &'a Evidence,
    pub writes: &'a WriteSet,
}

#[derive(PartialEq, Eq, Debug)]
pub enum CommitEnd {
    Done,
    /// What was read has changed.
    Moved,
    /// The slot is closed, or was never there.
    NoSlot,
}

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The connection is of no use any more. Whether the server did what it was asked is not known.
    Lost(String),
    /// The server says that it has done nothing and that it may do it later.
    Later(String),
    /// The server says that it has done nothing. Asking again does not help.
    Refused(KvError),
}

impl Failure {
    /// For a call that changes nothing, or that the server has refused.
    pub fn into_error(self) -> KvError {
        match self {
            Failure::Lost(why) | Failure::Later(why) => KvError::Unavailable(why),
            Failure::Refused(error) => error,
        }
    }
}

impl Evidence {
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.ranges.is_empty()
    }
}
