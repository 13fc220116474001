//! A volume in a temporary folder, mounted by this very process.

use shoal_client::{AccessTimes, Config, KernelTimeouts, Volume};
use shoal_fuse::{MountOptions, Mounted, ServiceOptions, Serving, mount, resolve_blocking, serve_volume};
use shoal_kv_sqlite::SqliteKv;
use shoal_metadata::{Metadata, SessionKind, SessionRecord};
use shoal_object_store::{FsStore, ObjectStore};
use shoal_types::{Compression, Consistency, FsResult, Ino, SCHEMA_VERSION, Timestamp, VolumeSettings};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// What outlives a mount: the database, the objects, and the folder to mount on.
pub struct Disk {
    folder: TempDir,
}

pub struct Mount {
    /// `Some` until it's stopped.
    running: Option<(Volume, Mounted, Serving)>,
    mount_point: PathBuf,
}

#[derive(Clone, Copy)]
pub struct How<'a> {
    pub subdirectory: &'a str,
    pub read_only: bool,
    pub timeouts: Duration,
}

impl Default for How<'_> {
    fn default() -> Self {
        How { subdirectory: "/", read_only: false, timeouts: Duration::from_secs(1) }
    }
}

const SHARDS: usize = 2;
const MIB: u64 = 1 << 20;

impl Disk {
    pub fn new() -> Disk {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("mount")).unwrap();
        let kv = SqliteKv::open(&folder.path().join("metadata"), true).unwrap();
        let settings = VolumeSettings {
            schema: SCHEMA_VERSION,
            name: "test".to_owned(),
            uuid: "00000000-0000-4000-8000-000000000000".to_owned(),
            storage: format!("file://{}", folder.path().join("objects").display()),
            block_bytes: 4 << 20,
            inline_bytes_max: 4096,
            staging: Default::default(),
            delete_grace_seconds: 0,
            compression: Compression::None,
            cipher: None,
            also_encrypted: Default::default(),
        };
        let owner = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Metadata::format(&*kv, &settings, owner, now()).unwrap();
        shoal_kv::Kv::close(&*kv).unwrap();
        Disk { folder }
    }

    pub fn mount(&self) -> Mount {
        self.mount_as(How::default()).unwrap()
    }

    /// `wrap` gets the store that the volume would use, and gives the one that it does use.
    pub fn mount_with_store(&self, wrap: impl FnOnce(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore>) -> Mount {
        let volume = self.start(How::default(), wrap);
        self.serve(volume, Ino::ROOT, false)
    }

    pub fn mount_as(&self, how: How<'_>) -> FsResult<Mount> {
        let volume = self.start(how, |store| store);
        let root = match resolve_blocking(&volume, Path::new(how.subdirectory)) {
            Ok(root) => root,
            Err(errno) => {
                volume.stop().unwrap();
                return Err(errno);
            }
        };
        Ok(self.serve(volume, root, how.read_only))
    }

    fn start(&self, how: How<'_>, wrap: impl FnOnce(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore>) -> Volume {
        let kv: Arc<dyn shoal_kv::Kv> = SqliteKv::open(&self.folder.path().join("metadata"), false).unwrap();
        let settings = Metadata::find(&*kv).unwrap().unwrap();
        let session = SessionRecord {
            host: "here".to_owned(),
            boot: "this one".to_owned(),
            pid: std::process::id(),
            started: now(),
            mount_point: self.mount_point().display().to_string(),
            kind: SessionKind::Mount,
            consistency: Consistency::default(),
        };
        let config = Config {
            kv,
            store: wrap(Arc::new(FsStore::open(&self.folder.path().join("objects")).unwrap())),
            settings,
            sealer: None,
            session,
            shards: SHARDS,
            pin: false,
            cache: None,
            write_buffer_bytes: 32 * MIB,
            read_buffer_bytes: 32 * MIB,
            readahead_bytes_max: 4 * MIB,
            access_times: AccessTimes::default(),
            timeouts: KernelTimeouts { attributes: how.timeouts, entries: how.timeouts },
            holds_inodes: true,
        };
        Volume::start(config).unwrap()
    }

    fn serve(&self, volume: Volume, root: Ino, read_only: bool) -> Mount {
        let mount_point = self.mount_point();
        let options = MountOptions { read_only, rings: crate::RINGS, ..MountOptions::new("test") };
        let mounted = mount(&mount_point, &options).unwrap();
        let serving =
            serve_volume(&volume, &mounted, ServiceOptions { root, read_only, ..ServiceOptions::default() }).unwrap();
        Mount { running: Some((volume, mounted, serving)), mount_point }
    }

    fn mount_point(&self) -> PathBuf {
        self.folder.path().join("mount")
    }
}

impl Mount {
    pub fn path(&self, name: &str) -> PathBuf {
        self.mount_point.join(name)
    }

    pub fn root(&self) -> &Path {
        &self.mount_point
    }

    /// Everything opened on it has been closed.
    pub fn unmount(mut self) {
        let (volume, mounted, serving) = self.running.take().unwrap();
        mounted.unmount(false).unwrap();
        serving.wait().unwrap();
        volume.stop().unwrap();
    }
}

impl Drop for Mount {
    /// After a failed test: the mount must not outlive it. The volume's threads are left to the end of the process.
    fn drop(&mut self) {
        if let Some((_, mounted, _)) = self.running.take() {
            drop(mounted);
        }
    }
}

/// Bytes that differ from block to block and from seed to seed.
pub fn pattern(seed: u32, bytes: usize) -> Vec<u8> {
    (0..bytes as u32).map(|index| (index.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

pub fn errno<T>(result: std::io::Result<T>) -> Option<rustix::io::Errno> {
    result.err().and_then(|error| rustix::io::Errno::from_io_error(&error))
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::new(since.as_secs() as i64, since.subsec_nanos())
}
