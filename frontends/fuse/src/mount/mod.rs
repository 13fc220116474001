//! Mounting and unmounting: by mount(2) with the right to, otherwise through `fusermount3`.
//!
//! `mount` returns once the kernel and we have shaken hands; from then on clients may call, and wait until the shards
//! serve. Everything here blocks the calling thread, which must not be a shard's.

mod direct;
mod error;
mod helper;
mod mount_table;
mod prepare;
mod readahead;
mod rings;

pub use error::{MountError, UnmountError};
pub use mount_table::{MountEntry, find_mount, mounts_below};
pub use rings::RingUse;

use crate::connection::Connection;
use crate::handshake::answer_init;
use crate::interrupts::Interrupts;
use crate::notifier::Notifier;
use shoal_fuse_protocol::{Config, Negotiated};
use shoal_runtime::RingFile;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How a volume is shown to this machine. Time-outs and subdirectories are the service's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MountOptions {
    /// Shown as `shoal:NAME` in the mount table.
    pub volume_name: String,
    pub read_only: bool,
    /// Users other than the one who mounts may use it.
    pub allow_other: bool,
    /// The kernel checks permission bits, and the service need not.
    pub default_permissions: bool,
    pub rings: RingUse,
    /// `over_io_uring` is set by what `rings` says and the machine allows, `passthrough` for read-only mounts.
    pub protocol: Config,
}

impl MountOptions {
    pub fn new(volume_name: impl Into<String>) -> Self {
        MountOptions {
            volume_name: volume_name.into(),
            read_only: false,
            allow_other: false,
            default_permissions: true,
            rings: RingUse::default(),
            protocol: Config { max_pages_limit: max_pages_limit(), ..Config::default() },
        }
    }

    fn source(&self) -> String {
        format!("{SOURCE_PREFIX}{}", self.volume_name)
    }
}

/// A live mount. Dropping it unmounts lazily.
pub struct Mounted {
    device: RingFile,
    mount_point: PathBuf,
    negotiated: Negotiated,
    interrupts: Arc<Interrupts>,
    over: AtomicBool,
}

/// The file system type in the mount table, and the part of it that names us.
const KIND: &str = "fuse.shoal";
const SUBTYPE: &str = "shoal";
const SOURCE_PREFIX: &str = "shoal:";
const MAX_PAGES_LIMIT_PATH: &str = "/proc/sys/fs/fuse/max_pages_limit";
const MAX_PAGES_LIMIT_DEFAULT: u32 = 256;

/// Whether there is a place to mount on, with the true path of it; cleans away what a dead daemon of ours left there.
/// For callers with much to do before they mount, which looks once more.
pub fn check_mount_point(mount_point: &Path) -> Result<PathBuf, MountError> {
    prepare::mount_point(mount_point)
}

/// Mounts on an existing directory. What a dead daemon of ours left mounted there is cleaned away first.
pub fn mount(mount_point: &Path, options: &MountOptions) -> Result<Mounted, MountError> {
    let mount_point = prepare::mount_point(mount_point)?;
    let over_io_uring = rings::ask_for(options.rings)?;
    let protocol = Config { over_io_uring, passthrough: options.read_only, ..options.protocol };
    let device = if rustix::process::geteuid().is_root() {
        direct::mount(&mount_point, options)?
    } else {
        helper::mount(&mount_point, options)?
    };
    let negotiated = match answer_init(&device, &protocol) {
        Ok(negotiated) => negotiated,
        Err(source) => {
            if let Err(error) = unmount(&mount_point, true) {
                tracing::warn!(%error, "cleaning up after a failed mount");
            }
            return Err(MountError::Handshake { path: mount_point, source });
        }
    };
    readahead::raise(&mount_point, options.protocol.max_readahead);
    let mounted = Mounted::new(device, mount_point, negotiated);
    // Dropped on an error, which unmounts.
    if options.rings == RingUse::Always && !negotiated.over_io_uring {
        return Err(MountError::NoRings);
    }
    if options.protocol.idmapped && !negotiated.idmapped {
        return Err(MountError::NoIdmap);
    }
    Ok(mounted)
}

/// Unmounts. Without `lazily` it fails while files are open; with it the mount disappears from sight at once, and its
/// daemon goes on until the last file is closed.
pub fn unmount(mount_point: &Path, lazily: bool) -> Result<(), UnmountError> {
    if rustix::process::geteuid().is_root() {
        direct::unmount(mount_point, lazily)
    } else {
        helper::unmount(mount_point, lazily)
    }
}

impl Mounted {
    fn new(device: OwnedFd, mount_point: PathBuf, negotiated: Negotiated) -> Self {
        let device = Arc::new(device);
        Mounted { device, mount_point, negotiated, interrupts: Arc::default(), over: AtomicBool::new(false) }
    }

    pub fn mount_point(&self) -> &Path {
        &self.mount_point
    }

    pub fn negotiated(&self) -> &Negotiated {
        &self.negotiated
    }

    /// One a shard; they share the requests. With rings, the kernel answers nobody before each of them is served.
    pub fn connections(&self, shards: usize) -> io::Result<Vec<Connection>> {
        Connection::for_shards(&self.device, &self.negotiated, shards)
    }

    pub(crate) fn device(&self) -> RingFile {
        self.device.clone()
    }

    pub fn notifier(&self) -> Notifier {
        Notifier::new(self.device.clone(), &self.negotiated)
    }

    /// What all shards of this mount pass to `serve`.
    pub fn interrupts(&self) -> Arc<Interrupts> {
        self.interrupts.clone()
    }

    /// As the function of the same name. The shards' loops end when the last file is closed.
    pub fn unmount(&self, lazily: bool) -> Result<(), UnmountError> {
        unmount(&self.mount_point, lazily)?;
        self.over.store(true, Ordering::Release);
        Ok(())
    }

    /// To be called when the loops have ended because somebody else unmounted: there is nothing left to clean up, and
    /// what is mounted there later is none of ours.
    pub fn ended(&self) {
        self.over.store(true, Ordering::Release);
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if self.over.load(Ordering::Acquire) {
            return;
        }
        if let Err(error) = unmount(&self.mount_point, true) {
            tracing::warn!(%error, "unmounting at the end");
        }
    }
}

/// Pages that one request may have on this machine.
fn max_pages_limit() -> u32 {
    let text = std::fs::read_to_string(MAX_PAGES_LIMIT_PATH);
    text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(MAX_PAGES_LIMIT_DEFAULT)
}
