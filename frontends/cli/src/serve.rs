//! The life of a mount, from its orders to its end: everything is opened in turn, served, and put away in reverse.
//!
//! It ends when somebody unmounts, or on SIGTERM or SIGINT. What fails on the way is undone; a mount whose last writes
//! could not be stored says so in its state file, for `shoal umount` to tell.

use crate::backup::{self, Backups};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, chain};
use crate::mount_request::{AccessTimeOption, MountRequest};
use crate::places;
use crate::process::ProcessIdentity;
use crate::sessions::Here;
use crate::signals::{self, Caught};
use crate::state_file::MountState;
use crate::storage::Storage;
use crate::verify_cache::VerifyCache;
use crate::volume::{self, Opened};
use crate::writeback::{self, Writeback};
use rustix::fs::Mode;
use rustix::process::{Resource, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use shoal_cache::{CacheConfig, CacheFolder};
use shoal_client::{AccessTimes, Config, KernelTimeouts, StartError, Volume};
use shoal_fuse::{MountError, MountOptions, Mounted, ServiceOptions, Stopper, UnmountError};
use shoal_object_store::{
    AdaptiveStore, CountedStore, FaultyStore, HedgedStore, LimitedStore, ObjectStore, Rates, RetryingStore,
    StoreCounters,
};
use shoal_types::{Errno, FsResult, Ino, VolumeSettings};
use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

/// A mount that serves, for whoever started it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Serving {
    /// Its name.
    pub volume: String,
    /// Absolute and free of symbolic links.
    pub mount_point: PathBuf,
    pub storage: String,
    pub caches: Vec<PathBuf>,
    /// Where objects wait to be uploaded.
    pub writeback: Option<PathBuf>,
    pub log_file: Option<PathBuf>,
}

/// Why a mount ends.
enum Event {
    /// Unmounted, and its last file closed; an error if a shard gave up before.
    Unmounted(std::io::Result<()>),
    Signal(i32),
}

/// Serves until the end. `into_log` is there for a daemon: it turns everything that is said into this file.
pub fn run(
    request: &MountRequest,
    into_log: Option<fn(&MountRequest, &Path) -> Outcome<()>>,
    ready: impl FnOnce(&Serving),
) -> Outcome<()> {
    let caught = signals::catch(into_log.is_some())
        .map_err(|error| Failure::of_io(Path::new("signals"), "catching them", &error))?;
    // Nothing that is made from here on is for other users to read.
    rustix::process::umask(Mode::from_raw_mode(0o077));
    let opened = volume::open_unlocked(&request.meta_url, request.key.as_ref())?;
    let storage = storage_of(request, &opened)?;
    // Whether they are this volume's objects is asked on a connection of its own.
    drop(storage.open()?);
    let mount_point = shoal_fuse::check_mount_point(&request.mount_point).map_err(explain_mount)?;
    let log_file = match into_log {
        Some(into_log) => Some(start_log(request, &opened.settings, into_log)?),
        None => request.log_file.clone(),
    };
    raise_open_files();
    let mut serving = Serving {
        volume: opened.settings.name.clone(),
        mount_point,
        storage: storage.to_string(),
        caches: cache_folders(request, &opened.settings),
        writeback: None,
        log_file,
    };
    let counters = Arc::new(StoreCounters::default());
    let mut store = layered(request, &storage, &counters)?;
    let writeback = match writeback::is_wanted(request, &opened.settings) {
        true => {
            let stores = (store.clone(), layered(request, &storage, &counters)?);
            Some(Writeback::start(request, &opened.metadata, &opened.settings, &serving.mount_point, stores)?)
        }
        false => None,
    };
    if let Some(writeback) = &writeback {
        store = writeback.store();
        serving.writeback = Some(writeback.folder().to_owned());
    }
    // With connections of its own: they live on the threads that opened them.
    let backups = match request.backup_meta {
        Some(interval) => {
            let (metadata, settings, sealer) =
                (opened.metadata.clone(), opened.settings.clone(), opened.sealer.clone());
            Some((interval, metadata, settings, sealer, layered(request, &storage, &counters)?))
        }
        None => None,
    };
    let config = config(request, opened, store, &serving)?;
    tracing::info!(volume = serving.volume, mount_point = %serving.mount_point.display(), "starting");
    let volume = Volume::start(config).map_err(|error| explain_start(request, &error))?;
    let backups = backups.map(|(interval, metadata, settings, sealer, store)| {
        Backups::start(backup::Source { metadata, settings, sealer, store, session: volume.session() }, interval.0)
    });
    let served = backups.transpose().and_then(|backups| {
        let served = mount(request, &volume, &serving, caught, ready);
        // Before the session ends, whose turn it may be.
        drop(backups);
        served
    });
    let uploaded = match writeback {
        Some(writeback) if served.is_ok() => {
            if let Err(error) = volume.flush_all() {
                tracing::warn!(%error, "storing what is buffered; it will be tried once more");
            }
            writeback.drain()
        }
        _ => Ok(()),
    };
    let stored = volume.stop();
    put_away(request, &serving, served, stored, uploaded)
}

fn start_log(
    request: &MountRequest,
    settings: &VolumeSettings,
    into_log: fn(&MountRequest, &Path) -> Outcome<()>,
) -> Outcome<PathBuf> {
    let path = match &request.log_file {
        Some(path) => path.clone(),
        // Two volumes may have one name, and their numbers differ from the beginning.
        None => places::log_folder()?.join(format!("{}-{:.8}.log", settings.name, settings.uuid)),
    };
    into_log(request, &path)?;
    Ok(path)
}

/// Each shard, cache file and object in flight holds descriptors; the usual soft limit of 1,024 is for programs that
/// call select.
fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "raising the limit of open files");
    }
}

/// The folders of this volume's cached content. Going without costs time and nothing else, so one that can't be made is
/// left for the cache to find missing.
fn cache_folders(request: &MountRequest, settings: &VolumeSettings) -> Vec<PathBuf> {
    let folders = match (request.no_cache, &request.cache_dirs[..]) {
        (true, _) => Vec::new(),
        (false, []) => {
            let folder = places::cache_folder();
            folder.inspect_err(|failure| tracing::warn!("there is no local cache: {failure}")).into_iter().collect()
        }
        (false, folders) => folders.to_vec(),
    };
    let folders: Vec<PathBuf> = folders.into_iter().map(|folder| folder.join(&settings.uuid)).collect();
    for folder in &folders {
        // It holds the bytes of everybody's files.
        if let Err(error) = DirBuilder::new().recursive(true).mode(0o700).create(folder) {
            tracing::warn!(%error, folder = %folder.display(), "making a cache folder");
        }
    }
    folders
}

fn storage_of(request: &MountRequest, opened: &Opened) -> Outcome<Storage> {
    let storage = match &request.storage {
        Some(place) => Storage::elsewhere(opened, place)?,
        None => Storage::of(opened)?,
    };
    if storage.is_read_only() && !request.read_only {
        let why = "nothing can be put there";
        return Err(Failure::new(Exit::Usage, &storage, why, "mount with --read-only, or name another --storage"));
    }
    Ok(storage)
}

/// All that a mount's uploads, downloads and deletions may have under way.
const REQUESTS_AT_ONCE_MAX: usize = 64;

/// The store with what a mount wants around it, from the inside out.
fn layered(request: &MountRequest, storage: &Storage, counters: &Arc<StoreCounters>) -> Outcome<Arc<dyn ObjectStore>> {
    let mut store = storage.lasting_store()?;
    if request.fault_rate > 0.0 {
        store = Arc::new(FaultyStore::new(store, request.fault_rate, request.fault_seed));
    }
    store = Arc::new(CountedStore::new(store, counters.clone()));
    store = match storage.is_folder() {
        // What the kernel does for us can't be given up, and a second time it is no faster.
        true => Arc::new(RetryingStore::new(store).with_try_time(None)),
        false => {
            let hedged = Arc::new(HedgedStore::new(store));
            Arc::new(RetryingStore::new(Arc::new(AdaptiveStore::new(hedged, REQUESTS_AT_ONCE_MAX))))
        }
    };
    let rates = Rates {
        bytes_up: request.upload_limit.map(|limit| limit.0),
        bytes_down: request.download_limit.map(|limit| limit.0),
        requests: request.request_limit,
    };
    match rates == Rates::default() {
        true => Ok(store),
        false => Ok(Arc::new(LimitedStore::new(store, rates))),
    }
}

fn config(request: &MountRequest, opened: Opened, store: Arc<dyn ObjectStore>, serving: &Serving) -> Outcome<Config> {
    let Opened { kv, settings, sealer, .. } = opened;
    // The cache adds the volume's name itself.
    let paths = serving.caches.iter().filter_map(|folder| folder.parent());
    let folders: Vec<_> = paths
        .zip(request.cache_sizes.iter().cycle())
        .map(|(path, size)| CacheFolder { path: path.to_owned(), bytes_max: size.0 })
        .collect();
    let encrypt = match (request.encrypt_cache, &sealer) {
        (false, _) => None,
        (true, Some(sealer)) => Some(sealer.clone()),
        (true, None) => {
            let why = format!("the volume {} is not encrypted, and so there is no key for its cache", settings.name);
            return Err(Failure::new(
                Exit::Usage,
                "--encrypt-cache",
                why,
                "leave it out, or put the cache on an encrypted disk",
            ));
        }
    };
    let cache = (!folders.is_empty()).then(|| CacheConfig {
        folders,
        free_space_min: request.cache_free_ratio,
        verify_always: request.verify_cache == VerifyCache::Always,
        encrypt,
        mount: serving.mount_point.to_string_lossy().into_owned(),
    });
    Ok(Config {
        kv,
        store,
        settings,
        sealer,
        session: Here::look()?.mount_record(&serving.mount_point, request.consistency),
        shards: request.shards.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)),
        pin: request.transport.pins_shards(),
        cache,
        write_buffer_bytes: request.write_buffer.0,
        read_buffer_bytes: request.read_buffer.0,
        readahead_bytes_max: request.max_readahead.0,
        access_times: match request.access_times {
            AccessTimeOption::Relatime => AccessTimes::Relative,
            AccessTimeOption::Noatime => AccessTimes::Never,
            AccessTimeOption::Strictatime => AccessTimes::Always,
        },
        timeouts: KernelTimeouts { attributes: request.attr_timeout.0, entries: request.entry_timeout.0 },
        holds_inodes: true,
    })
}

/// Mounts and serves until nobody is served any more.
fn mount(
    request: &MountRequest,
    volume: &Volume,
    serving: &Serving,
    caught: Caught,
    ready: impl FnOnce(&Serving),
) -> Outcome<()> {
    let root = match &request.subdir {
        Some(path) => shoal_fuse::resolve_blocking(volume, path).map_err(|errno| explain_subdir(path, errno))?,
        None => Ino::ROOT,
    };
    let mut options = MountOptions::new(&serving.volume);
    options.read_only = request.read_only;
    options.allow_other = request.allow_other;
    options.default_permissions = request.squash().kernel_may_check();
    options.protocol.writeback_cache = request.writeback_cache;
    options.rings = request.transport.rings();
    // With lists the kernel checks permissions by the ids it knows; whose ids are not believed is checked by modes alone.
    let posix_acl = request.acl && request.xattr && !request.squash().is_on();
    options.protocol.posix_acl = posix_acl;
    options.protocol.idmapped = request.allow_idmap;
    // Dropped on any failure from here on, which unmounts.
    let mounted = shoal_fuse::mount(&serving.mount_point, &options).map_err(explain_mount)?;
    request.restrictions.apply(&serving.mount_point, request.read_only)?;
    state(request, serving)?.write()?;
    let MountRequest { read_only, writeback_cache, xattr, directory_access_times, .. } = *request;
    let squash = request.squash();
    let options = ServiceOptions { root, read_only, writeback_cache, xattr, posix_acl, directory_access_times, squash };
    let loops = shoal_fuse::serve_volume(volume, &mounted, options)
        .map_err(|error| Failure::of_io(&serving.mount_point, "serving it", &error))?;
    let stopper = loops.stopper();
    let (sender, events) = mpsc::channel();
    let on_signal = {
        let sender = sender.clone();
        // The receiver is gone at the very end only, when no signal means anything any more.
        move |signal| drop(sender.send(Event::Signal(signal)))
    };
    let started = caught.listen(on_signal).and_then(|listening| {
        let wait = move || drop(sender.send(Event::Unmounted(loops.wait())));
        std::thread::Builder::new().name("unmounted".into()).spawn(wait)?;
        Ok(listening)
    });
    let listening =
        started.map_err(|error| Failure::of_io(&serving.mount_point, "starting a thread to watch it", &error))?;
    tracing::info!("serving");
    ready(serving);
    attend(volume, &mounted, &stopper, &events);
    drop(listening);
    Ok(())
}

/// Until the loops have ended, by themselves or because a signal came.
fn attend(volume: &Volume, mounted: &Mounted, stopper: &Stopper, events: &mpsc::Receiver<Event>) {
    let mut ending = false;
    while let Ok(event) = events.recv() {
        match event {
            Event::Unmounted(result) => {
                match result {
                    Ok(()) => tracing::info!("unmounted"),
                    Err(error) => tracing::error!(%error, "the mount was no longer served"),
                }
                mounted.ended();
                return;
            }
            Event::Signal(signal) if ending => tracing::info!(signal, "ending already"),
            Event::Signal(signal) => {
                tracing::info!(signal, "ending");
                ending = true;
                end(volume, mounted, stopper);
            }
        }
    }
}

/// Stores what is buffered, then unmounts; where files are open the mount goes all the same, and they with it.
fn end(volume: &Volume, mounted: &Mounted, stopper: &Stopper) {
    // What programs have changed in mapped memory is still the kernel's.
    let synced = File::open(mounted.mount_point()).and_then(|root| Ok(rustix::fs::syncfs(root)?));
    if let Err(error) = synced {
        tracing::warn!(%error, "writing back what the kernel has buffered");
    }
    if let Err(error) = volume.flush_all() {
        tracing::warn!(%error, "storing what is buffered; it will be tried once more");
    }
    match mounted.unmount(false) {
        // The loops end by themselves.
        Ok(()) => return,
        Err(UnmountError::Busy(_)) => {
            tracing::warn!("files are open on the mount; what is done to them from now on fails");
            if let Err(error) = mounted.unmount(true) {
                tracing::warn!(error = chain(&error), "unmounting lazily");
            }
        }
        Err(error) => tracing::warn!(error = chain(&error), "unmounting"),
    }
    stopper.stop();
}

/// The end told to whoever asks: nothing is left of a mount that ended well.
fn put_away(
    request: &MountRequest,
    serving: &Serving,
    served: Outcome<()>,
    stored: FsResult<()>,
    uploaded: Outcome<()>,
) -> Outcome<()> {
    let Err(errno) = stored else {
        if let Err(failure) = uploaded {
            if is_own_place(serving)? {
                MountState { failure: Some(failure.to_string()), ..state(request, serving)? }.write()?;
            }
            return served.and(Err(failure));
        }
        tracing::info!("everything is stored; the session has ended");
        if is_own_place(serving)? {
            MountState::remove(&serving.mount_point)?;
        }
        return served;
    };
    // Without a mount there was nobody who could have written.
    served?;
    let why = format!("what was written last could not be stored and is lost ({errno})");
    if is_own_place(serving)? {
        MountState { failure: Some(why.clone()), ..state(request, serving)? }.write()?;
    }
    let log = serving.log_file.as_deref().map_or_else(|| "the messages above".into(), Path::to_string_lossy);
    Err(Failure::new(Exit::Other, serving.mount_point.display(), why, format_args!("look at {log}")))
}

/// After a lazy unmount another daemon may serve the same mount point, and then the state file is that one's.
fn is_own_place(serving: &Serving) -> Outcome<bool> {
    let found = MountState::find(&serving.mount_point)?;
    Ok(found.is_none_or(|state| state.process.pid == std::process::id()))
}

fn state(request: &MountRequest, serving: &Serving) -> Outcome<MountState> {
    let process = ProcessIdentity::of_self();
    Ok(MountState {
        process: process.map_err(|error| Failure::of_io(Path::new("/proc/self"), "reading about oneself", &error))?,
        meta_url: request.meta_url.clone(),
        volume: serving.volume.clone(),
        mount_point: serving.mount_point.clone(),
        subdir: request.subdir.clone(),
        log_file: serving.log_file.clone(),
        writeback: serving.writeback.clone(),
        failure: None,
    })
}

fn explain_start(request: &MountRequest, error: &StartError) -> Failure {
    match error {
        StartError::Session(source) => Failure::of_metadata(&request.meta_url, source),
        StartError::Threads(source) => Failure::new(
            Exit::Other,
            "threads",
            chain(source),
            "raise the limits of this user (ulimit -a), or lower --shards",
        ),
    }
}

fn explain_subdir(path: &Path, errno: Errno) -> Failure {
    let (exit, cure) = match errno {
        Errno::ENOENT => (Exit::NotFound, "mount the volume without --subdir and make the folder first"),
        Errno::ENOTDIR => (Exit::NotFound, "name a folder; symbolic links are not followed"),
        Errno::EINVAL | Errno::ENAMETOOLONG => (Exit::Usage, "name a folder by its path from the volume's root"),
        _ => (Exit::Other, "look at the volume with shoal status"),
    };
    Failure::new(exit, format_args!("--subdir {}", path.display()), errno, cure)
}

fn explain_mount(error: MountError) -> Failure {
    let exit = match &error {
        MountError::Missing(_) | MountError::NotADirectory(_) => Exit::NotFound,
        MountError::AlreadyMounted { .. } | MountError::DeadForeign { .. } | MountError::DeadMount { .. } => {
            Exit::InUse
        }
        MountError::DeviceDenied(_)
        | MountError::CapabilityMissing(_)
        | MountError::AllowOtherDenied
        | MountError::RingsNotAllowed(_) => Exit::Permission,
        MountError::Unreachable { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            Exit::Permission
        }
        _ => Exit::Other,
    };
    Failure::told(exit, chain(&error))
}
