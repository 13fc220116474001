//! The calls that histories are made of: plain values, so that a history can be printed, cut and played again.

use rustix::fs::{FallocateFlags, OFlags, RenameFlags, XattrFlags};
use shoal_types::{FileKind, LockMode};
use std::fmt;

#[derive(Clone, PartialEq, Debug)]
pub struct Call {
    /// Each has descriptors and record locks of its own.
    pub process: u8,
    /// Into `USERS`.
    pub user: u8,
    pub action: Action,
}

/// Who calls, with which umask.
pub struct User {
    pub uid: u32,
    pub gid: u32,
    pub groups: &'static [u32],
    pub umask: u16,
}

pub const USERS: [User; 3] = [
    User { uid: 0, gid: 0, groups: &[], umask: 0o022 },
    User { uid: 1001, gid: 1001, groups: &[2001], umask: 0o002 },
    User { uid: 1002, gid: 1002, groups: &[], umask: 0o077 },
];

pub const PROCESSES: u8 = 2;
/// Descriptors by number; each belongs to the process that its remainder names.
pub const SLOTS: u8 = 8;
pub type Slot = u8;

/// A path, from an open directory or from the folder of the history.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    pub from: Option<Slot>,
    pub path: Vec<u8>,
}

/// Bytes that are printed as text, and not all of them.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(pub Vec<u8>);

#[derive(Clone, PartialEq, Debug)]
pub enum Target {
    Path { place: Place, follow: bool },
    Open(Slot),
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Time {
    Now,
    Keep,
    At(i64, u32),
}

/// Bytes that a number stands for.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Data {
    pub seed: u64,
    pub length: usize,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Action {
    Open {
        slot: Slot,
        place: Place,
        flags: OFlags,
        mode: u16,
    },
    Close {
        slot: Slot,
    },
    Duplicate {
        slot: Slot,
        to: Slot,
    },
    MakeNode {
        place: Place,
        kind: FileKind,
        mode: u16,
        device: u32,
    },
    MakeDirectory {
        place: Place,
        mode: u16,
    },
    Remove {
        place: Place,
    },
    RemoveDirectory {
        place: Place,
    },
    Rename {
        from: Place,
        to: Place,
        flags: RenameFlags,
    },
    Link {
        from: Place,
        to: Place,
        follow: bool,
    },
    LinkOpen {
        slot: Slot,
        to: Place,
    },
    Symlink {
        target: Text,
        place: Place,
    },
    ReadLink {
        place: Place,
    },
    SetMode {
        target: Target,
        mode: u16,
    },
    SetOwner {
        target: Target,
        uid: Option<u32>,
        gid: Option<u32>,
    },
    SetTimes {
        target: Target,
        accessed: Time,
        modified: Time,
    },
    Truncate {
        place: Place,
        length: i64,
    },
    TruncateOpen {
        slot: Slot,
        length: i64,
    },
    Read {
        slot: Slot,
        at: Option<i64>,
        length: usize,
    },
    Write {
        slot: Slot,
        at: Option<i64>,
        data: Data,
    },
    /// pwritev2 with RWF_APPEND.
    WriteAtEnd {
        slot: Slot,
        data: Data,
    },
    Seek {
        slot: Slot,
        to: i64,
    },
    Allocate {
        slot: Slot,
        flags: FallocateFlags,
        at: i64,
        length: i64,
    },
    /// SEEK_DATA and SEEK_HOLE from here to the end.
    FindData {
        slot: Slot,
        from: u64,
    },
    Copy {
        from: Slot,
        from_at: u64,
        to: Slot,
        to_at: u64,
        length: usize,
    },
    /// Through a shared mapping that is synced, where the file has all of these bytes.
    WriteMapped {
        slot: Slot,
        at: u64,
        data: Data,
    },
    SetXattr {
        target: Target,
        name: Text,
        value: Text,
        flags: XattrFlags,
    },
    GetXattr {
        target: Target,
        name: Text,
    },
    ListXattrs {
        target: Target,
    },
    RemoveXattr {
        target: Target,
        name: Text,
    },
    /// `None` unlocks; nothing waits.
    Flock {
        slot: Slot,
        mode: Option<LockMode>,
    },
    Lock {
        slot: Slot,
        by_description: bool,
        mode: Option<LockMode>,
        start: u64,
        length: u64,
    },
    TestLock {
        slot: Slot,
        by_description: bool,
        mode: LockMode,
        start: u64,
        length: u64,
    },
    List {
        place: Place,
    },
    /// An open directory from its start, and once more from a place in the middle.
    ListOpen {
        slot: Slot,
    },
    Access {
        place: Place,
        mask: u8,
    },
    Stat {
        target: Target,
    },
    Sync {
        slot: Slot,
        data_only: bool,
    },
    /// The kernel lets go of the pages it has of the file.
    DropPages {
        slot: Slot,
    },
}

impl Place {
    /// The directory that the last component lies in, as far as the text tells.
    pub fn parent(&self) -> Place {
        let path = self.path.strip_suffix(b"/").unwrap_or(&self.path);
        let path = match path.iter().rposition(|byte| *byte == b'/') {
            Some(end) => path[..end].to_vec(),
            None => b".".to_vec(),
        };
        Place { from: self.from, path }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(slot) = self.from {
            write!(f, "{slot}:")?;
        }
        Text(self.path.clone()).fmt(f)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.len().min(TEXT_SHOWN_MAX);
        write!(f, "\"{}\"", self.0[..shown].escape_ascii())?;
        if self.0.len() > shown { write!(f, "… ({} bytes)", self.0.len()) } else { Ok(()) }
    }
}

const TEXT_SHOWN_MAX: usize = 60;

impl Data {
    pub fn bytes(self) -> Vec<u8> {
        (0..self.length as u64).map(|index| (self.seed.wrapping_add(index * 0x9e37_79b9) >> 7) as u8).collect()
    }
}

impl Action {
    /// The descriptors it's about.
    pub fn slots(&self) -> Vec<Slot> {
        use Action::*;
        let mut slots: Vec<Slot> = self.places().iter().filter_map(|place| place.from).collect();
        match self {
            Open { .. } => {}
            Close { slot }
            | LinkOpen { slot, .. }
            | TruncateOpen { slot, .. }
            | Read { slot, .. }
            | Write { slot, .. }
            | WriteAtEnd { slot, .. }
            | Seek { slot, .. }
            | Allocate { slot, .. }
            | FindData { slot, .. }
            | WriteMapped { slot, .. }
            | Flock { slot, .. }
            | Lock { slot, .. }
            | TestLock { slot, .. }
            | ListOpen { slot }
            | Sync { slot, .. }
            | DropPages { slot }
            | Duplicate { slot, .. } => slots.push(*slot),
            Copy { from, to, .. } => slots.extend([*from, *to]),
            _ => slots.extend(self.target().and_then(|target| match target {
                Target::Open(slot) => Some(*slot),
                Target::Path { .. } => None,
            })),
        }
        slots
    }

    /// The descriptor it fills.
    pub fn new_slot(&self) -> Option<Slot> {
        match self {
            Action::Open { slot, .. } => Some(*slot),
            Action::Duplicate { to, .. } => Some(*to),
            _ => None,
        }
    }

    /// The paths it's about.
    pub fn places(&self) -> Vec<&Place> {
        use Action::*;
        match self {
            Open { place, .. }
            | MakeNode { place, .. }
            | MakeDirectory { place, .. }
            | Remove { place }
            | RemoveDirectory { place }
            | Symlink { place, .. }
            | ReadLink { place }
            | Truncate { place, .. }
            | List { place }
            | Access { place, .. } => vec![place],
            Rename { from, to, .. } | Link { from, to, .. } => vec![from, to],
            LinkOpen { to, .. } => vec![to],
            _ => match self.target() {
                Some(Target::Path { place, .. }) => vec![place],
                _ => vec![],
            },
        }
    }

    fn target(&self) -> Option<&Target> {
        use Action::*;
        match self {
            SetMode { target, .. }
            | SetOwner { target, .. }
            | SetTimes { target, .. }
            | SetXattr { target, .. }
            | GetXattr { target, .. }
            | ListXattrs { target }
            | RemoveXattr { target, .. }
            | Stat { target } => Some(target),
            _ => None,
        }
    }

    /// What to look at afterwards: everything it names, and the directories around.
    pub fn watched(&self) -> Vec<Target> {
        let around = |place: &Place| {
            [Target::Path { place: place.clone(), follow: false }, Target::Path { place: place.parent(), follow: true }]
        };
        let mut watched: Vec<Target> = self.places().into_iter().flat_map(around).collect();
        watched.extend(self.slots().into_iter().chain(self.new_slot()).map(Target::Open));
        watched
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[process {} uid {}] {:?}", self.process, USERS[self.user as usize].uid, self.action)
    }
}
