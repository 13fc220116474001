//! Calls by chance, likely to be about something that is there.

use super::call::{Action, Call, Data, PROCESSES, Place, SLOTS, Slot, Target, Text, Time, USERS};
use super::kernel::Kernel;
use rustix::fs::{FallocateFlags, OFlags, RenameFlags, XattrFlags};
use shoal_kv::Random;
use shoal_types::{Acl, AclEntry, AclTag, FileKind, Ino, LockMode, XattrName};

pub struct Generator<'a> {
    pub random: &'a mut Random,
    pub kernel: &'a Kernel,
    process: u8,
}

impl<'a> Generator<'a> {
    pub fn new(random: &'a mut Random, kernel: &'a Kernel) -> Self {
        let process = random.below(PROCESSES.into()) as u8;
        Generator { random, kernel, process }
    }

    /// One that can be made.
    pub fn call(mut self) -> Call {
        loop {
            // Most as root, so that most succeed.
            let user = if self.one_in(3) { 1 + self.random.below(USERS.len() as u64 - 1) as u8 } else { 0 };
            let Some(action) = self.action() else { continue };
            // AT_EMPTY_PATH is for who may look up anything.
            let user = if matches!(action, Action::LinkOpen { .. }) { 0 } else { user };
            let call = Call { process: self.process, user, action };
            if self.kernel.can(&call) {
                return call;
            }
        }
    }

    fn action(&mut self) -> Option<Action> {
        Some(match self.random.below(118) {
            0..=11 => self.open()?,
            12 | 13 => Action::Close { slot: self.slot()? },
            14 => Action::Duplicate { slot: self.slot()?, to: self.free_slot()? },
            15 | 16 => {
                let kind = *self.choose(&[
                    FileKind::Regular,
                    FileKind::Fifo,
                    FileKind::Socket,
                    FileKind::CharDevice,
                    FileKind::BlockDevice,
                    FileKind::Directory,
                ]);
                let is_device = matches!(kind, FileKind::CharDevice | FileKind::BlockDevice);
                let device = if is_device { *self.choose(&[0, 0x103, 0xffff]) } else { 0 };
                Action::MakeNode { place: self.new_place(), kind, mode: self.mode(), device }
            }
            17..=21 => Action::MakeDirectory { place: self.new_place(), mode: self.mode() },
            22..=25 => Action::Remove { place: self.place() },
            26 | 27 => Action::RemoveDirectory { place: self.place() },
            28..=34 => self.rename(),
            35..=37 => Action::Link { from: self.place(), to: self.second_place(), follow: self.one_in(3) },
            38 => Action::LinkOpen { slot: self.slot()?, to: self.new_place() },
            39 | 40 => Action::Symlink { target: Text(self.link_target()), place: self.new_place() },
            41 => Action::ReadLink { place: self.place() },
            42..=44 => Action::SetMode { target: self.target(true), mode: self.mode() },
            45..=47 => {
                let (target, uid, gid) = (self.any_target(), self.id(), self.id());
                // To change neither is not passed on to FUSE.
                if (uid, gid) == (None, None) {
                    return None;
                }
                Action::SetOwner { target, uid, gid }
            }
            48 | 49 => {
                let target = self.any_target();
                Action::SetTimes { target, accessed: self.time(), modified: self.time() }
            }
            50 | 51 => Action::Truncate { place: self.place(), length: self.length() },
            52 | 53 => Action::TruncateOpen { slot: self.file_slot()?, length: self.length() },
            54..=60 => {
                let slot = self.file_slot()?;
                let (at, length) = self.range(slot);
                let at = if self.one_in(4) && !self.kernel.description(slot).direct { None } else { Some(at) };
                Action::Read { slot, at, length }
            }
            61..=71 => {
                let slot = self.file_slot()?;
                let (at, length) = self.range(slot);
                let at = if self.one_in(4) && !self.kernel.description(slot).direct { None } else { Some(at) };
                Action::Write { slot, at, data: Data { seed: self.random.next_u64(), length } }
            }
            72 => {
                let slot = self.file_slot()?;
                let (_, length) = self.range(slot);
                Action::WriteAtEnd { slot, data: Data { seed: self.random.next_u64(), length } }
            }
            73 => Action::Seek { slot: self.file_slot()?, to: self.length() },
            74..=77 => {
                let slot = self.file_slot()?;
                let (at, length) = self.range(slot);
                let flags = *self.choose(&[
                    FallocateFlags::empty(),
                    FallocateFlags::KEEP_SIZE,
                    FallocateFlags::ZERO_RANGE,
                    FallocateFlags::ZERO_RANGE.union(FallocateFlags::KEEP_SIZE),
                    FallocateFlags::PUNCH_HOLE.union(FallocateFlags::KEEP_SIZE),
                    FallocateFlags::PUNCH_HOLE.union(FallocateFlags::KEEP_SIZE),
                    FallocateFlags::PUNCH_HOLE,
                    FallocateFlags::COLLAPSE_RANGE,
                    FallocateFlags::INSERT_RANGE,
                ]);
                Action::Allocate { slot, flags, at, length: length as i64 }
            }
            78 | 79 => {
                let slot = self.file_slot()?;
                Action::FindData { slot, from: self.range(slot).0.max(0) as u64 }
            }
            80..=82 => {
                let (from, to) = (self.file_slot()?, self.file_slot()?);
                let ((from_at, length), (to_at, _)) = (self.range(from), self.range(to));
                let (from_at, to_at) = (from_at.max(0) as u64, to_at.max(0) as u64);
                Action::Copy { from, from_at, to, to_at, length }
            }
            83 | 84 => {
                let slot = self.file_slot()?;
                let (at, length) = self.range(slot);
                let (at, length) = (at.max(0) as u64, length.max(1));
                Action::WriteMapped { slot, at, data: Data { seed: self.random.next_u64(), length } }
            }
            85..=87 => self.set_xattr(),
            88 => Action::GetXattr { target: self.any_target(), name: Text(self.xattr()) },
            89 => Action::ListXattrs { target: self.any_target() },
            90 => Action::RemoveXattr { target: self.any_target(), name: Text(self.xattr()) },
            91..=93 => Action::Flock { slot: self.slot()?, mode: self.lock_mode() },
            94..=98 => {
                let (start, length) = self.lock_range();
                let (slot, mode) = (self.slot()?, self.lock_mode());
                Action::Lock { slot, by_description: self.one_in(2), mode, start, length }
            }
            99 | 100 => {
                let (start, length) = self.lock_range();
                let mode = if self.one_in(2) { LockMode::Shared } else { LockMode::Exclusive };
                Action::TestLock { slot: self.slot()?, by_description: self.one_in(2), mode, start, length }
            }
            101..=103 => Action::List { place: self.place() },
            104 | 105 => Action::ListOpen { slot: self.directory_slot()? },
            106..=108 => Action::Access { place: self.place(), mask: self.random.below(8) as u8 },
            109..=112 => Action::Stat { target: self.any_target() },
            113 => Action::Sync { slot: self.slot()?, data_only: self.one_in(2) },
            114 => Action::DropPages { slot: self.file_slot()? },
            _ => Action::Close { slot: self.slot()? },
        })
    }

    fn open(&mut self) -> Option<Action> {
        let mut flags = *self.choose(&[OFlags::RDONLY, OFlags::WRONLY, OFlags::RDWR, OFlags::RDWR, OFlags::RDWR]);
        let mut new = false;
        match self.random.below(12) {
            0..=4 => {
                flags |= OFlags::CREATE;
                new = self.one_in(2);
            }
            5 => flags |= OFlags::CREATE | OFlags::EXCL,
            6 => flags |= OFlags::TMPFILE | if self.one_in(4) { OFlags::EXCL } else { OFlags::empty() },
            7 => flags = OFlags::RDONLY | OFlags::DIRECTORY,
            8 => flags = OFlags::PATH,
            _ => {}
        }
        for (flag, rarity) in [
            (OFlags::TRUNC, 8),
            (OFlags::APPEND, 6),
            (OFlags::DIRECT, 8),
            (OFlags::SYNC, 60),
            (OFlags::DSYNC, 60),
            (OFlags::NOFOLLOW, 10),
            (OFlags::NOATIME, 20),
            (OFlags::DIRECTORY, 40),
        ] {
            if self.one_in(rarity) {
                flags |= flag;
            }
        }
        // Whoever opens a FIFO waits for its other end.
        flags |= OFlags::NONBLOCK;
        let slot = self.free_slot()?;
        let place = if new { self.new_place() } else { self.place() };
        Some(Action::Open { slot, place, flags, mode: self.mode() })
    }

    fn rename(&mut self) -> Action {
        let flags = *self.choose(&[
            RenameFlags::empty(),
            RenameFlags::empty(),
            RenameFlags::empty(),
            RenameFlags::NOREPLACE,
            RenameFlags::EXCHANGE,
            RenameFlags::WHITEOUT,
            RenameFlags::WHITEOUT.union(RenameFlags::NOREPLACE),
            RenameFlags::NOREPLACE.union(RenameFlags::EXCHANGE),
        ]);
        Action::Rename { from: self.place(), to: self.second_place(), flags }
    }

    fn set_xattr(&mut self) -> Action {
        if self.one_in(2) {
            let default = self.one_in(2);
            let name = if default { XattrName::DEFAULT_ACL } else { XattrName::ACCESS_ACL };
            let target = self.target(true);
            return Action::SetXattr {
                target,
                name: Text(name.as_bytes().to_vec()),
                value: Text(self.acl()),
                flags: XattrFlags::empty(),
            };
        }
        let name = self.xattr();
        let value = match name == XattrName::CAPABILITY.as_bytes() {
            true => CAPABILITY_VALUE.to_vec(),
            false => Data { seed: self.random.next_u64(), length: self.random.below(100) as usize }.bytes(),
        };
        let flags = *self.choose(&[XattrFlags::empty(), XattrFlags::empty(), XattrFlags::CREATE, XattrFlags::REPLACE]);
        Action::SetXattr { target: self.any_target(), name: Text(name), value: Text(value), flags }
    }

    fn xattr(&mut self) -> Vec<u8> {
        let long = [b"user.".to_vec(), vec![b'l'; 250]].concat();
        let names: [&[u8]; 10] = [
            b"user.a",
            b"user.a",
            b"user.b",
            b"trusted.t",
            b"security.s",
            XattrName::CAPABILITY.as_bytes(),
            b"other.o",
            XattrName::ACCESS_ACL.as_bytes(),
            XattrName::DEFAULT_ACL.as_bytes(),
            &long,
        ];
        self.choose(&names).to_vec()
    }

    fn acl(&mut self) -> Vec<u8> {
        let mut entries = vec![(AclTag::Owner, 0)];
        let ids = USERS.map(|user| user.uid);
        if self.one_in(2) {
            entries.push((AclTag::User, *self.choose(&ids)));
        }
        entries.push((AclTag::OwningGroup, 0));
        if self.one_in(3) {
            entries.push((AclTag::Group, *self.choose(&[1001, 1002, 2001])));
        }
        if entries.len() > 2 || self.one_in(4) {
            entries.push((AclTag::Mask, 0));
        }
        entries.push((AclTag::Other, 0));
        if self.one_in(20) {
            // No valid list.
            entries.pop();
        }
        let of = |(tag, id)| AclEntry { tag, permissions: self.random.below(8) as u16, id };
        let entries: Vec<AclEntry> = entries.into_iter().map(of).collect();
        match Acl::new(entries) {
            Ok(acl) => acl.to_bytes(),
            Err(_) => b"\x02\0\0\0invalid".to_vec(),
        }
    }

    fn mode(&mut self) -> u16 {
        let plain = *self.choose(&[0o777, 0o755, 0o666, 0o644, 0o600, 0o700, 0o770, 0o2775, 0o1777]);
        if self.one_in(5) { self.random.below(0o10000) as u16 } else { plain }
    }

    fn id(&mut self) -> Option<u32> {
        *self.choose(&[None, None, Some(0), Some(1001), Some(1001), Some(1002), Some(2001)])
    }

    fn time(&mut self) -> Time {
        match self.random.below(4) {
            0 => Time::Now,
            1 => Time::Keep,
            _ => Time::At(self.random.below(4_000_000_000) as i64, self.random.below(1_000_000_000) as u32),
        }
    }

    fn lock_mode(&mut self) -> Option<LockMode> {
        *self.choose(&[None, Some(LockMode::Shared), Some(LockMode::Exclusive), Some(LockMode::Exclusive)])
    }

    fn lock_range(&mut self) -> (u64, u64) {
        (self.random.below(12), self.random.below(6))
    }

    fn length(&mut self) -> i64 {
        match self.random.below(20) {
            0 => -1,
            1..=4 => 0,
            5 => (64 << 20) + self.random.below(9000) as i64 - 4500,
            6 => 1 << 40,
            7..=10 => self.random.below(2_000_000) as i64,
            _ => self.random.below(20_000) as i64,
        }
    }

    /// Where a file may be read or written, mostly within or close behind what it has. Of O_DIRECT, whole pages.
    fn range(&mut self, slot: Slot) -> (i64, usize) {
        let description = *self.kernel.description(slot);
        let end = self.kernel.attributes(description.ino).length;
        let at = match self.random.below(30) {
            0 => return (-5, 10),
            1 => (64 << 20) - self.random.below(6000),
            2 => (1 << 40) + self.random.below(6000),
            3..=8 => end,
            9..=11 => self.random.below(1_500_000),
            _ => self.random.below(end.clamp(1, 30_000) + 1000),
        };
        let length = match self.random.below(50) {
            0 => 200_000,
            1..=6 => 20_000,
            7..=9 => 1,
            _ => 3000,
        };
        let length = self.random.below(length);
        match description.direct {
            true => ((at / PAGE * PAGE) as i64, (length.div_ceil(PAGE) * PAGE) as usize),
            false => (at as i64, length as usize),
        }
    }

    fn any_target(&mut self) -> Target {
        let follow = !self.one_in(3);
        self.target(follow)
    }

    fn target(&mut self, follow: bool) -> Target {
        match self.slot() {
            Some(slot) if self.one_in(3) => Target::Open(slot),
            _ => Target::Path { place: self.place(), follow },
        }
    }

    /// A path that is likely to lead somewhere.
    fn place(&mut self) -> Place {
        let new = self.one_in(8);
        self.any_place(new)
    }

    fn new_place(&mut self) -> Place {
        let new = !self.one_in(6);
        self.any_place(new)
    }

    /// For calls with two: only one of them can begin at an open directory.
    fn second_place(&mut self) -> Place {
        let new = self.one_in(2);
        Place { from: None, path: self.path_from(Ino::ROOT, new) }
    }

    fn any_place(&mut self, new: bool) -> Place {
        let from = if self.one_in(8) { self.directory_slot() } else { None };
        let start = from.map_or(Ino::ROOT, |slot| self.kernel.description(slot).ino);
        Place { from, path: self.path_from(start, new) }
    }

    fn path_from(&mut self, start: Ino, new: bool) -> Vec<u8> {
        let mut path = Vec::new();
        let mut at = start;
        for _ in 0..DEPTH_MAX {
            let entries = self.kernel.oracle.read_directory(at).unwrap_or_default();
            let inner: Vec<_> = entries.iter().filter(|(_, _, kind)| *kind == FileKind::Directory).collect();
            if !inner.is_empty() && self.one_in(2) {
                let (name, ino, _) = *self.choose(&inner);
                path.extend_from_slice(name.as_bytes());
                let back = [&b"/./"[..], b"//", b"/../"];
                let odd = if self.one_in(25) { self.choose(&back) } else { &b"/"[..] };
                path.extend_from_slice(odd);
                at = if odd == b"/../" { at } else { *ino };
                continue;
            }
            break;
        }
        let entries = self.kernel.oracle.read_directory(at).unwrap_or_default();
        if new || entries.is_empty() || self.one_in(20) {
            path.extend(self.name());
        } else {
            let (name, _, kind) = self.choose(&entries);
            let (name, kind) = (name.as_bytes().to_vec(), *kind);
            path.extend(name);
            // Through a link, or through what is no directory.
            if kind == FileKind::Symlink && self.one_in(3) || self.one_in(40) {
                path.push(b'/');
                path.extend(self.name());
            }
        }
        match self.random.below(60) {
            0..=2 => path.push(b'/'),
            3 => path.extend_from_slice(b"/."),
            4 => path.extend_from_slice(b"/.."),
            5 if self.one_in(4) => path = [b"./".repeat(2048), path].concat(),
            6 if self.one_in(4) => path.clear(),
            _ => {}
        }
        path
    }

    fn name(&mut self) -> Vec<u8> {
        match self.random.below(60) {
            0 => vec![b'n'; 255],
            1 => vec![b'm'; 256],
            2 => vec![0xff, b'\n', b' ', 1],
            3 => b"...".to_vec(),
            _ => vec![b'a' + self.random.below(7) as u8],
        }
    }

    /// Never upwards: a history stays in its folder.
    fn link_target(&mut self) -> Vec<u8> {
        match self.random.below(20) {
            0 => Vec::new(),
            1 => vec![b't'; 4095],
            2 => b"a/".to_vec(),
            3..=6 => [self.name(), b"/".to_vec(), self.name()].concat(),
            _ => self.name(),
        }
    }

    fn slots_where(&self, wanted: impl Fn(Slot) -> bool) -> Vec<Slot> {
        (0..SLOTS).filter(|slot| slot % PROCESSES == self.process).filter(|slot| wanted(*slot)).collect()
    }

    fn slot(&mut self) -> Option<Slot> {
        let open = self.slots_where(|slot| self.kernel.is_open(slot));
        self.choose_from(open)
    }

    fn file_slot(&mut self) -> Option<Slot> {
        let is_file = |slot| self.kernel.kind(self.kernel.description(slot).ino) == FileKind::Regular;
        let files = self.slots_where(|slot| self.kernel.is_open(slot) && is_file(slot));
        self.choose_from(files)
    }

    fn directory_slot(&mut self) -> Option<Slot> {
        let is_directory = |slot| self.kernel.is_directory(self.kernel.description(slot).ino);
        let directories = self.slots_where(|slot| self.kernel.is_open(slot) && is_directory(slot));
        self.choose_from(directories)
    }

    fn free_slot(&mut self) -> Option<Slot> {
        let free = self.slots_where(|slot| !self.kernel.is_open(slot));
        self.choose_from(free)
    }

    fn choose_from(&mut self, slots: Vec<Slot>) -> Option<Slot> {
        if slots.is_empty() { None } else { Some(*self.choose(&slots)) }
    }

    fn choose<'b, T>(&mut self, among: &'b [T]) -> &'b T {
        &among[self.random.below(among.len() as u64) as usize]
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.random.below(count) == 0
    }
}

const PAGE: u64 = 4096;
const DEPTH_MAX: usize = 6;
/// Version 2, no rights at all: what `setcap` writes, in length.
const CAPABILITY_VALUE: [u8; 20] = [0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
