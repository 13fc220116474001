//! The handle on a volume's metadata: reads here, operations by `submit`.

use crate::executor::Executor;
use crate::keys::Key;
use crate::records::{SessionRecord, decode_settings, decode_wrapped_key, encode_wrapped_key};
use crate::{Limits, MetaError, MetaOp, MetaReply, MetaResult, format};
use shoal_encryption::WrappedKey;
use shoal_kv::{Attempt, Durability, Job, Kv, KvResult, Reader, Transaction, Verdict};
use shoal_types::{
    Attributes, Errno, FileKind, Ino, LockMode, LockRange, Name, ObjectId, ObjectKind, SessionId, Slice, Timestamp,
    VolumeSettings,
};
use std::sync::{Arc, mpsc};

/// Cheap to clone; on any thread. All operations of one session go through one of these and its clones.
#[derive(Clone)]
pub struct Metadata {
    kv: Arc<dyn Kv>,
    executor: Executor,
}

/// What a new volume may have beside its settings.
#[derive(Clone, Default, Debug)]
pub struct FormatOptions {
    /// Of the volume as a whole.
    pub limits: Limits,
    /// For so many days the trash keeps what is removed; 0: there is none.
    pub trash_days: u32,
    /// Of an encrypted volume.
    pub key: Option<WrappedKey>,
    /// What opens the object store of such a volume, as it is to be kept: sealed.
    pub storage_secrets: Option<Vec<u8>>,
}

/// A file's attributes with what its content begins from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Content {
    pub attributes: Attributes,
    /// As `Identity::parent`: of a file a hint.
    pub parent: Ino,
    pub inline: Option<Vec<u8>>,
    /// The first of its slice lists, by chunk: what comes along with the rest at no further cost.
    pub chunks: Vec<(u64, Vec<Slice>)>,
    /// Those are all.
    pub all_chunks: bool,
}

impl Content {
    pub fn has_chunks(&self) -> bool {
        !self.chunks.is_empty()
    }
}

/// Some entries of a directory, in the order of their cookies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DirectoryPage {
    pub entries: Vec<DirectoryEntry>,
    /// Nothing comes after these.
    pub end: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DirectoryEntry {
    /// Reading after this cookie goes on behind this entry. At least `keys::COOKIE_MIN`.
    pub cookie: u64,
    pub name: Name,
    pub ino: Ino,
    pub kind: FileKind,
    /// Where they were asked for (and the inode has not vanished meanwhile).
    pub attributes: Option<Attributes>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    pub bytes: u64,
    pub inodes: u64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionInfo {
    pub session: SessionId,
    pub record: SessionRecord,
    pub heartbeat: Timestamp,
    /// How many inodes it keeps; not counted where one session alone is asked for.
    pub sustained: u64,
}

/// A range that an owner has locked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldLock {
    pub range: LockRange,
    pub mode: LockMode,
    pub session: SessionId,
    pub owner: u64,
    /// The process, on the host of its session.
    pub pid: u32,
}

/// A clone that has begun and is not tidied up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CloneInfo {
    /// The copy's root.
    pub clone: Ino,
    pub session: SessionId,
    /// Neither finished nor given up, as far as the store knows.
    pub filling: bool,
    /// Its session has ended.
    pub orphaned: bool,
}

/// A file that waits to be packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StagedFile {
    /// Where it was when it was written.
    pub directory: Ino,
    pub ino: Ino,
    pub bytes: u32,
}

/// A part of the list of the files that a pack was made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PackList {
    /// Where it stands in the whole list.
    pub place: u32,
    pub files: Vec<Ino>,
}

/// A pack that was noted to have little left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SparsePack {
    pub object: ObjectId,
    /// When it last lost bytes.
    pub since: Timestamp,
    pub live_bytes: u64,
    /// It still is. Otherwise files have come to refer to it since, or none have yet.
    pub is_sparse: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueuedRemoval {
    pub queued_at: u64,
    pub ino: Ino,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueuedDeletion {
    pub delete_at: u64,
    pub object: ObjectId,
    pub kind: ObjectKind,
}

impl Metadata {
    /// The settings, if there is a volume in this store.
    pub fn find(kv: &dyn Kv) -> MetaResult<Option<VolumeSettings>> {
        let mut found = None;
        kv.read(&mut |reader| {
            found = reader.get(&Key::Settings.encode())?;
            Ok(())
        })?;
        Ok(found.map(|bytes| decode_settings(&bytes)).transpose()?)
    }

    /// Whether a dump is being loaded into this store, or was and not to its end: it holds no volume then.
    pub fn is_half_loaded(kv: &dyn Kv) -> MetaResult<bool> {
        let mut found = None;
        kv.read(&mut |reader| {
            found = reader.get(&Key::Load.encode())?;
            Ok(())
        })?;
        Ok(found.is_some())
    }

    /// The wrapped key of an encrypted volume.
    pub fn wrapped_key(kv: &dyn Kv) -> MetaResult<Option<WrappedKey>> {
        let mut found = None;
        kv.read(&mut |reader| {
            found = reader.get(&Key::WrappedKey.encode())?;
            Ok(())
        })?;
        Ok(found.map(|bytes| decode_wrapped_key(&bytes)).transpose()?)
    }

    /// What opens the object store, sealed by whoever has put it there.
    pub fn storage_secrets(kv: &dyn Kv) -> MetaResult<Option<Vec<u8>>> {
        let mut found = None;
        kv.read(&mut |reader| {
            found = reader.get(&Key::StorageSecrets.encode())?;
            Ok(())
        })?;
        Ok(found)
    }

    /// Puts other sealed secrets in place of what is there, or none, durably. `EINVAL` where the volume has no key to have
    /// sealed them with.
    pub fn replace_storage_secrets(kv: &dyn Kv, secrets: Option<Vec<u8>>) -> MetaResult<()> {
        let replaced = kv.transact(Durability::Durable, move |transaction, _| {
            if transaction.get(&Key::WrappedKey.encode())?.is_none() {
                return Ok((false, Verdict::Abort));
            }
            match &secrets {
                Some(secrets) => transaction.put(&Key::StorageSecrets.encode(), secrets),
                None => transaction.delete(&Key::StorageSecrets.encode()),
            }
            Ok((true, Verdict::Commit))
        })?;
        match replaced {
            true => Ok(()),
            false => Err(Errno::EINVAL.into()),
        }
    }

    /// Puts another wrapping of the same key in place of `old`, durably. `EAGAIN` if somebody else was quicker.
    pub fn replace_wrapped_key(kv: &dyn Kv, old: &WrappedKey, new: &WrappedKey) -> MetaResult<()> {
        let (old, new) = (encode_wrapped_key(old), encode_wrapped_key(new));
        let replaced = kv.transact(Durability::Durable, move |transaction, attempt| {
            let key = Key::WrappedKey.encode();
            let found = transaction.get(&key)?;
            if attempt.maybe_committed && found.as_ref() == Some(&new) {
                return Ok((true, Verdict::Abort));
            }
            if found.as_ref() != Some(&old) {
                return Ok((false, Verdict::Abort));
            }
            transaction.put(&key, &new);
            Ok((true, Verdict::Commit))
        })?;
        match replaced {
            true => Ok(()),
            false => Err(Errno::EAGAIN.into()),
        }
    }

    /// Makes an empty volume, durably: settings and a root directory (0o755, of this owner). `EEXIST` if there is one.
    pub fn format(kv: &dyn Kv, settings: &VolumeSettings, owner: (u32, u32), now: Timestamp) -> MetaResult<()> {
        Self::format_with(kv, settings, &FormatOptions::default(), owner, now)
    }

    /// The same with more than the settings say.
    pub fn format_with(
        kv: &dyn Kv,
        settings: &VolumeSettings,
        options: &FormatOptions,
        owner: (u32, u32),
        now: Timestamp,
    ) -> MetaResult<()> {
        format::format(kv, settings, options, owner, now)
    }

    /// For a store that holds a volume.
    pub fn new(kv: Arc<dyn Kv>) -> Self {
        Metadata { executor: Executor::new(kv.clone()), kv }
    }

    pub fn kv(&self) -> &Arc<dyn Kv> {
        &self.kv
    }

    /// Queues an operation; `done` is called once, on any thread, and must not block. An operation takes effect once or
    /// not at all, also where the engine can't tell whether a commit succeeded.
    pub fn submit(
        &self,
        operation: MetaOp,
        durability: Durability,
        done: impl FnOnce(MetaResult<MetaReply>) + Send + 'static,
    ) {
        self.executor.submit(operation, durability, Box::new(done));
    }

    /// `submit`, and waits for the end: for commands and tests, on a thread of their own.
    pub fn run(&self, operation: MetaOp, durability: Durability) -> MetaResult<MetaReply> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.submit(operation, durability, move |result| {
            // The caller waits below, so the channel is open; were it not, nobody would want the result.
            let _ = sender.send(result);
        });
        receiver.recv().expect("every operation is told its end")
    }

    /// Everything acknowledged so far survives power loss when `done` is told so.
    pub fn sync(&self, done: impl FnOnce(MetaResult<()>) + Send + 'static) {
        self.kv.submit(Box::new(SyncJob(done)), Durability::Durable);
    }

    /// Reads at one snapshot. A refusal found in it is the answer.
    pub(crate) fn at_snapshot<T>(&self, mut body: impl FnMut(&mut dyn Reader) -> MetaResult<T>) -> MetaResult<T> {
        let mut answer = None;
        self.kv.read(&mut |reader| match body(reader) {
            Err(MetaError::Store(error)) => Err(error),
            result => {
                answer = Some(result);
                Ok(())
            }
        })?;
        answer.expect("a read that ended well has run")
    }
}

/// Commits nothing: what it waits for is that every commit before it is durable.
struct SyncJob<F>(F);

impl<F: FnOnce(MetaResult<()>) + Send> Job for SyncJob<F> {
    fn run(&mut self, _: &mut dyn Transaction, _: Attempt) -> KvResult<Verdict> {
        Ok(Verdict::Commit)
    }

    fn done(self: Box<Self>, outcome: KvResult<Verdict>) {
        (self.0)(outcome.map(drop).map_err(MetaError::from));
    }
}
