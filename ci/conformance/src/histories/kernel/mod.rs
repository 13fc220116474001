//! What Linux answers to the calls of a history, by the oracle's tree: the part above file systems, that walks paths, checks
//! permissions and knows descriptors.
//!
//! Written from the rules (POSIX, the man pages, what `fs/namei.c` and `fs/attr.c` do), one check after the other in the
//! kernel's order, because of several refusals the first is the answer.

mod attributes;
mod data;
mod locks;
mod names;
mod open;
mod permissions;
mod walk;
mod xattrs;

use super::answer::{Answer, Look, Seen};
use super::call::{Action, Call, Slot, Target, USERS, User};
use super::differences::{LEFT_OUT, LeftOut};
use shoal_oracle::{LockTable, Oracle};
use shoal_types::{Attributes, Errno, FileKind, FsResult, Ino, LockMode, LockSpace, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

pub struct Kernel {
    pub(super) oracle: Oracle,
    locks: LockTable,
    /// Open file descriptions, and who refers to them.
    descriptions: BTreeMap<u64, Description>,
    slots: BTreeMap<Slot, u64>,
    next_description: u64,
    next_ino: u64,
    now: i64,
    /// Made with O_TMPFILE and O_EXCL.
    never_to_be_named: BTreeSet<Ino>,
    /// Somebody has asked for a record lock of it.
    locked: BTreeSet<Ino>,
    more_left_out: &'static [LeftOut],
    protections: Protections,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Description {
    pub ino: Ino,
    pub read: bool,
    pub write: bool,
    pub append: bool,
    /// O_PATH.
    pub path_only: bool,
    pub direct: bool,
    /// Opened for reading before anybody had asked for a record lock of the file.
    pub quiet: bool,
    pub position: u64,
}

/// Of /proc/sys/fs.
#[derive(Clone, Copy)]
struct Protections {
    symlinks: u8,
    hardlinks: u8,
    regular: u8,
    fifos: u8,
}

pub enum Expected {
    Answer(FsResult<Answer>),
    /// Any ranges outside of which there are zeros. `length` of a file with data in `data`.
    Data {
        from: u64,
        length: u64,
        zeros: Box<dyn Fn(Range<u64>) -> bool>,
    },
    /// Any of the locks that stand in the way: their owners' modes by byte.
    Conflict(Box<dyn Fn(LockMode, Range<u64>) -> bool>),
    /// The oracle has nothing to say about special files in use: two real folders judge each other.
    Unjudged,
}

impl Expected {
    pub fn allows(&self, found: &FsResult<Answer>) -> bool {
        match (self, found) {
            (Expected::Unjudged, _) => true,
            (Expected::Answer(expected), found) => expected == found,
            (Expected::Data { from, length, zeros }, Ok(Answer::Data(ranges))) => {
                let edges = ranges.iter().flat_map(|range| [range.start, range.end]);
                let edges: Vec<u64> = std::iter::once(*from).chain(edges).chain([*length]).collect();
                edges.is_sorted()
                    && ranges.iter().all(|range| !range.is_empty())
                    && edges.chunks(2).all(|hole| zeros(hole[0]..hole[1]))
            }
            (Expected::Conflict(stands), Ok(Answer::Conflict(Some((mode, range))))) => stands(*mode, range.clone()),
            _ => false,
        }
    }
}

impl std::fmt::Debug for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Expected::Answer(answer) => answer.fmt(f),
            Expected::Data { from, length, .. } => write!(f, "data where it is not zero, from {from} to {length}"),
            Expected::Conflict(_) => f.write_str("a lock that stands in the way"),
            Expected::Unjudged => f.write_str("anything"),
        }
    }
}

impl Kernel {
    /// An empty folder of root's, in which everybody may do anything.
    pub fn new(more_left_out: &'static [LeftOut]) -> Self {
        let mut oracle = Oracle::new();
        let made = Timestamp::new(EPOCH, 0);
        oracle.set_attributes(Ino::ROOT, Some(0o777), None, None, None, None, made).expect("there is a root");
        let protection = |name: &str| {
            let text = std::fs::read_to_string(format!("/proc/sys/fs/protected_{name}")).unwrap_or_default();
            text.trim().parse().unwrap_or(0)
        };
        Kernel {
            oracle,
            locks: LockTable::default(),
            descriptions: BTreeMap::new(),
            slots: BTreeMap::new(),
            next_description: 1,
            next_ino: 2,
            now: EPOCH,
            never_to_be_named: BTreeSet::new(),
            locked: BTreeSet::new(),
            more_left_out,
            protections: Protections {
                symlinks: protection("symlinks"),
                hardlinks: protection("hardlinks"),
                regular: protection("regular"),
                fifos: protection("fifos"),
            },
        }
    }

    /// A call can be made only with descriptors that are there, and into a place for them that is free.
    pub fn can(&self, call: &Call) -> bool {
        call.action.slots().iter().all(|slot| self.slots.contains_key(slot))
            && call.action.new_slot().is_none_or(|slot| !self.slots.contains_key(&slot))
            && LEFT_OUT.iter().chain(self.more_left_out).all(|left_out| !(left_out.applies)(call, self))
    }

    /// The process has record locks of the file.
    pub fn has_locks(&self, process: u8, slot: Slot) -> bool {
        self.locks.holds(self.description(slot).ino, LockSpace::Record, process.into())
    }

    pub fn call(&mut self, call: &Call) -> Expected {
        self.now += 1;
        self.answer(call)
    }

    /// What there is to see of what a call was about: see `Action::watched`.
    pub fn looks(&self, call: &Call) -> Vec<Option<Look>> {
        call.action.watched().iter().map(|target| self.look(target)).collect()
    }

    fn answer(&mut self, call: &Call) -> Expected {
        use Action::*;
        let who = &USERS[usize::from(call.user)];
        // To stand in the directory comes before the call.
        for slot in call.action.places().iter().filter_map(|place| place.from) {
            if !self.is_directory(self.description(slot).ino) {
                return Expected::Answer(Err(Errno::ENOTDIR));
            }
        }
        Expected::Answer(match &call.action {
            Open { slot, place, flags, mode } => return self.open(who, *slot, place, *flags, *mode),
            Close { slot } => self.close(call.process, *slot),
            Duplicate { slot, to } => {
                self.slots.insert(*to, self.slots[slot]);
                Ok(Answer::Done)
            }
            MakeNode { place, kind, mode, device } => self.make_node(who, place, *kind, *mode, *device),
            MakeDirectory { place, mode } => self.make_directory(who, place, *mode),
            Remove { place } => self.remove(who, place),
            RemoveDirectory { place } => self.remove_directory(who, place),
            Rename { from, to, flags } => self.rename(who, from, to, *flags),
            Link { from, to, follow } => self.link(who, from, to, *follow),
            LinkOpen { slot, to } => self.link_open(who, *slot, to),
            Symlink { target, place } => self.symlink(who, &target.0, place),
            ReadLink { place } => self.read_link(who, place),
            SetMode { target, mode } => self.set_mode(who, target, *mode),
            SetOwner { target, uid, gid } => self.set_owner(who, target, *uid, *gid),
            SetTimes { target, accessed, modified } => self.set_times(who, target, *accessed, *modified),
            Truncate { place, length } => self.truncate(who, place, *length),
            TruncateOpen { slot, length } => self.truncate_open(who, *slot, *length),
            Read { slot, at, length } => return self.read(*slot, *at, *length),
            Write { slot, at, data } => return self.write(who, *slot, *at, *data, false),
            WriteAtEnd { slot, data } => return self.write(who, *slot, None, *data, true),
            Seek { slot, to } => return self.seek(*slot, *to),
            Allocate { slot, flags, at, length } => self.allocate(who, *slot, *flags, *at, *length),
            FindData { slot, from } => return self.find_data(*slot, *from),
            Copy { from, from_at, to, to_at, length } => {
                self.copy(who, (*from, *from_at), (*to, *to_at), *length as u64)
            }
            WriteMapped { slot, at, data } => self.write_mapped(*slot, *at, *data),
            SetXattr { target, name, value, flags } => self.set_xattr(who, target, &name.0, &value.0, *flags),
            GetXattr { target, name } => self.get_xattr(who, target, &name.0),
            ListXattrs { target } => self.list_xattrs(who, target),
            RemoveXattr { target, name } => self.remove_xattr(who, target, &name.0),
            Flock { slot, mode } => self.flock(*slot, *mode),
            Lock { slot, by_description, mode, start, length } => {
                let owner = self.lock_owner(call.process, *slot, *by_description);
                self.lock(*slot, owner, *mode, *start, *length)
            }
            TestLock { slot, by_description, mode, start, length } => {
                let owner = self.lock_owner(call.process, *slot, *by_description);
                return self.test_lock(*slot, owner, *mode, *start, *length);
            }
            List { place } => self.list(who, call.process, place),
            ListOpen { slot } => self.list_open(*slot),
            Access { place, mask } => self.access(who, place, *mask),
            Stat { target } => self.stat(who, target),
            Sync { slot, .. } => self.sync(*slot),
            DropPages { slot } => self.drop_pages(*slot),
        })
    }

    pub fn is_open(&self, slot: Slot) -> bool {
        self.slots.contains_key(&slot)
    }

    /// A regular file, and not by O_PATH.
    pub fn is_usable_file(&self, slot: Slot) -> bool {
        let description = self.description(slot);
        !description.path_only && self.kind(description.ino) == FileKind::Regular
    }

    pub fn description(&self, slot: Slot) -> &Description {
        &self.descriptions[&self.slots[&slot]]
    }

    fn description_mut(&mut self, slot: Slot) -> &mut Description {
        self.descriptions.get_mut(&self.slots[&slot]).expect("a slot refers to a description")
    }

    /// `EBADF` for what was opened with O_PATH.
    fn usable(&self, slot: Slot) -> FsResult<Description> {
        let description = *self.description(slot);
        if description.path_only { Err(Errno::EBADF) } else { Ok(description) }
    }

    pub fn kind(&self, ino: Ino) -> FileKind {
        self.attributes(ino).kind
    }

    pub fn attributes(&self, ino: Ino) -> Attributes {
        self.oracle.get_attributes(ino).expect("the kernel names only inodes that are there")
    }

    pub fn is_directory(&self, ino: Ino) -> bool {
        self.kind(ino) == FileKind::Directory
    }

    /// What a call that names an inode or a descriptor is about; descriptors of O_PATH are refused.
    fn target(&self, who: &User, target: &Target) -> FsResult<Ino> {
        match target {
            Target::Path { place, follow } => self.resolve(who, place, *follow),
            Target::Open(slot) => Ok(self.usable(*slot)?.ino),
        }
    }

    fn stat(&self, who: &User, target: &Target) -> FsResult<Answer> {
        let ino = match target {
            Target::Path { place, follow } => self.resolve(who, place, *follow)?,
            Target::Open(slot) => self.description(*slot).ino,
        };
        Ok(Answer::Attributes(self.seen(ino)))
    }

    fn look(&self, target: &Target) -> Option<Look> {
        let ino = match target {
            Target::Path { place, follow } => {
                if place.from.is_some_and(|slot| !self.is_directory(self.description(slot).ino)) {
                    return None;
                }
                self.resolve(&USERS[0], place, *follow).ok()?
            }
            Target::Open(slot) => self.descriptions[self.slots.get(slot)?].ino,
        };
        let Attributes { mtime, ctime, .. } = self.attributes(ino);
        let time = |time: Timestamp| (time.seconds, time.nanoseconds);
        Some(Look { number: ino.0, seen: self.seen(ino), modified: time(mtime), changed: time(ctime) })
    }

    pub fn seen(&self, ino: Ino) -> Seen {
        let Attributes { kind, mode, uid, gid, nlink, rdev, length, .. } = self.attributes(ino);
        Seen { kind, mode, uid, gid, nlink, rdev, length: (kind != FileKind::Directory).then_some(length) }
    }

    fn now(&self) -> Timestamp {
        Timestamp::new(self.now, 0)
    }

    fn new_ino(&mut self) -> Ino {
        self.next_ino += 1;
        Ino(self.next_ino)
    }
}

/// Seconds beyond all times that histories set.
const EPOCH: i64 = 8_000_000_000;
