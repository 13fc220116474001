//! Advisory locks as programs ask for them: which kind, on which bytes, shared or exclusive.

use crate::FILE_BYTES_MAX;
use serde::{Deserialize, Serialize};

/// Two kinds of lock that never see each other; the discriminants are stored, never renumber them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[repr(u8)]
pub enum LockSpace {
    /// flock(2): the whole file, owned by an open file description.
    Flock = 1,
    /// fcntl(2): ranges of bytes, owned by a process, or by an open file description.
    Record = 2,
}

/// The discriminants are stored, never renumber them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[repr(u8)]
pub enum LockMode {
    Shared = 1,
    Exclusive = 2,
}

/// Bytes `start..=end`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct LockRange {
    pub start: u64,
    /// At most `FILE_BYTES_MAX`, which stands for the end of the file wherever it is.
    pub end: u64,
}

impl LockSpace {
    pub fn from_u8(byte: u8) -> Option<Self> {
        [LockSpace::Flock, LockSpace::Record].into_iter().find(|space| *space as u8 == byte)
    }
}

impl LockMode {
    pub fn from_u8(byte: u8) -> Option<Self> {
        [LockMode::Shared, LockMode::Exclusive].into_iter().find(|mode| *mode as u8 == byte)
    }

    /// Whether two owners can't hold these on one byte.
    pub fn excludes(self, other: LockMode) -> bool {
        self == LockMode::Exclusive || other == LockMode::Exclusive
    }
}

impl LockRange {
    pub const WHOLE: LockRange = LockRange { start: 0, end: FILE_BYTES_MAX };

    /// `None` for a range that ends before it begins, or beyond every file.
    pub fn new(start: u64, end: u64) -> Option<Self> {
        (start <= end && end <= FILE_BYTES_MAX).then_some(LockRange { start, end })
    }

    pub fn overlaps(self, other: LockRange) -> bool {
        self.start <= other.end && other.start <= self.end
    }
}
