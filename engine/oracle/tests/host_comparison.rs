//! The oracle against a real directory of this machine: the same random operations on both, compared errno by errno
//! and, every so often, tree by tree.
//!
//! Relies on the host's file system being POSIX as Linux means it. Operations go by handle on both sides, so that
//! removed directories and files without a name take part. What a host can't do for us (whiteouts, foreign owners
//! without root) is tried first and left out where it's refused.

mod host;

use host::Host;
use rustix::fs::FallocateFlags;
use shoal_oracle::{NewNode, Oracle, RenameFlags};
use shoal_types::{Errno, FileKind, FsResult, Ino, Name, Timestamp, Whiteout};

#[test]
fn the_oracle_answers_as_a_real_directory_does() {
    let mut refusals = std::collections::BTreeMap::new();
    let mut successes = 0;
    for seed in 1..=SEEDS {
        let mut run = Run::new(seed);
        for step in 0..STEPS {
            match run.step(step) {
                Ok(()) => successes += 1,
                Err(errno) => *refusals.entry(errno.0).or_insert(0u32) += 1,
            }
            if step % 50 == 49 {
                run.compare_trees();
            }
        }
    }
    // The mix must keep reaching every refusal that the namespace has, or the comparison says little.
    for errno in REFUSALS_TO_MEET {
        assert!(refusals.contains_key(&errno.0), "no operation was refused with {errno:?}: {refusals:?}");
    }
    assert!(successes > SEEDS * STEPS / 4, "too few operations succeeded: {successes}");
}

const SEEDS: u64 = 60;
const STEPS: u64 = 400;
const REFUSALS_TO_MEET: [Errno; 7] =
    [Errno::EPERM, Errno::ENOENT, Errno::EEXIST, Errno::ENOTDIR, Errno::EISDIR, Errno::EINVAL, Errno::ENOTEMPTY];

struct Run {
    seed: u64,
    random: Random,
    oracle: Oracle,
    host: Host,
    /// Every inode that both sides hold open; the root comes first and stays.
    held: Vec<Ino>,
    next_ino: u64,
    log: Vec<String>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let host = Host::new();
        let mut oracle = Oracle::new();
        let (uid, gid) = host.owner();
        oracle
            .set_attributes(Ino::ROOT, Some(0o755), Some(uid), Some(gid), None, None, Timestamp::ZERO)
            .expect("the root exists");
        Run { seed, random: Random(seed), oracle, host, held: vec![Ino::ROOT], next_ino: 2, log: Vec::new() }
    }

    /// One operation on both sides; what both answered.
    fn step(&mut self, step: u64) -> FsResult<()> {
        let now = Timestamp::new(step as i64, 0);
        match self.random.below(20) {
            0 | 1 => self.create(FileKind::Regular, now),
            2..=4 => self.create(FileKind::Directory, now),
            5 => self.create(FileKind::Symlink, now),
            6 => self.create(FileKind::Fifo, now),
            7 => self.link(now),
            8 => self.unlink(now),
            9 => self.rmdir(now),
            10..=13 => self.rename(now),
            14 => self.truncate(now),
            15 => self.write(now),
            16 => self.create_nameless(now),
            17 => self.fallocate(now),
            18 => self.copy_range(now),
            _ => {
                if self.random.below(3) == 0 {
                    self.close();
                    Ok(())
                } else {
                    self.set_attributes(now)
                }
            }
        }
    }

    fn create(&mut self, kind: FileKind, now: Timestamp) -> FsResult<()> {
        let (parent, name) = (self.any(), self.name());
        let (uid, gid) = self.host.owner();
        let new = NewNode { ino: self.new_ino(), mode: self.mode(), umask: 0, uid, gid };
        let target = b"somewhere/else";
        let expected = match kind {
            FileKind::Regular => self.oracle.create(parent, &name, new, now),
            FileKind::Directory => self.oracle.mkdir(parent, &name, new, now),
            FileKind::Symlink => self.oracle.symlink(parent, &name, new, target, now),
            kind => self.oracle.mknod(parent, &name, new, kind, 0, now),
        };
        let answered = self.host.create(parent, &name, new.ino, kind, new.mode, target);
        let result = self.agree(format!("create {kind:?} {name:?} in {parent} as {}", new.ino), expected, answered);
        if result.is_ok() {
            self.oracle.open(new.ino).expect("it was just created");
            self.held.push(new.ino);
        }
        result
    }

    fn create_nameless(&mut self, now: Timestamp) -> FsResult<()> {
        let directory = self.any();
        if self.oracle.get_attributes(directory).is_ok_and(|attributes| attributes.nlink == 0) {
            // In a directory that was removed and is still open, ext4 answers EPERM and others answer as in any other.
            return Ok(());
        }
        let (uid, gid) = self.host.owner();
        let new = NewNode { ino: self.new_ino(), mode: self.mode(), umask: 0, uid, gid };
        let expected = self.oracle.create_nameless(directory, new, now);
        let answered = self.host.create_nameless(directory, new.ino, new.mode);
        let result = self.agree(format!("create {} without a name in {directory}", new.ino), expected, answered);
        if result.is_ok() {
            self.held.push(new.ino);
        }
        result
    }

    fn fallocate(&mut self, now: Timestamp) -> FsResult<()> {
        let Some(ino) = self.any_file() else { return Ok(()) };
        let (offset, length) = (self.random.below(20_000), 1 + self.random.below(9000));
        let (hole, keep) = (self.random.below(3) > 0, self.random.below(2) == 0);
        let mut flags = if hole { FallocateFlags::ZERO_RANGE } else { FallocateFlags::empty() };
        if keep {
            flags = if hole { FallocateFlags::PUNCH_HOLE } else { flags } | FallocateFlags::KEEP_SIZE;
        }
        let hole = if hole { offset..offset + length } else { offset..offset };
        let length_min = if keep { 0 } else { offset + length };
        let expected = self.oracle.fallocate(ino, hole, length_min, now);
        let answered = self.host.fallocate(ino, flags, offset, length);
        self.agree(format!("fallocate {ino} {flags:?} {length} bytes at {offset}"), expected, answered)
    }

    fn copy_range(&mut self, now: Timestamp) -> FsResult<()> {
        let (Some(source), Some(target)) = (self.any_file(), self.any_file()) else { return Ok(()) };
        let (from, to) = ((source, self.random.below(20_000)), (target, self.random.below(20_000)));
        let length = self.random.below(9000);
        let expected = self.oracle.copy_range(from, to, length, now);
        let answered = self.host.copy_range(from, to, length as usize);
        if let (Ok(expected), Ok(answered)) = (&expected, &answered) {
            assert_eq!(expected, answered, "bytes copied from {from:?} to {to:?}\n{}", self.story());
        }
        self.agree(format!("copy {length} bytes from {from:?} to {to:?}"), expected, answered.map(drop))
    }

    fn link(&mut self, now: Timestamp) -> FsResult<()> {
        let (ino, parent, name) = (self.any(), self.any(), self.name());
        let expected = self.oracle.link(ino, parent, &name, now);
        let answered = self.host.link(ino, parent, &name);
        self.agree(format!("link {ino} as {name:?} in {parent}"), expected, answered)
    }

    fn unlink(&mut self, now: Timestamp) -> FsResult<()> {
        let (parent, name) = self.old_name();
        let expected = self.oracle.unlink(parent, &name, now);
        let answered = self.host.unlink(parent, &name);
        self.agree(format!("unlink {name:?} in {parent}"), expected, answered)
    }

    fn rmdir(&mut self, now: Timestamp) -> FsResult<()> {
        let (parent, name) = self.old_name();
        let expected = self.oracle.rmdir(parent, &name, now);
        let answered = self.host.rmdir(parent, &name);
        self.agree(format!("rmdir {name:?} in {parent}"), expected, answered)
    }

    fn rename(&mut self, now: Timestamp) -> FsResult<()> {
        let (old_parent, old_name) = self.old_name();
        // The kernel refuses a new parent that is no directory before the file system is asked.
        let (new_parent, new_name) = (self.any_directory(), self.name());
        let whiteout = (self.host.can_whiteout() && self.random.below(8) == 0).then(|| self.new_whiteout());
        let flags = match self.random.below(6) {
            0 => RenameFlags { no_replace: true, exchange: false, whiteout },
            1 | 2 => RenameFlags { no_replace: false, exchange: true, whiteout },
            3 if whiteout.is_none() => RenameFlags { no_replace: true, exchange: self.random.below(4) == 0, whiteout },
            _ => RenameFlags { no_replace: false, exchange: false, whiteout },
        };
        let expected = self.oracle.rename(old_parent, &old_name, new_parent, &new_name, flags, now);
        let answered = self.host.rename(old_parent, &old_name, new_parent, &new_name, flags);
        let story = format!("rename {old_name:?} in {old_parent} to {new_name:?} in {new_parent} {flags:?}");
        self.agree(story, expected, answered)
    }

    fn new_whiteout(&mut self) -> Whiteout {
        let (uid, gid) = self.host.owner();
        Whiteout { ino: self.new_ino(), uid, gid }
    }

    fn truncate(&mut self, now: Timestamp) -> FsResult<()> {
        let ino = self.any();
        let length = self.random.below(20_000);
        let expected = self.oracle.truncate(ino, length, now);
        let answered = self.host.truncate(ino, length);
        self.agree(format!("truncate {ino} to {length}"), expected, answered)
    }

    fn write(&mut self, now: Timestamp) -> FsResult<()> {
        let ino = self.any();
        if self.oracle.get_attributes(ino).map(|found| found.kind) != Ok(FileKind::Regular) {
            return self.truncate(now);
        }
        let offset = self.random.below(20_000);
        let bytes: Vec<u8> = (0..self.random.below(9000)).map(|i| (i * 7 + offset) as u8).collect();
        let expected = self.oracle.write(ino, offset, &bytes, now);
        let answered = self.host.write(ino, offset, &bytes);
        let result = self.agree(format!("write {} bytes at {offset} to {ino}", bytes.len()), expected, answered);
        let (from, count) = (self.random.below(30_000), self.random.below(9000) as usize);
        assert_eq!(self.oracle.read(ino, from, count), self.host.read(ino, from, count), "{}", self.story());
        result
    }

    fn set_attributes(&mut self, now: Timestamp) -> FsResult<()> {
        let ino = self.any();
        let kind = self.oracle.get_attributes(ino).map(|found| found.kind);
        if kind == Ok(FileKind::Symlink) {
            return Ok(()); // The kernel refuses that by itself.
        }
        let gid = self.host.can_change_owner().then(|| 100 + self.random.below(3) as u32);
        // Only directories: the kernel clears the bit of a file at the next write by anyone but root.
        let setgid = if kind == Ok(FileKind::Directory) && self.random.below(2) == 0 { 0o2000 } else { 0 };
        let mode = self.mode() | setgid;
        let expected = self.oracle.set_attributes(ino, Some(mode), None, gid, None, None, now);
        let answered = self.host.set_attributes(ino, mode, gid);
        self.agree(format!("set mode {mode:o} gid {gid:?} of {ino}"), expected, answered)
    }

    fn close(&mut self) {
        if self.held.len() > 1 {
            let ino = self.held.swap_remove(1 + self.random.below(self.held.len() as u64 - 1) as usize);
            self.oracle.close(ino).expect("both sides hold it");
            self.host.close(ino);
            self.log.push(format!("close {ino}"));
        }
    }

    fn compare_trees(&self) {
        let (expected, found) = (self.oracle.tree(), self.host.tree());
        for path in expected.keys().chain(found.keys()) {
            assert_eq!(
                expected.get(path),
                found.get(path),
                "{:?} differs (left: the oracle)\n{}",
                String::from_utf8_lossy(path),
                self.story()
            );
        }
        for ino in &self.held {
            let links = self.oracle.get_attributes(*ino).expect("held inodes exist").nlink;
            assert_eq!(links, self.host.nlink(*ino), "links of {ino}\n{}", self.story());
        }
    }

    fn agree<T>(&mut self, operation: String, expected: FsResult<T>, answered: FsResult<()>) -> FsResult<()> {
        let expected = expected.map(|_| ());
        self.log.push(format!("{operation}: oracle {expected:?}, host {answered:?}"));
        assert_eq!(expected, answered, "oracle (left) and host (right) differ\n{}", self.story());
        answered
    }

    fn story(&self) -> String {
        format!("seed {}:\n{}", self.seed, self.log.join("\n"))
    }

    fn any(&mut self) -> Ino {
        // A few parents get most of the work, so that names collide.
        if self.random.below(4) == 0 {
            return Ino::ROOT;
        }
        self.held[self.random.below(self.held.len() as u64) as usize]
    }

    fn any_file(&mut self) -> Option<Ino> {
        let is_file = |ino: &&Ino| self.oracle.get_attributes(**ino).map(|found| found.kind) == Ok(FileKind::Regular);
        let files: Vec<Ino> = self.held.iter().filter(is_file).copied().collect();
        let chosen = self.random.below(files.len().max(1) as u64) as usize;
        files.get(chosen).copied()
    }

    fn any_directory(&mut self) -> Ino {
        let ino = self.any();
        if self.oracle.read_directory(ino).is_ok() { ino } else { Ino::ROOT }
    }

    /// Mostly a name that exists.
    fn old_name(&mut self) -> (Ino, Name) {
        let parent = self.any();
        match self.oracle.read_directory(parent) {
            Ok(entries) if !entries.is_empty() && self.random.below(4) > 0 => {
                let chosen = self.random.below(entries.len() as u64) as usize;
                (parent, entries[chosen].0.clone())
            }
            _ => (parent, self.name()),
        }
    }

    fn name(&mut self) -> Name {
        let letter = b"abcdefg"[self.random.below(7) as usize];
        Name::new(&[letter]).expect("a letter is a name")
    }

    fn mode(&mut self) -> u16 {
        0o700 | self.random.below(0o100) as u16
    }

    fn new_ino(&mut self) -> Ino {
        self.next_ino += 1;
        Ino(self.next_ino)
    }
}

/// xorshift64*: a seed gives the same run everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}
