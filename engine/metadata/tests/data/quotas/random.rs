//! Random histories on a volume whose quotas come and go, with files that are open, mounts that die and walks that are
//! half done: at any time usage equals a recount, and at the end what an independent look at the tree finds.

use super::*;
use crate::support::slice;
use shoal_kv::{Faults, Kv, MemoryKv, Random};
use shoal_kv_sqlite::SqliteKv;
use shoal_metadata::{
    Append, AppendedContent, CopyRange, CreateNameless, EndSession, Fallocate, PurgeTrash, Release, RemoveTree, Rmdir,
    SetTrash, Unlink,
};
use shoal_types::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const PURGE: MetaOp = MetaOp::PurgeTrash(PurgeTrash {
    before: Timestamp { seconds: 7200, nanoseconds: 0 },
    now: Timestamp { seconds: 7, nanoseconds: 0 },
});

/// How operations ended, and how often.
type Outcomes = BTreeMap<(&'static str, Option<i32>), u32>;

struct History {
    volume: Volume,
    kv: Arc<dyn Kv>,
    random: Random,
    seed: u64,
    inodes: Vec<Ino>,
    directories: Vec<Ino>,
    /// Kept by the session without a name, as far as this test knows.
    open: Vec<Ino>,
    /// These may be counted for a place where they have no name any more.
    linked: BTreeSet<Ino>,
    outcomes: Outcomes,
}

impl History {
    fn new(kv: Arc<dyn Kv>, seed: u64) -> Self {
        History {
            volume: Volume::on(kv.clone()),
            kv,
            random: Random::new(seed),
            seed,
            inodes: vec![Ino::ROOT],
            directories: vec![Ino::ROOT],
            open: Vec::new(),
            linked: BTreeSet::new(),
            outcomes: Outcomes::new(),
        }
    }

    fn run(mut self, steps: usize) -> Outcomes {
        for step in 0..steps {
            let (what, result) = self.step();
            let refusal = result.err().map(|error| error.errno().0);
            *self.outcomes.entry((what, refusal)).or_default() += 1;
            if step % 20 == 0 {
                self.volume.assert_counted();
            }
        }
        self.volume.run_steps(MetaOp::WalkQuotas);
        self.crash();
        self.volume.run_steps(PURGE);
        while !self.volume.metadata.queued_removals(u64::MAX, 1).unwrap().is_empty() {
            self.volume.remove_queued();
        }
        self.volume.assert_counted();
        self.compare_with_the_tree();
        self.outcomes
    }

    fn step(&mut self) -> (&'static str, MetaResult<MetaReply>) {
        let (ino, parent, name) = (self.inode(), self.directory(), self.name());
        match self.random.below(33) {
            0..=4 => ("create", self.create(parent, &name)),
            5 if self.seed.is_multiple_of(2) => {
                self.linked.insert(ino);
                ("link", self.volume.link(ino, parent, &name))
            }
            6 | 7 => ("unlink", self.unlink(parent, &name)),
            8 => {
                let session = self.volume.session;
                let rmdir = Rmdir { parent, name: crate::support::name(&name), open: vec![], session, now: at(5) };
                ("rmdir", self.volume.try_run(MetaOp::Rmdir(rmdir)))
            }
            9..=12 => ("rename", self.rename(parent, &name)),
            13 => {
                let (uid, gid) = (self.random.below(3) as u32, self.random.below(3) as u32);
                let exempt = self.random.chance(0.5);
                ("chown", self.volume.chown(ino, Some(uid), Some(gid + 100), exempt).map(MetaReply::Attributes))
            }
            14 | 15 => {
                let bytes = vec![1; 1 + self.random.below(300) as usize];
                ("write inline", self.volume.try_write_inline(ino, &bytes))
            }
            16 | 17 => ("write slices", self.write_slices(ino)),
            18 => ("truncate", self.truncate(ino)),
            5 | 19 => {
                self.volume.remove_queued();
                ("remove", Ok(MetaReply::Done))
            }
            20 => ("release", self.release()),
            21 => {
                if self.random.chance(0.2) {
                    self.crash();
                }
                ("walk", self.volume.try_run(MetaOp::WalkQuotas))
            }
            22 => ("append", self.append(ino)),
            23 => ("copy", self.copy(ino)),
            24 => ("punch", self.punch(ino)),
            25 => ("nameless", self.nameless(parent, &name)),
            26 => {
                let days = self.random.below(2) as u32;
                ("trash", self.volume.try_run(MetaOp::SetTrash(SetTrash { days, now: at(5) })))
            }
            27 => ("remove tree", self.remove_tree(parent, &name)),
            28 => ("purge", self.volume.try_run(PURGE)),
            29 | 30 => ("restore", self.restore(parent, &name)),
            _ => self.change_quota(),
        }
    }

    fn create(&mut self, parent: Ino, name: &str) -> MetaResult<MetaReply> {
        let kind = [FileKind::Regular, FileKind::Regular, FileKind::Directory, FileKind::Fifo][self.below(4)];
        let uid = self.random.below(3) as u32;
        let ino = self.volume.try_create(parent, name, kind, uid)?;
        self.inodes.push(ino);
        if kind == FileKind::Directory {
            self.directories.push(ino);
        }
        Ok(MetaReply::Done)
    }

    fn unlink(&mut self, parent: Ino, name: &str) -> MetaResult<MetaReply> {
        let found = self.volume.metadata.lookup(parent, &crate::support::name(name))?.ino;
        let open = if self.random.chance(0.4) { vec![found] } else { vec![] };
        let session = self.volume.session;
        let unlink = Unlink { parent, name: crate::support::name(name), open, session, now: at(5) };
        let removed = self.volume.try_run(MetaOp::Unlink(unlink))?.into_removed().unwrap();
        if removed.sustained {
            self.open.push(found);
        }
        Ok(MetaReply::Removed(removed))
    }

    fn remove_tree(&mut self, parent: Ino, name: &str) -> MetaResult<MetaReply> {
        let name = crate::support::name(name);
        let ino = self.volume.metadata.lookup(parent, &name)?.ino;
        let (keep, session) = (self.random.chance(0.6), self.volume.session);
        self.volume.try_run(MetaOp::RemoveTree(RemoveTree { parent, name, ino, keep, session, now: at(5) }))
    }

    /// Something out of the trash, to some place.
    fn restore(&mut self, parent: Ino, name: &str) -> MetaResult<MetaReply> {
        let hour = Ino(Ino::TRASH.0 + 1);
        let entries = self.volume.metadata.read_directory(hour, 0, 10_000, false)?.entries;
        let Some(entry) = entries.get(self.below(entries.len().max(1))) else { return Err(Errno::ENOENT.into()) };
        let mut rename = self.volume.renaming((hour, "0"), (parent, name));
        rename.old_name = entry.name.clone();
        rename.no_replace = true;
        self.volume.try_run(MetaOp::Rename(rename))
    }

    fn rename(&mut self, parent: Ino, name: &str) -> MetaResult<MetaReply> {
        let (to, to_name) = (self.directory(), self.name());
        let mut rename = self.volume.renaming((parent, name), (to, &to_name));
        match self.below(8) {
            0 | 1 => rename.exchange = true,
            2 => rename.whiteout = Some(shoal_types::Whiteout { ino: self.volume.lease_inodes(1), uid: 0, gid: 0 }),
            3 => rename.no_replace = true,
            _ => {}
        }
        self.volume.try_run(MetaOp::Rename(rename))
    }

    fn write_slices(&mut self, ino: Ino) -> MetaResult<MetaReply> {
        let (position, length) = (self.random.below(10) as u32 * 100, 100 + self.random.below(5) as u32 * 100);
        let object = self.volume.lease_object();
        let chunks = vec![(0, vec![slice(position, length, object)])];
        let end = u64::from(position + length);
        self.volume.try_write_slices(ino, chunks, end).map(MetaReply::Attributes)
    }

    fn truncate(&mut self, ino: Ino) -> MetaResult<MetaReply> {
        let length = self.random.below(1200);
        self.volume.try_run(MetaOp::Truncate(shoal_metadata::Truncate {
            ino,
            length,
            session: self.volume.session,
            now: at(6),
        }))
    }

    fn append(&mut self, ino: Ino) -> MetaResult<MetaReply> {
        let length = 1 + self.random.below(300) as u32;
        let content = match self.random.chance(0.5) {
            true => AppendedContent::Inline { bytes: vec![1; length as usize], inline_max: 2000 },
            false => AppendedContent::Objects(vec![(self.volume.lease_object(), length)]),
        };
        let session = self.volume.session;
        self.volume.try_run(MetaOp::Append(Append { ino, content, mtime: at(6), exempt: false, session }))
    }

    fn copy(&mut self, target: Ino) -> MetaResult<MetaReply> {
        let (source, session) = (self.inode(), self.volume.session);
        let (source_offset, target_offset) = (self.random.below(500), self.random.below(500));
        let length = self.random.below(1000);
        let copy = CopyRange { source, source_offset, target, target_offset, length, session, now: at(6) };
        self.volume.try_run(MetaOp::CopyRange(copy))
    }

    fn punch(&mut self, ino: Ino) -> MetaResult<MetaReply> {
        let start = self.random.below(800);
        let (end, session) = (start + self.random.below(400), self.volume.session);
        self.volume.try_run(MetaOp::Fallocate(Fallocate { ino, start, end, length_min: 0, session, now: at(6) }))
    }

    /// A file without a name, which sometimes gets one.
    fn nameless(&mut self, directory: Ino, name: &str) -> MetaResult<MetaReply> {
        let (ino, session) = (self.volume.lease_inodes(1), self.volume.session);
        let uid = self.random.below(3) as u32;
        let create = CreateNameless { directory, ino, mode: 0o644, umask: 0, uid, gid: uid + 100, session, now: at(6) };
        let reply = self.volume.try_run(MetaOp::CreateNameless(create))?;
        self.inodes.push(ino);
        match self.random.chance(0.5) {
            true => {
                let to = self.directory();
                self.volume.link(ino, to, name)
            }
            false => {
                self.open.push(ino);
                Ok(reply)
            }
        }
    }

    fn release(&mut self) -> MetaResult<MetaReply> {
        let Some(ino) = self.open.pop() else { return Ok(MetaReply::Done) };
        self.volume.try_run(MetaOp::Release(Release { ino, session: self.volume.session, now: at(7) }))
    }

    fn change_quota(&mut self) -> (&'static str, MetaResult<MetaReply>) {
        let account = match self.below(6) {
            0 => Account::Volume,
            1 => Account::User(self.random.below(3) as u32),
            2 => Account::Group(100 + self.random.below(3) as u32),
            _ => Account::Directory(self.directory()),
        };
        if self.random.chance(0.4) {
            return ("delete", self.volume.try_run(MetaOp::DeleteQuota(DeleteQuota { account })));
        }
        let mut limit = |most: u64| self.random.chance(0.3).then(|| self.random.below(most));
        let limits = Limits { bytes: limit(4000), inodes: limit(40) };
        ("set", self.volume.start_quota(account, limits))
    }

    /// The mount dies, and another one takes its place.
    fn crash(&mut self) {
        let session = self.volume.session;
        self.volume.run_steps(MetaOp::EndSession(EndSession { session, if_silent_since: None, now: at(8) }));
        self.volume = Volume::join(self.kv.clone());
        self.open.clear();
    }

    /// Of each directory with a quota: the inodes below it, by names alone. A file that has names inside and outside may
    /// be counted for either.
    fn compare_with_the_tree(&self) {
        for info in self.volume.metadata.quotas().unwrap() {
            let Account::Directory(root) = info.account else { continue };
            if info.state == Some(QuotaState::Gone) {
                // What was in it has another name outside.
                continue;
            }
            let mut below = BTreeSet::from([root]);
            self.collect(root, &mut below);
            let mut sure = (0, 0);
            let mut possible = (0, 0);
            for ino in &below {
                let attributes = self.volume.metadata.get_attributes(*ino).unwrap();
                possible = (possible.0 + attributes.allocated, possible.1 + 1);
                if attributes.kind == FileKind::Directory || attributes.nlink == 1 && !self.linked.contains(ino) {
                    sure = (sure.0 + attributes.allocated, sure.1 + 1);
                }
            }
            let (bytes, inodes) = (info.usage.bytes, info.usage.inodes);
            let context = format!("seed {}, the quota of {root}: {bytes} bytes, {inodes} inodes", self.seed);
            assert!(sure.0 <= bytes && sure.1 <= inodes, "{context}, at least {sure:?}");
            if self.linked.is_empty() {
                assert_eq!((bytes, inodes), possible, "{context}");
            }
        }
    }

    fn collect(&self, directory: Ino, below: &mut BTreeSet<Ino>) {
        for entry in self.volume.metadata.read_directory(directory, 0, 10_000, false).unwrap().entries {
            below.insert(entry.ino);
            if entry.kind == FileKind::Directory {
                self.collect(entry.ino, below);
            }
        }
    }

    fn inode(&mut self) -> Ino {
        let at = self.below(self.inodes.len());
        self.inodes[at]
    }

    fn directory(&mut self) -> Ino {
        let at = self.below(self.directories.len().min(12));
        self.directories[self.directories.len() - 1 - at]
    }

    fn name(&mut self) -> String {
        format!("{}", self.random.below(5))
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random.below(bound as u64) as usize
    }
}

fn play(seeds: std::ops::Range<u64>, steps: usize, open: impl Fn(u64) -> Arc<dyn Kv>) {
    let mut outcomes: Outcomes = Outcomes::new();
    for seed in seeds {
        for (outcome, count) in History::new(open(seed), seed).run(steps) {
            *outcomes.entry(outcome).or_default() += count;
        }
    }
    for (what, refusals) in [
        ("create", &[None, Some(Errno::EDQUOT), Some(Errno::ENOSPC)][..]),
        ("write inline", &[None, Some(Errno::EDQUOT), Some(Errno::ENOSPC)]),
        ("write slices", &[None, Some(Errno::EDQUOT), Some(Errno::ENOSPC)]),
        ("rename", &[None, Some(Errno::EXDEV), Some(Errno::EDQUOT)]),
        ("link", &[None, Some(Errno::EXDEV)]),
        ("append", &[None, Some(Errno::EDQUOT)]),
        ("copy", &[None]),
        ("punch", &[None]),
        ("remove tree", &[None]),
        ("purge", &[None]),
        ("restore", &[None, Some(Errno::EDQUOT)]),
        ("nameless", &[None, Some(Errno::EDQUOT), Some(Errno::EXDEV)]),
        ("chown", &[None]),
        ("set", &[None, Some(Errno::EBUSY)]),
        ("delete", &[None, Some(Errno::EBUSY)]),
    ] {
        for refusal in refusals {
            assert!(
                outcomes.contains_key(&(what, refusal.map(|errno| errno.0))),
                "{what} never ended in {refusal:?}: {outcomes:?}"
            );
        }
    }
}

#[test]
fn usage_equals_a_recount_after_any_history_in_memory() {
    play(0..100, 500, |_| MemoryKv::new());
}

#[test]
fn usage_equals_a_recount_through_conflicts_and_unknown_results() {
    play(100..160, 400, |seed| {
        MemoryKv::with_faults(Faults { seed, conflict_rate: 0.2, unknown_rate: 0.3, ..Faults::default() })
    });
}

#[test]
fn usage_equals_a_recount_after_any_history_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    play(200..250, 500, |seed| SqliteKv::open(&folder.path().join(format!("{seed}.db")), true).unwrap());
}
