//! What calls answer, in a form that two file systems can be compared by.

use super::call::Text;
use shoal_types::{Errno, FileKind, LockMode};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    Done,
    Count(u64),
    Bytes(Text),
    Attributes(Seen),
    Names(BTreeMap<Vec<u8>, FileKind>),
    XattrNames(BTreeSet<Vec<u8>>),
    /// Where data is, up to the end of the file.
    Data(Vec<Range<u64>>),
    /// What stands in the way of a lock, if anything: mode, first byte, and behind the last one (0 is the end of time).
    Conflict(Option<(LockMode, Range<u64>)>),
}

/// Of an inode: what all file systems have to agree on.
#[derive(Clone, PartialEq, Eq)]
pub struct Seen {
    pub kind: FileKind,
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    pub nlink: u32,
    pub rdev: u32,
    /// Not of directories, where file systems differ.
    pub length: Option<u64>,
}

/// A look at an inode after a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Look {
    pub number: u64,
    pub seen: Seen,
    /// Seconds and nanoseconds.
    pub modified: (i64, u32),
    pub changed: (i64, u32),
}

#[derive(Clone, PartialEq, Debug)]
pub struct Outcome {
    /// `None` where the call wasn't made.
    pub answer: Option<Result<Answer, Errno>>,
    /// The descriptor that the call has made, as /proc shows it.
    pub opened: Option<PathBuf>,
    /// In the order of `Action::watched`; `None` for what isn't there.
    pub looks: Vec<Option<Look>>,
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Seen { kind, mode, uid, gid, nlink, rdev, length } = self;
        write!(f, "{kind:?} {mode:04o} of {uid}:{gid}, {nlink} links, device {rdev:#x}, length {length:?}")
    }
}
