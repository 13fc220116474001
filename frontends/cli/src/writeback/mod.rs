//! `shoal mount --writeback`: objects are stored in a folder of this host first, and uploaded later.
//!
//! The folder is made known in the metadata before anything comes into it, and forgotten when it's empty at the end. A thread
//! keeps that note up to date and deletes what other mounts have deleted meanwhile. A mount without the option empties what
//! earlier ones have left, and puts nothing there.

mod late;
mod place;

pub use late::Late;
pub use place::{Content, content};

use crate::clock;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::mount_request::MountRequest;
use crate::output::count;
use crate::places;
use crate::sessions::Here;
use crate::size::ByteCount;
use place::Place;
use shoal_kv::Durability;
use shoal_metadata::{MetaResult, Metadata, WritebackFolder};
use shoal_object_store::{FsStore, ObjectStore, StagedStore, StoreError, naming};
use shoal_types::VolumeSettings;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::Runtime;

pub struct Writeback {
    keeper: Arc<Keeper>,
    place: Place,
    /// Dropped to wake the thread.
    alive: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the metadata knows of the folder.
struct Note {
    metadata: Metadata,
    volume: String,
    number: u64,
    host: String,
    path: String,
    mount_point: String,
}

/// A mount without the option has nothing to do with it, unless earlier ones have left something.
pub fn is_wanted(request: &MountRequest, settings: &VolumeSettings) -> bool {
    let left = || volume_folder(request, settings).and_then(|folder| Place::left_behind(&folder));
    let is_left = || match left() {
        Ok(left) => !left.is_empty(),
        Err(failure) => {
            tracing::warn!("whether something was left to be uploaded can't be told: {failure}");
            false
        }
    };
    !request.read_only && (request.writeback || is_left())
}

fn volume_folder(request: &MountRequest, settings: &VolumeSettings) -> Outcome<PathBuf> {
    let base = match &request.writeback_dir {
        Some(folder) => folder.clone(),
        None => places::writeback_folder()?,
    };
    Ok(base.join(&settings.uuid))
}

impl Writeback {
    /// `behind` and `uploads` are the volume's store, for two runtimes.
    pub fn start(
        request: &MountRequest,
        metadata: &Metadata,
        settings: &VolumeSettings,
        mount_point: &Path,
        (behind, uploads): (Arc<dyn ObjectStore>, Arc<dyn ObjectStore>),
    ) -> Outcome<Self> {
        let volume_folder = volume_folder(request, settings)?;
        let place = Place::claim(&volume_folder)?;
        let host = Here::look()?.name().to_owned();
        let note = Note {
            metadata: metadata.clone(),
            volume: settings.uuid.clone(),
            number: place::number(&host, place.path()),
            host,
            path: place.path().to_string_lossy().into_owned(),
            mount_point: mount_point.to_string_lossy().into_owned(),
        };
        let of_metadata = |error| Failure::of_metadata(&request.meta_url, &error);
        let content = content(place.path())?;
        note.write(content, Durability::Durable).map_err(of_metadata)?;
        for other in Place::left_behind(&volume_folder)? {
            place.take_over(&other)?;
            note.take_over(place::number(&note.host, other.path())).map_err(of_metadata)?;
        }
        let failed = |error| Failure::of_objects(place.path().display(), &error);
        let disk = Arc::new(FsStore::open(&place.objects()).map_err(failed)?);
        let bytes_max = if request.writeback { request.writeback_size.0 } else { 0 };
        let store = Arc::new(StagedStore::start(disk, behind, uploads, bytes_max).map_err(failed)?);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let no_thread = |error| Failure::of_io(Path::new("threads"), "starting one for write-back", &error);
        let keeper = Arc::new(Keeper { store, note, runtime: runtime.map_err(no_thread)? });
        let (alive, ended) = sync_channel(0);
        let thread = std::thread::Builder::new().name("writeback-note".into());
        let kept = keeper.clone();
        let work = move || {
            let mut known = content;
            loop {
                known = kept.round(known);
                if ended.recv_timeout(LOOK_INTERVAL) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        let thread = thread.spawn(work).map_err(no_thread)?;
        Ok(Writeback { keeper, place, alive: Some(alive), thread: Some(thread) })
    }

    pub fn store(&self) -> Arc<dyn ObjectStore> {
        self.keeper.store.clone()
    }

    pub fn folder(&self) -> &Path {
        self.place.path()
    }

    /// Uploads everything. Tells what can't be, because the store doesn't take it: it stays for the next mount.
    pub fn drain(mut self) -> Outcome<()> {
        let store = &self.keeper.store;
        store.stage_no_more();
        let left = store.left();
        if left.objects > 0 {
            tracing::info!(objects = left.objects, bytes = left.bytes, "uploading what is in the write-back folder");
        }
        let left = store.drain(PATIENCE);
        self.end_thread();
        if left.objects == 0 {
            match self.keeper.forget() {
                Ok(true) => tracing::info!("everything is uploaded"),
                // The next mount does it.
                Ok(false) => {
                    tracing::warn!("the write-back folder could not be forgotten: deletions wait for the store")
                }
                Err(error) => tracing::warn!(%error, "the write-back folder could not be forgotten"),
            }
            return Ok(());
        }
        let what = format!("{} ({})", count(left.objects, "object", "objects"), ByteCount(left.bytes));
        let why = left.error.unwrap_or_else(|| "the store takes too long".into());
        Err(Failure::new(
            Exit::Unreachable,
            self.place.path().display(),
            format_args!("{what} are not uploaded yet: {why}"),
            "they are safe there; mount the volume on this host again when the store can be reached",
        ))
    }

    fn end_thread(&mut self) {
        drop(self.alive.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that keeps the note of the write-back folder panicked");
        }
    }
}

impl Drop for Writeback {
    fn drop(&mut self) {
        self.end_thread();
    }
}

impl Note {
    fn write(&self, content: Content, durability: Durability) -> MetaResult<()> {
        let Note { host, path, mount_point, .. } = self;
        self.metadata.note_writeback_folder(
            self.number,
            &WritebackFolder {
                host: host.clone(),
                path: path.clone(),
                mount_point: mount_point.clone(),
                objects: content.objects,
                bytes: content.bytes,
                noted: clock::now(),
            },
            durability,
        )
    }

    /// What is known of another folder, whose objects are here now, becomes what is known of this one.
    fn take_over(&self, other: u64) -> MetaResult<()> {
        self.metadata.merge_writeback_folder(other, self.number)
    }
}

struct Keeper {
    store: Arc<StagedStore>,
    note: Note,
    runtime: Runtime,
}

impl Keeper {
    /// Gives what is noted now.
    fn round(&self, known: Content) -> Content {
        let left = self.store.left();
        let content = Content { objects: left.objects, bytes: left.bytes };
        let noted = if content == known { Ok(()) } else { self.note.write(content, Durability::Visible) };
        match noted.and_then(|()| self.delete()) {
            Ok(()) => content,
            Err(error) => {
                tracing::warn!(%error, "the note of the write-back folder can't be kept up to date");
                known
            }
        }
    }

    /// The folder is empty. Whether nothing waits for it any more.
    fn forget(&self) -> MetaResult<bool> {
        for _ in 0..FORGET_TRIES_MAX {
            self.delete()?;
            if self.note.metadata.forget_writeback_folder(self.note.number)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What others have deleted.
    fn delete(&self) -> MetaResult<()> {
        let objects = self.note.metadata.deleted_in_writeback(self.note.number)?;
        let mut gone = Vec::new();
        for object in objects {
            let key = naming::object_key(&self.note.volume, object);
            match self.runtime.block_on(self.store.delete(&key)) {
                Ok(()) | Err(StoreError::NotFound(_)) => gone.push(object),
                Err(error) => tracing::warn!(%error, key, "a deleted object is tried again later"),
            }
        }
        match gone.is_empty() {
            true => Ok(()),
            false => self.note.metadata.forget_deleted_in_writeback(self.note.number, &gone),
        }
    }
}

const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// With a store that fails, at the end.
const PATIENCE: Duration = Duration::from_secs(30);
/// Others may delete something each time.
const FORGET_TRIES_MAX: u32 = 10;
