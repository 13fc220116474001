//! `shoal mount --backup-meta TIME`: the metadata dumped into the object store, again and again, by one mount at a time.
//!
//! A thread of its own sleeps until the next backup is due. What a mount that died half-way has left there is removed by the
//! next one; so are backups that are too old to be kept (`kept.rs`).

mod kept;
mod parts;

use crate::clock;
use crate::dumping;
use crate::failure::{Failure, Outcome};
use crate::size::ByteCount;
use parts::Parts;
use shoal_encryption::VolumeSealer;
use shoal_metadata::{BackupTurn, Metadata};
use shoal_metadata_dump::DumpError;
use shoal_object_store::naming::{backups_prefix, parse_backup_key};
use shoal_object_store::{ListedObject, ObjectStore, StoreError, StoreResult};
use shoal_types::{SessionId, Timestamp, VolumeSettings};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::Runtime;

/// The thread that makes them. It ends with this.
pub struct Backups {
    ending: Arc<AtomicBool>,
    /// Dropped to wake the thread.
    alive: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What a backup is made of, and where it goes.
pub struct Source {
    pub metadata: Metadata,
    pub settings: VolumeSettings,
    /// Of an encrypted volume, whose backups are sealed.
    pub sealer: Option<VolumeSealer>,
    pub store: Arc<dyn ObjectStore>,
    pub session: SessionId,
}

impl Backups {
    pub fn start(source: Source, interval: Duration) -> Outcome<Self> {
        let failed = |error| Failure::of_io(Path::new("threads"), "starting one for backups", &error);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(failed)?;
        let ending = Arc::new(AtomicBool::new(false));
        let maker = Maker { source, interval, runtime, ending: ending.clone() };
        let (alive, ended) = sync_channel(0);
        let thread = std::thread::Builder::new().name("metadata-backup".into());
        let work = move || {
            let mut pause = Duration::ZERO;
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(pause) {
                pause = maker.round();
            }
        };
        let thread = thread.spawn(work).map_err(failed)?;
        Ok(Backups { ending, alive: Some(alive), thread: Some(thread) })
    }
}

impl Drop for Backups {
    fn drop(&mut self) {
        self.ending.store(true, SeqCst);
        drop(self.alive.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread for backups of the metadata panicked");
        }
    }
}

struct Maker {
    source: Source,
    interval: Duration,
    runtime: Runtime,
    ending: Arc<AtomicBool>,
}

impl Maker {
    /// Makes a backup if it is this mount's turn. Gives how long there is nothing to do.
    fn round(&self) -> Duration {
        let Source { metadata, session, .. } = &self.source;
        let now = clock::now();
        let patience = self.interval.min(LOOK_INTERVAL_MAX);
        match metadata.take_backup_turn(*session, self.interval, now) {
            Ok(BackupTurn::Own) => {
                let made = self.back_up(now);
                if let Err(error) = metadata.end_backup_turn(*session, made.then_some(now)) {
                    tracing::warn!(%error, "the end of a backup of the metadata could not be noted");
                }
                patience
            }
            Ok(BackupTurn::Other(_)) => patience,
            Ok(BackupTurn::NotYet(last)) => self.interval.saturating_sub(clock::age(last, now)).min(patience),
            Err(error) => {
                tracing::warn!(%error, "whose turn it is to back the metadata up could not be read");
                patience
            }
        }
    }

    /// Whether there is a complete one now.
    fn back_up(&self, now: Timestamp) -> bool {
        let time = clock::stamp(now);
        match self.make(&time) {
            Ok(bytes) => tracing::info!(time, bytes = %ByteCount(bytes), "backed the metadata up"),
            Err(error) if self.ending.load(SeqCst) => {
                tracing::info!(%error, "a backup of the metadata was given up, as the mount ends");
                return false;
            }
            Err(error) => {
                tracing::warn!(%error, "the metadata could not be backed up");
                return false;
            }
        }
        if let Err(error) = self.remove_old(now, &time) {
            tracing::warn!(%error, "old backups of the metadata could not be removed");
        }
        true
    }

    fn make(&self, time: &str) -> Result<u64, DumpError> {
        let Source { metadata, settings, sealer, store, .. } = &self.source;
        let mut parts = Parts::new(store.as_ref(), &self.runtime, &settings.uuid, time, &self.ending);
        let made = dumping::write(metadata.kv().as_ref(), settings, sealer.as_ref(), &mut parts, &mut |_| {})
            .map(drop)
            .and_then(|()| parts.end().map_err(DumpError::Output));
        if made.is_err() {
            parts.remove();
        }
        made
    }

    /// Those that are too old, and what is no whole backup: the turn is ours, so nobody is just writing it.
    fn remove_old(&self, now: Timestamp, own: &str) -> StoreResult<()> {
        let Source { settings, store, .. } = &self.source;
        let mut found: BTreeMap<String, (bool, Vec<String>)> = BTreeMap::new();
        let mut note = |listed: ListedObject| {
            if let Some(part) = parse_backup_key(&settings.uuid, &listed.key) {
                let (whole, keys) = found.entry(part.time.to_owned()).or_default();
                *whole |= part.last;
                keys.push(listed.key);
            }
            Ok(())
        };
        let prefix = backups_prefix(&settings.uuid);
        self.runtime.block_on(store.list(&prefix, &mut note))?;
        // A name that is no time is not ours to judge.
        let time_of = |name: &String| clock::of_stamp(name).map(|seconds| (seconds, name.clone()));
        let whole = found.iter().filter(|(_, (whole, _))| *whole).filter_map(|(name, _)| time_of(name)).collect();
        let kept = kept::kept(whole, now.seconds);
        for (name, (_, mut keys)) in found {
            if name == own || kept.contains(&name) || clock::of_stamp(&name).is_none() {
                continue;
            }
            // The end goes first: what is interrupted here is no whole backup any more.
            keys.sort();
            for key in keys.iter().rev() {
                match self.runtime.block_on(store.delete(key)) {
                    Err(StoreError::NotFound(_)) | Ok(()) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

/// Another mount may have begun or ended meanwhile, or died.
const LOOK_INTERVAL_MAX: Duration = Duration::from_secs(60);
