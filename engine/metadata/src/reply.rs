//! What operations answer.

use serde::{Deserialize, Serialize};
use shoal_types::{Attributes, Errno, FsResult, Ino, SessionId};
use std::ops::Range;

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum MetaReply {
    Done,
    Attributes(Attributes),
    Removed(Removed),
    Renamed(Renamed),
    Truncated(Truncated),
    NotInline,
    Replaced(bool),
    Leased(Range<u64>),
    Registered(SessionId),
    Ended {
        done: bool,
    },
    Lock(LockOutcome),
    Fallocated(Fallocated),
    Copied(Copied),
    /// So many bytes have to be copied as bytes.
    CopyBytes(u64),
    Appended(Appended),
    Emptied(Emptied),
    /// Those that the session keeps now.
    Sustained(Vec<Ino>),
    Cloning(CloneProgress),
    /// Who maintains the volume.
    Holder(SessionId),
}

/// How a request for a lock ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum LockOutcome {
    Done,
    /// Others have it: `abroad` if some of them are owners of another session.
    Blocked {
        abroad: bool,
    },
    /// It would wait for ever.
    Deadlock,
}

/// What a removed name stood for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Removed {
    pub ino: Ino,
    /// It was its last name, and it doesn't lie in the trash.
    pub last: bool,
    /// It had no name left and `open` named it: it stays until `Release`.
    pub sustained: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Renamed {
    /// What now has the new name.
    pub moved: Ino,
    /// What had the new name before: replaced, or with `exchange` now under the old name.
    pub replaced: Option<Removed>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Truncated {
    pub attributes: Attributes,
    pub done: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fallocated {
    pub attributes: Attributes,
    /// Where the hole ends so far.
    pub reached: u64,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Appended {
    pub attributes: Attributes,
    /// Where the bytes begin.
    pub offset: u64,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Copied {
    /// Of the target.
    pub attributes: Attributes,
    /// Bytes; 0 at the end of the source.
    pub count: u64,
}

/// Things were taken out of a directory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Emptied {
    pub done: bool,
    /// They, and whatever else has changed.
    pub inodes: Vec<Ino>,
}

/// How far a clone has come.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CloneProgress {
    /// The directory that the copy is to appear in.
    pub parent: Ino,
    /// The first of the given inode numbers that has not been used.
    pub next_inode: u64,
    /// Names in the copy, and bytes allocated by its files.
    pub entries: u64,
    pub bytes: u64,
    /// Nothing is left to copy.
    pub filled: bool,
    pub refusal: Option<CloneRefusal>,
}

/// What can't be copied, and so nothing is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CloneRefusal {
    /// `EACCES`: the caller may not read it. `EPERM`: it may not make such a device. `EBUSY`: a file that takes several steps
    /// has changed between them.
    pub errno: Errno,
    /// In the source.
    pub directory: Ino,
    /// Empty for the source itself.
    pub name: Vec<u8>,
}

macro_rules! into {
    ($($(#[$doc:meta])* $method:ident: $variant:ident => $type:ty;)*) => {
        impl MetaReply {
            $($(#[$doc])*
            pub fn $method(self) -> FsResult<$type> {
                match self {
                    MetaReply::$variant(value) => Ok(value),
                    other => Err(other.unexpected()),
                }
            })*
        }
    };
}

into! {
    /// The answer of the operations that tell attributes; EIO for any other, which is a bug.
    into_attributes: Attributes => Attributes;
    into_removed: Removed => Removed;
    into_renamed: Renamed => Renamed;
    into_truncated: Truncated => Truncated;
    into_replaced: Replaced => bool;
    into_fallocated: Fallocated => Fallocated;
    into_copied: Copied => Copied;
    into_appended: Appended => Appended;
    into_cloning: Cloning => CloneProgress;
    into_leased: Leased => Range<u64>;
    into_registered: Registered => SessionId;
    into_lock: Lock => LockOutcome;
    into_sustained: Sustained => Vec<Ino>;
    into_holder: Holder => SessionId;
}

impl MetaReply {
    pub fn is_not_inline(&self) -> bool {
        *self == MetaReply::NotInline
    }

    pub fn into_ended(self) -> FsResult<bool> {
        match self {
            MetaReply::Ended { done } | MetaReply::Emptied(Emptied { done, .. }) => Ok(done),
            other => Err(other.unexpected()),
        }
    }

    fn unexpected(self) -> Errno {
        debug_assert!(false, "an operation answered {self:?}");
        Errno::EIO
    }
}
