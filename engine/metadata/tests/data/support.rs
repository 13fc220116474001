//! A volume in memory with one registered session, and short words for what tests do to it.

use shoal_kv::{Attempt, Durability, Kv, MemoryKv, Transaction, Verdict};
use shoal_metadata::{
    Create, ForgetObjects, LeaseInodes, LeaseObjects, MetaOp, MetaReply, MetaResult, Metadata, RegisterSession,
    RemoveInode, Rmdir, SessionKind, SessionRecord, Truncate, Unlink, WriteInline, WriteSlices,
};
use shoal_types::{
    Attributes, Compression, Consistency, FileKind, Ino, Name, ObjectId, ObjectKind, SessionId, Slice, Timestamp,
    VolumeSettings,
};
use std::sync::Arc;

pub struct Volume {
    pub metadata: Metadata,
    pub session: SessionId,
}

impl Volume {
    pub fn new() -> Self {
        Volume::on(MemoryKv::new())
    }

    pub fn on(kv: Arc<dyn Kv>) -> Self {
        Metadata::format(kv.as_ref(), &settings(), (0, 0), at(1)).unwrap();
        Volume::join(kv)
    }

    /// A further session on a volume that is there.
    pub fn join(kv: Arc<dyn Kv>) -> Self {
        let metadata = Metadata::new(kv);
        let session = register(&metadata, 1);
        Volume { metadata, session }
    }

    pub fn try_run(&self, operation: MetaOp) -> MetaResult<MetaReply> {
        self.metadata.run(operation, Durability::Visible)
    }

    pub fn run(&self, operation: MetaOp) -> MetaReply {
        self.try_run(operation).unwrap()
    }

    /// Runs an operation of several steps to its end; tells how many there were.
    pub fn run_steps(&self, operation: MetaOp) -> u32 {
        let mut steps = 1;
        while !self.run(operation.clone()).into_ended().unwrap() {
            steps += 1;
        }
        steps
    }

    pub fn create(&self, parent: Ino, name: &str, kind: FileKind) -> Ino {
        let ino = self.lease_inodes(1);
        self.create_as(parent, name, ino, kind);
        ino
    }

    pub fn create_as(&self, parent: Ino, name: &str, ino: Ino, kind: FileKind) {
        let target = if kind == FileKind::Symlink { b"somewhere".to_vec() } else { Vec::new() };
        self.run(MetaOp::Create(Create {
            parent,
            name: self::name(name),
            ino,
            kind,
            umask: 0,
            mode: 0o644,
            uid: 1,
            gid: 2,
            rdev: 0,
            target,
            session: self.session,
            now: at(2),
        }));
    }

    pub fn file(&self, name: &str) -> Ino {
        self.create(Ino::ROOT, name, FileKind::Regular)
    }

    pub fn directory(&self, parent: Ino, name: &str) -> Ino {
        self.create(parent, name, FileKind::Directory)
    }

    pub fn lease_inodes(&self, count: u64) -> Ino {
        let lease = LeaseInodes { count, session: self.session };
        Ino(self.run(MetaOp::LeaseInodes(lease)).into_leased().unwrap().start)
    }

    pub fn lease_object(&self) -> ObjectId {
        let lease = LeaseObjects { count: 1, session: self.session };
        ObjectId(self.run(MetaOp::LeaseObjects(lease)).into_leased().unwrap().start)
    }

    pub fn try_write_slices(&self, ino: Ino, chunks: Vec<(u64, Vec<Slice>)>, length: u64) -> MetaResult<Attributes> {
        let slices = chunks.iter().flat_map(|(_, slices)| slices);
        let allocated =
            slices.filter(|slice| slice.kind != ObjectKind::Hole).map(|slice| i64::from(slice.length)).sum();
        let write = WriteSlices { ino, chunks, length, mtime: at(3), allocated, exempt: false, session: self.session };
        Ok(self.try_run(MetaOp::WriteSlices(write))?.into_attributes().unwrap())
    }

    pub fn write_slices(&self, ino: Ino, chunk: u64, slices: &[Slice], length: u64) -> Attributes {
        self.try_write_slices(ino, vec![(chunk, slices.to_vec())], length).unwrap()
    }

    pub fn write_inline(&self, ino: Ino, offset: u64, bytes: &[u8]) -> MetaReply {
        self.run(MetaOp::WriteInline(WriteInline {
            ino,
            patches: vec![(offset, bytes.to_vec())],
            length_min: 0,
            inline_max: INLINE_MAX,
            staging: Default::default(),
            mtime: at(3),
            exempt: false,
            session: self.session,
        }))
    }

    /// At the beginning of the file; not by the superuser.
    pub fn try_write_inline(&self, ino: Ino, bytes: &[u8]) -> MetaResult<MetaReply> {
        self.try_run(MetaOp::WriteInline(WriteInline {
            ino,
            patches: vec![(0, bytes.to_vec())],
            length_min: 0,
            inline_max: INLINE_MAX,
            staging: Default::default(),
            mtime: at(3),
            exempt: false,
            session: self.session,
        }))
    }

    /// To the end; tells the attributes after each step.
    pub fn truncate(&self, ino: Ino, length: u64) -> Vec<Attributes> {
        let mut steps = Vec::new();
        loop {
            let truncate = Truncate { ino, length, session: self.session, now: at(4) };
            let truncated = self.run(MetaOp::Truncate(truncate)).into_truncated().unwrap();
            steps.push(truncated.attributes);
            if truncated.done {
                return steps;
            }
        }
    }

    pub fn unlink_in(&self, parent: Ino, name: &str) {
        let name = self::name(name);
        self.run(MetaOp::Unlink(Unlink { parent, name, open: Vec::new(), session: self.session, now: at(5) }));
    }

    pub fn remove_dir(&self, parent: Ino, name: &str) {
        let name = self::name(name);
        self.run(MetaOp::Rmdir(Rmdir { parent, name, open: Vec::new(), session: self.session, now: at(5) }));
    }

    pub fn unlink(&self, name: &str, open: &[Ino]) {
        let (name, open) = (self::name(name), open.to_vec());
        self.run(MetaOp::Unlink(Unlink { parent: Ino::ROOT, name, open, session: self.session, now: at(5) }));
    }

    /// Removes everything in the removal queue.
    pub fn remove_queued(&self) {
        for queued in self.metadata.queued_removals(u64::MAX, 1000).unwrap() {
            let remove = RemoveInode { queued_at: queued.queued_at, ino: queued.ino, delete_at: at(6) };
            self.run_steps(MetaOp::RemoveInode(remove));
        }
    }

    /// Forgets everything in the deletion queue; tells what was in it.
    pub fn forget_queued(&self) -> Vec<ObjectId> {
        let queued = self.metadata.queued_deletions(u64::MAX, 100_000).unwrap();
        let entries = queued.iter().map(|entry| (entry.delete_at, entry.object)).collect();
        self.run(MetaOp::ForgetObjects(ForgetObjects { entries }));
        queued.iter().map(|entry| entry.object).collect()
    }

    pub fn raw(&self, change: impl Fn(&mut dyn Transaction) + Send + 'static) {
        let body = move |transaction: &mut dyn Transaction, _: Attempt| {
            change(transaction);
            Ok(((), Verdict::Commit))
        };
        self.metadata.kv().transact(Durability::Visible, body).unwrap();
    }

    pub fn get(&self, key: shoal_metadata::keys::Key) -> Option<Vec<u8>> {
        let key = key.encode();
        let mut found = None;
        self.metadata
            .kv()
            .read(&mut |reader| {
                found = reader.get(&key)?;
                Ok(())
            })
            .unwrap();
        found
    }

    /// An accumulator or counter; 0 where there is none.
    pub fn number(&self, key: shoal_metadata::keys::Key) -> i64 {
        self.get(key).map_or(0, |value| i64::from_le_bytes(value.try_into().unwrap()))
    }
}

pub fn register(metadata: &Metadata, pid: u32) -> SessionId {
    let register = RegisterSession { record: record(pid), now: at(1) };
    metadata.run(MetaOp::RegisterSession(register), Durability::Visible).unwrap().into_registered().unwrap()
}

pub fn record(pid: u32) -> SessionRecord {
    SessionRecord {
        host: "host".into(),
        boot: "boot".into(),
        pid,
        started: at(1),
        mount_point: "/mnt".into(),
        kind: SessionKind::Mount,
        consistency: Consistency::default(),
    }
}

pub fn settings() -> VolumeSettings {
    VolumeSettings {
        schema: shoal_types::SCHEMA_VERSION,
        name: "test".into(),
        uuid: "00000000-0000-0000-0000-000000000001".into(),
        storage: "file:///nowhere".into(),
        block_bytes: 4 << 20,
        inline_bytes_max: INLINE_MAX,
        staging: Default::default(),
        delete_grace_seconds: 60,
        compression: Compression::None,
        cipher: None,
        also_encrypted: Default::default(),
    }
}

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::new(seconds, 0)
}

pub fn name(name: &str) -> Name {
    Name::new(name.as_bytes()).unwrap()
}

/// All of the object from its beginning.
pub fn slice(position: u32, length: u32, object: ObjectId) -> Slice {
    Slice { position, length, object, object_offset: 0, object_length: length, kind: ObjectKind::Block }
}

pub const INLINE_MAX: u32 = 4096;
