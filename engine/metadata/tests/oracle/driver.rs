//! Drives one sequence of operations through `Metadata` and the oracle and compares all that they say.

use crate::operations::Chooser;
use crate::{clones, model, tree};
use shoal_kv::{Durability, Kv, Random};
use shoal_metadata::{
    FormatOptions, LeaseInodes, MetaOp, MetaReply, Metadata, PurgeTrash, RegisterSession, Release, RemoveInode,
    SessionKind, SessionRecord, check,
};
use shoal_oracle::Oracle;
use shoal_types::{
    Attributes, Compression, Consistency, Errno, FsResult, Ino, InodeFlags, Name, Timestamp, VolumeSettings,
};
use std::collections::BTreeMap;
use std::sync::Arc;

pub struct Driver {
    metadata: Metadata,
    oracle: Oracle,
    chooser: Chooser,
    /// How often each inode is open.
    open: BTreeMap<Ino, u32>,
    /// What is removed is kept in the trash, where the oracle sees nothing of it.
    trash: bool,
    seed: u64,
    outcomes: Outcomes,
}

/// Which operations ended how, and how often: a sequence that only ever meets refusals would prove little.
pub type Outcomes = BTreeMap<(String, Option<i32>), usize>;

impl Driver {
    pub fn new(kv: Arc<dyn Kv>, seed: u64, trash: bool) -> Self {
        let options = FormatOptions { trash_days: trash.into(), ..Default::default() };
        Metadata::format_with(kv.as_ref(), &settings(), &options, (0, 0), Timestamp::ZERO).unwrap();
        let metadata = Metadata::new(kv);
        let registered = metadata.run(MetaOp::RegisterSession(registration()), Durability::Visible).unwrap();
        let session = registered.into_registered().unwrap();
        let lease = MetaOp::LeaseInodes(LeaseInodes { count: 100_000, session });
        let inodes = metadata.run(lease, Durability::Visible).unwrap().into_leased().unwrap();
        let chooser =
            Chooser { random: Random::new(seed), session, next_ino: inodes.start, nanoseconds: 1_000_000_000 };
        Driver {
            metadata,
            oracle: Oracle::new(),
            chooser,
            open: BTreeMap::new(),
            trash,
            seed,
            outcomes: Outcomes::new(),
        }
    }

    pub fn run(mut self, steps: usize) -> Outcomes {
        for step in 0..steps {
            match self.chooser.below(30) {
                0..=17 => self.change(step),
                18..=20 => self.open(),
                21..=22 => self.close(),
                23 => self.clone_tree(step),
                _ => self.ask(step),
            }
            self.remove_queued();
        }
        assert_eq!(tree::tree(&self.metadata), self.oracle.tree(), "seed {}: the final trees", self.seed);
        self.compare_all();
        if self.trash {
            self.empty_trash();
            self.compare_all();
        }
        self.outcomes
    }

    fn change(&mut self, step: usize) {
        let open: Vec<Ino> = self.open.keys().copied().collect();
        let operation = self.chooser.operation(&self.oracle, &open);
        if let MetaOp::RemoveTree(remove) = &operation
            && (self.is_open_within(remove.ino) || self.is_protected_below(remove.ino))
        {
            // It would go bit by bit, as its files are closed; the oracle knows no such thing. And who asks for it looks for
            // what is protected before.
            return;
        }
        let mut expected = model::expect(&mut self.oracle, &operation);
        if self.trash && !matches!(operation, MetaOp::RemoveTree(_)) {
            expected = expected.map(model::kept);
        }
        let found = model::found(self.metadata.run(operation.clone(), Durability::Visible));
        if expected == Err(Errno::ENOENT) && self.is_about_trash_only(&operation) {
            let names = "Create CreateNameless Link Unlink Rmdir RemoveTree Rename".split(' ');
            let about_names = names.into_iter().any(|kind| format!("{operation:?}").starts_with(&format!("{kind}(")));
            assert!(found.is_err() || !about_names, "seed {}, step {step}: {operation:?}", self.seed);
            return;
        }
        assert_eq!(found, expected, "seed {}, step {step}: {operation:?}", self.seed);
        if let (MetaOp::CreateNameless(created), Ok(_)) = (&operation, &found) {
            self.open.insert(created.ino, 1);
        }
        let kind = format!("{operation:?}").split('(').next().unwrap().to_string();
        self.count(kind, found.err());
    }

    fn count(&mut self, kind: String, refusal: Option<Errno>) {
        *self.outcomes.entry((kind, refusal.map(|errno| errno.0))).or_default() += 1;
    }

    /// A copy appears, or nothing does. Its inodes have the numbers that the store has given them.
    fn clone_tree(&mut self, step: usize) {
        let source = self.chooser.ino(&self.oracle);
        let (parent, name) = (self.chooser.directory(&self.oracle), self.chooser.name());
        // From there it would be copied; the oracle knows nothing of it, or no name.
        let in_trash = |found: Attributes| found.flags.has(InodeFlags::TRASHED);
        if self.metadata.get_attributes(source).is_ok_and(in_trash) || self.is_only_in_trash(parent) {
            return;
        }
        let now = self.chooser.tick();
        let context = format!("seed {}, step {step}: a clone of {source} as {name:?} in {parent}", self.seed);
        let found = clones::clone_tree(&self.metadata, &mut self.chooser, source, (parent, &name), now);
        self.count("Clone".into(), found.err());
        if found == Err(Errno::ECANCELED) {
            return assert_eq!(tree::tree(&self.metadata), self.oracle.tree(), "{context}: given up");
        }
        let metadata = &self.metadata;
        let mut number =
            |parent: Ino, name: &Name| metadata.lookup(parent, name).unwrap_or_else(|_| panic!("{context}")).ino;
        let expected = match found {
            // Without a copy there is nothing to look up in it.
            Err(_) => self.oracle.clone().clone_tree(source, parent, &name, &mut |_, _| Ino(u64::MAX), now),
            Ok(_) => self.oracle.clone_tree(source, parent, &name, &mut number, now),
        };
        assert_eq!(found, expected, "{context}");
        if found.is_ok() {
            assert_eq!(tree::tree(&self.metadata), self.oracle.tree(), "{context}");
        }
    }

    /// The operation is about an inode that only the trash has. It may change that one's attributes and content.
    fn is_about_trash_only(&self, operation: &MetaOp) -> bool {
        let inodes = match operation {
            MetaOp::Create(operation) => vec![operation.parent],
            MetaOp::CreateNameless(operation) => vec![operation.directory],
            MetaOp::Link(operation) => vec![operation.ino, operation.parent],
            MetaOp::Unlink(operation) => vec![operation.parent],
            MetaOp::Rmdir(operation) => vec![operation.parent],
            MetaOp::RemoveTree(operation) => vec![operation.parent],
            MetaOp::Rename(operation) => vec![operation.old_parent, operation.new_parent],
            MetaOp::SetAttributes(operation) => vec![operation.ino],
            MetaOp::SetFlags(operation) => vec![operation.ino],
            MetaOp::SetXattr(operation) => vec![operation.ino],
            MetaOp::RemoveXattr(operation) => vec![operation.ino],
            MetaOp::Truncate(operation) => vec![operation.ino],
            MetaOp::WriteInline(operation) => vec![operation.ino],
            MetaOp::Fallocate(operation) => vec![operation.ino],
            _ => Vec::new(),
        };
        inodes.into_iter().any(|ino| self.is_only_in_trash(ino))
    }

    fn is_only_in_trash(&self, ino: Ino) -> bool {
        let trashed = |found: Attributes| found.flags.has(InodeFlags::TRASHED) && found.nlink == 0;
        self.metadata.get_attributes(ino).is_ok_and(trashed) && self.oracle.get_attributes(ino) == Err(Errno::ENOENT)
    }

    /// With nothing open, so that nothing is kept any more.
    fn empty_trash(&mut self) {
        for (ino, count) in std::mem::take(&mut self.open) {
            (0..count).for_each(|_| self.oracle.close(ino).unwrap());
            let now = Timestamp::from_nanos(self.chooser.nanoseconds);
            let release = Release { ino, session: self.chooser.session, now };
            self.metadata.run(MetaOp::Release(release), Durability::Visible).unwrap();
        }
        let now = Timestamp::from_nanos(self.chooser.nanoseconds);
        let before = Timestamp::new(now.seconds + 3600, 0);
        let purge = MetaOp::PurgeTrash(PurgeTrash { before, now });
        while !self.metadata.run(purge.clone(), Durability::Visible).unwrap().into_ended().unwrap() {}
        self.remove_queued();
        let hours = self.metadata.read_directory(Ino::TRASH, 0, 10, false).unwrap();
        assert!(hours.entries.is_empty(), "seed {}: {hours:?}", self.seed);
        for ino in (2..self.chooser.next_ino).map(Ino) {
            assert!(!self.is_only_in_trash(ino), "seed {}: inode {ino}", self.seed);
        }
    }

    fn open(&mut self) {
        let ino = self.chooser.ino(&self.oracle);
        if self.oracle.open(ino).is_ok() {
            *self.open.entry(ino).or_default() += 1;
        }
    }

    /// The last close of an inode that has no name releases it, as a mount would.
    fn close(&mut self) {
        let candidates: Vec<Ino> = self.open.keys().copied().collect();
        if candidates.is_empty() {
            return;
        }
        let ino = candidates[self.chooser.below(candidates.len())];
        let nameless = self.oracle.get_attributes(ino).unwrap().nlink == 0;
        self.oracle.close(ino).unwrap();
        let count = self.open.get_mut(&ino).unwrap();
        *count -= 1;
        if *count == 0 {
            self.open.remove(&ino);
            if nameless {
                let now = Timestamp::from_nanos(self.chooser.nanoseconds);
                let release = Release { ino, session: self.chooser.session, now };
                assert_eq!(self.metadata.run(MetaOp::Release(release), Durability::Visible), Ok(MetaReply::Done));
            }
        }
    }

    fn is_open_within(&self, ino: Ino) -> bool {
        let below = self.oracle.read_directory(ino).unwrap_or_default();
        self.open.contains_key(&ino) || below.into_iter().any(|(_, ino, _)| self.is_open_within(ino))
    }

    fn is_protected_below(&self, ino: Ino) -> bool {
        let below = self.oracle.read_directory(ino).unwrap_or_default();
        below.into_iter().any(|(_, ino, _)| self.oracle.is_protected_within(ino))
    }

    /// As the maintenance of a mount does it; what is queued on the way too.
    fn remove_queued(&mut self) {
        let delete_at = Timestamp::from_nanos(self.chooser.nanoseconds);
        while let Some(queued) = self.metadata.queued_removals(u64::MAX, 1).unwrap().pop() {
            let remove = RemoveInode { queued_at: queued.queued_at, ino: queued.ino, delete_at };
            while !self
                .metadata
                .run(MetaOp::RemoveInode(remove.clone()), Durability::Visible)
                .unwrap()
                .into_ended()
                .unwrap()
            {}
        }
    }

    fn ask(&mut self, step: usize) {
        let (parent, name) = (self.chooser.directory(&self.oracle), self.chooser.name());
        let ino = self.chooser.ino(&self.oracle);
        let context = format!("seed {}, step {step}: asked about {name:?} in {parent} and about {ino}", self.seed);
        if !self.is_only_in_trash(parent) {
            let looked_up = self.metadata.lookup(parent, &name).map_err(|error| error.errno());
            assert_eq!(comparable(looked_up), comparable(self.oracle.lookup(parent, &name)), "{context}");
        }
        self.compare_inode(ino, &context);
        let xattr = self.chooser.xattr_name();
        let value = self.metadata.get_xattr(ino, &xattr).map_err(|error| error.errno());
        let value = if self.is_only_in_trash(ino) { Err(Errno::ENOENT) } else { value };
        assert_eq!(value, self.oracle.get_xattr(ino, &xattr), "{context}: {xattr}");
        let limit = 1 + self.chooser.below(4);
        self.compare_listing(parent, limit, &context);
    }

    fn compare_inode(&self, ino: Ino, context: &str) {
        if self.is_only_in_trash(ino) {
            return;
        }
        let found = self.metadata.get_attributes(ino).map_err(|error| error.errno());
        assert_eq!(comparable(found), comparable(self.oracle.get_attributes(ino)), "{context}");
        let target = self.metadata.read_link(ino).map_err(|error| error.errno());
        assert_eq!(target, self.oracle.read_link(ino), "{context}");
        let xattrs = self.metadata.list_xattrs(ino).map_err(|error| error.errno());
        assert_eq!(xattrs, self.oracle.list_xattrs(ino), "{context}");
    }

    fn compare_listing(&self, ino: Ino, limit: usize, context: &str) {
        if self.is_only_in_trash(ino) {
            return;
        }
        let listed = tree::list(&self.metadata, ino, limit, true).map_err(|error| error.errno());
        let sorted = listed.map(|mut entries| {
            entries.sort_by(|one, other| one.name.cmp(&other.name));
            for entry in &entries {
                assert_eq!(self.metadata.lookup(ino, &entry.name).ok(), entry.attributes, "{context}");
            }
            entries.into_iter().map(|entry| (entry.name, entry.ino, entry.kind)).collect::<Vec<_>>()
        });
        assert_eq!(sorted, self.oracle.read_directory(ino), "{context}");
    }

    /// Every inode that ever was, and the counts of the volume.
    fn compare_all(&self) {
        for ino in (1..self.chooser.next_ino).map(Ino) {
            self.compare_inode(ino, &format!("seed {}, at the end, inode {ino}", self.seed));
        }
        let report = check::run(&self.metadata, &mut |_| {}).unwrap();
        assert!(report.is_clean(), "seed {}: {:#?}", self.seed, report.findings);
        let usage = self.metadata.usage().unwrap();
        let counted = self.oracle.inodes().len() as u64 + self.count_trash(Ino::TRASH);
        assert_eq!(usage.inodes, counted, "seed {}", self.seed);
        for (path, node) in self.oracle.tree() {
            let ino = self.find(&path);
            let found = self.metadata.path_of(ino).unwrap();
            assert_eq!(self.find(&found), ino, "seed {}: the path of a {:?}", self.seed, node.kind);
        }
    }

    /// Inodes that only the trash knows, its directories included.
    fn count_trash(&self, directory: Ino) -> u64 {
        let Ok(entries) = tree::list(&self.metadata, directory, 100, false) else { return 0 };
        let count = |ino| if self.oracle.get_attributes(ino).is_ok() { 0 } else { 1 };
        let below = entries.iter().map(|entry| match entry.ino.is_trash() {
            true => self.count_trash(entry.ino),
            false => count(entry.ino),
        });
        below.sum::<u64>() + 1
    }

    fn find(&self, path: &[u8]) -> Ino {
        let names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty());
        names.fold(Ino::ROOT, |parent, name| self.oracle.lookup(parent, &Name::new(name).unwrap()).unwrap().ino)
    }
}

fn comparable(result: FsResult<Attributes>) -> FsResult<Attributes> {
    result.map(model::without_allocated)
}

fn settings() -> VolumeSettings {
    VolumeSettings {
        schema: shoal_types::SCHEMA_VERSION,
        name: "judged".into(),
        uuid: "8b0ce1cd-5d15-4d4b-9a3e-7f3c1f1f2a10".into(),
        storage: "file:///nowhere".into(),
        block_bytes: 4 << 20,
        inline_bytes_max: 4096,
        staging: Default::default(),
        delete_grace_seconds: 60,
        compression: Compression::None,
        cipher: None,
        also_encrypted: Default::default(),
    }
}

fn registration() -> RegisterSession {
    let record = SessionRecord {
        host: "host".into(),
        boot: "boot".into(),
        pid: 1,
        started: Timestamp::ZERO,
        mount_point: "/mnt".into(),
        kind: SessionKind::Mount,
        consistency: Consistency::default(),
    };
    RegisterSession { record, now: Timestamp::ZERO }
}
