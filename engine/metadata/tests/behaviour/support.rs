//! A mounted volume in a store, and short words for operations on names.

use shoal_kv::{Durability, Kv};
use shoal_metadata::{
    Create, LeaseInodes, Link, MetaOp, MetaReply, MetaResult, Metadata, RegisterSession, Rename, Rmdir, SessionKind,
    SessionRecord, SetAttributes, Unlink, check,
};
use shoal_types::{
    Attributes, Compression, Consistency, FileKind, Ino, Name, SCHEMA_VERSION, SessionId, Timestamp, VolumeSettings,
};
use std::sync::Arc;

#[derive(Clone)]
pub struct Mount {
    pub metadata: Metadata,
    pub session: SessionId,
    /// Of this mount's numbers: 2 for the first one.
    pub first_ino: u64,
}

/// A new volume in this store, mounted.
pub fn volume(kv: Arc<dyn Kv>) -> Mount {
    Metadata::format(kv.as_ref(), &settings(), (0, 0), Timestamp::ZERO).unwrap();
    mount(kv)
}

pub fn mount(kv: Arc<dyn Kv>) -> Mount {
    let metadata = Metadata::new(kv);
    let register = MetaOp::RegisterSession(RegisterSession { record: record(), now: at(0) });
    let session = metadata.run(register, Durability::Visible).unwrap().into_registered().unwrap();
    let lease = MetaOp::LeaseInodes(LeaseInodes { count: LEASED_INODES, session });
    let inodes = metadata.run(lease, Durability::Visible).unwrap().into_leased().unwrap();
    Mount { metadata, session, first_ino: inodes.start }
}

/// More than any test needs.
const LEASED_INODES: u64 = 1_000_000;

impl Mount {
    /// Every record of the volume agrees with every other: counts, names, queues.
    pub fn assert_sound(&self) {
        let report = check::run(&self.metadata, &mut |_| {}).unwrap();
        assert!(report.is_clean(), "{:#?}", report.findings);
    }

    pub fn run(&self, operation: MetaOp) -> MetaResult<MetaReply> {
        self.metadata.run(operation, Durability::Visible)
    }

    pub fn create(&self, parent: u64, text: &str, ino: u64, kind: FileKind) -> MetaResult<Attributes> {
        Ok(self.run(MetaOp::Create(self.creation(parent, text, ino, kind)))?.into_attributes().unwrap())
    }

    pub fn creation(&self, parent: u64, text: &str, ino: u64, kind: FileKind) -> Create {
        Create {
            parent: Ino(parent),
            name: name(text),
            ino: Ino(ino),
            kind,
            umask: 0,
            mode: 0o755,
            uid: 0,
            gid: 0,
            rdev: 0,
            target: if kind == FileKind::Symlink { b"target".to_vec() } else { Vec::new() },
            session: self.session,
            now: at(1),
        }
    }

    pub fn link(&self, ino: u64, parent: u64, text: &str) -> MetaResult<MetaReply> {
        let link = Link { ino: Ino(ino), parent: Ino(parent), name: name(text), session: self.session, now: at(2) };
        self.run(MetaOp::Link(link))
    }

    pub fn unlink(&self, parent: u64, text: &str, open: &[Ino]) -> MetaResult<MetaReply> {
        let open = open.to_vec();
        let unlink = Unlink { parent: Ino(parent), name: name(text), open, session: self.session, now: at(3) };
        self.run(MetaOp::Unlink(unlink))
    }

    pub fn rmdir(&self, parent: u64, text: &str, open: &[Ino]) -> MetaResult<MetaReply> {
        let open = open.to_vec();
        let rmdir = Rmdir { parent: Ino(parent), name: name(text), open, session: self.session, now: at(3) };
        self.run(MetaOp::Rmdir(rmdir))
    }

    pub fn rename(&self, old: (u64, &str), new: (u64, &str)) -> MetaResult<MetaReply> {
        self.run(MetaOp::Rename(self.renaming(old, new)))
    }

    pub fn renaming(&self, old: (u64, &str), new: (u64, &str)) -> Rename {
        Rename {
            old_parent: Ino(old.0),
            old_name: name(old.1),
            new_parent: Ino(new.0),
            new_name: name(new.1),
            no_replace: false,
            exchange: false,
            whiteout: None,
            open: Vec::new(),
            session: self.session,
            now: at(4),
        }
    }

    pub fn set_mtime(&self, ino: u64, mtime: Timestamp, now: Timestamp) -> MetaResult<Attributes> {
        let set = SetAttributes {
            drop_privileges: false,
            ino: Ino(ino),
            mode: None,
            uid: None,
            gid: None,
            atime: None,
            mtime: Some(mtime),
            exempt: false,
            despite: Default::default(),
            session: self.session,
            now,
        };
        Ok(self.run(MetaOp::SetAttributes(set))?.into_attributes().unwrap())
    }
}

pub fn name(text: &str) -> Name {
    Name::new(text.as_bytes()).unwrap()
}

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::new(seconds, 0)
}

pub fn record() -> SessionRecord {
    SessionRecord {
        host: "host".into(),
        boot: "boot".into(),
        pid: 1,
        started: at(0),
        mount_point: "/mnt".into(),
        kind: SessionKind::Mount,
        consistency: Consistency::default(),
    }
}

pub fn settings() -> VolumeSettings {
    VolumeSettings {
        schema: SCHEMA_VERSION,
        name: "volume".into(),
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
