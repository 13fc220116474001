//! What the check can find, and how it's told in one line.

use crate::Account;
use shoal_types::{FileKind, Ino, ObjectId, SessionId};
use std::fmt;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    pub problem: Problem,
    /// What it is about, if it's about one inode.
    pub ino: Option<Ino>,
    /// From the root, where a way there is known.
    pub path: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Problem {
    // Records.
    SettingsMissing,
    RootMissing,
    CounterMissing {
        counter: &'static str,
    },
    UnknownKey {
        key: Vec<u8>,
    },
    /// Of a newer format (it says so), or damaged.
    Undecodable {
        key: Vec<u8>,
        why: String,
    },
    /// Records of an inode that does not exist.
    Stray,
    /// What an inode of its kind can't have.
    Misplaced {
        what: &'static str,
    },
    /// A number in use that has not been handed out yet, so that it will be handed out again.
    NotHandedOut {
        counter: &'static str,
        next: u64,
        number: u64,
    },

    // Names.
    DanglingEntry {
        name: Vec<u8>,
        target: Ino,
    },
    EntryKind {
        name: Vec<u8>,
        target: Ino,
        inode: FileKind,
    },
    BadName {
        name: Vec<u8>,
    },
    Cookie {
        name: Vec<u8>,
    },
    Unreachable,
    /// A directory that is below itself.
    Loop,
    SeveralNames {
        names: u64,
    },
    LinkCount {
        recorded: u32,
        names: u64,
    },
    Parent {
        recorded: Ino,
        actual: Ino,
    },
    Entries {
        recorded: i64,
        counted: i64,
    },
    Subdirectories {
        recorded: i64,
        counted: i64,
    },

    // Content.
    BeyondEnd {
        what: &'static str,
        length: u64,
    },
    TargetLength {
        recorded: u64,
        counted: u64,
    },
    Allocated {
        recorded: i64,
        counted: i64,
    },
    LiveBytes {
        object: ObjectId,
        recorded: i64,
        counted: i64,
    },
    LiveAndQueued {
        object: ObjectId,
    },
    /// A list of files of a pack that nothing refers to.
    PackNotes {
        object: ObjectId,
    },
    StagedBytes {
        recorded: i64,
        counted: i64,
    },
    UsedBytes {
        recorded: i64,
        counted: i64,
    },
    UsedInodes {
        recorded: i64,
        counted: i64,
    },
    AccountBytes {
        account: Account,
        recorded: i64,
        counted: i64,
    },
    AccountInodes {
        account: Account,
        recorded: i64,
        counted: i64,
    },
    /// It's counted for another quota than the directory it's in.
    QuotaMark {
        recorded: Option<Ino>,
        wanted: Option<Ino>,
    },
    /// Inodes are counted for a quota that there is not.
    QuotaMissing,

    // Extended attributes.
    /// A value that the index does not list, or lists with another length.
    XattrUnindexed {
        name: Vec<u8>,
    },
    XattrMissing {
        name: Vec<u8>,
    },
    XattrFlags,

    // Removal and sessions.
    SessionGone {
        session: SessionId,
    },
    SustainedNowhere {
        session: SessionId,
    },
    SustainedWithName {
        session: SessionId,
    },
    /// A lock, or a request for one, that only the inode or only the session knows of.
    Locks {
        session: SessionId,
    },
    QueuedNowhere,
    QueuedWithName,
    /// It is said to be in the trash and is not, or is and is not said to be.
    Trashed,
    /// The inode's note and the removal queue do not agree.
    QueuePlace,
    /// A clone under way has this as its root.
    CloneNowhere,
    CloneWithName,
    /// There is no such clone.
    CloneNotes {
        clone: Ino,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.path, self.ino) {
            (Some(path), Some(ino)) => write!(f, "{} (inode {ino}): ", one_line(path))?,
            (_, Some(ino)) => write!(f, "inode {ino}: ")?,
            (_, None) => f.write_str("the volume: ")?,
        }
        self.problem.fmt(f)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Problem::*;
        match self {
            SettingsMissing => write!(f, "it has no settings"),
            RootMissing => write!(f, "it has no root directory"),
            CounterMissing { counter } => write!(f, "the counter '{counter}' is missing"),
            UnknownKey { key } => write!(f, "the key {} means nothing to this program", key.escape_ascii()),
            Undecodable { key, why } => write!(f, "{why} (key {})", key.escape_ascii()),
            Stray => write!(f, "there are records of it, but it does not exist"),
            Misplaced { what } => write!(f, "it has {what}, which an inode of its kind cannot have"),
            NotHandedOut { counter, next, number } => {
                write!(f, "number {number} is in use, but '{counter}' is {next}, so it will be handed out again")
            }
            DanglingEntry { name, target } => {
                write!(f, "its entry '{}' leads to inode {target}, which does not exist", one_line(name))
            }
            EntryKind { name, target, inode } => {
                write!(f, "its entry '{}' gives inode {target} another kind than {inode:?}", one_line(name))
            }
            BadName { name } => write!(f, "its entry '{}' has a name that no file can have", one_line(name)),
            Cookie { name } => write!(f, "its entry '{}' is not where its name belongs", one_line(name)),
            Unreachable => write!(f, "no name leads to it, and nothing keeps or removes it"),
            Loop => write!(f, "the directory is below itself, out of reach of the root"),
            SeveralNames { names } => write!(f, "the directory has {names} names"),
            LinkCount { recorded, names } => write!(f, "it counts {recorded} names and has {names}"),
            Parent { recorded, actual } => write!(f, "it says it is in inode {recorded} and is in inode {actual}"),
            Entries { recorded, counted } => write!(f, "it counts {recorded} entries and has {counted}"),
            Subdirectories { recorded, counted } => {
                write!(f, "it counts {recorded} subdirectories and has {counted}")
            }
            BeyondEnd { what, length } => write!(f, "it has {what} beyond its end at byte {length}"),
            TargetLength { recorded, counted } => write!(f, "its length is {recorded}, its target's {counted}"),
            Allocated { recorded, counted } => write!(f, "it counts {recorded} allocated bytes and has {counted}"),
            LiveBytes { object, recorded, counted } => {
                write!(f, "object {object} counts {recorded} live bytes, files refer to {counted}")
            }
            LiveAndQueued { object } => write!(f, "object {object} is in use and queued for deletion"),
            PackNotes { object } => write!(f, "there are notes of pack {object}, which nothing refers to"),
            StagedBytes { recorded, counted } => write!(f, "it counts {recorded} staged bytes and has {counted}"),
            UsedBytes { recorded, counted } => write!(f, "it counts {recorded} used bytes, its inodes {counted}"),
            UsedInodes { recorded, counted } => write!(f, "it counts {recorded} inodes and has {counted}"),
            XattrUnindexed { name } => {
                write!(f, "its extended attribute '{}' is not what its index says", one_line(name))
            }
            XattrMissing { name } => write!(f, "its extended attribute '{}' has no value", one_line(name)),
            XattrFlags => write!(f, "its flags do not tell which extended attributes it has"),
            AccountBytes { account, recorded, counted } => {
                write!(f, "{account} is charged {recorded} bytes and has {counted}; see shoal quota check")
            }
            AccountInodes { account, recorded, counted } => {
                write!(f, "{account} is charged {recorded} inodes and has {counted}; see shoal quota check")
            }
            QuotaMark { recorded, wanted } => {
                write!(f, "it is counted for {}, its directory for {}", quota(*recorded), quota(*wanted))
            }
            QuotaMissing => write!(f, "inodes are counted for its quota, which it does not have"),
            SessionGone { session } => write!(f, "there are records of session {session}, which has ended"),
            SustainedNowhere { session } => write!(f, "session {session} keeps it, but it does not exist"),
            SustainedWithName { session } => write!(f, "session {session} keeps it as nameless, but it has a name"),
            Locks { session } => write!(f, "it and session {session} do not agree about what is locked"),
            QueuedNowhere => write!(f, "it is queued for removal, but does not exist"),
            QueuedWithName => write!(f, "it is queued for removal, but has a name"),
            Trashed => write!(f, "it and the trash do not agree about where it is"),
            CloneNowhere => write!(f, "it is the root of a clone under way, but does not exist"),
            CloneWithName => write!(f, "it is the root of a clone under way, but has a name"),
            CloneNotes { clone } => write!(f, "there are notes of the clone {clone}, which is not under way"),
            QueuePlace => write!(f, "its place in the removal queue is not the one it has noted"),
        }
    }
}

fn quota(root: Option<Ino>) -> String {
    root.map_or_else(|| "no quota".into(), |root| format!("the quota of inode {root}"))
}

/// Bytes for people: what would break the line or the terminal is escaped.
fn one_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}
