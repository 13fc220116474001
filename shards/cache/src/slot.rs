//! The place of one mount in one cache folder: a slot that no other mount uses, and the parts of the mount's shards.
//!
//! `<cache folder>/<volume uuid>/<slot number>/`, locked by flock on the file `lock` in it, which tells the mount's name. A
//! mount takes the slot that it had the last time, or else the first that is free: what is cached there is right for
//! every mount of the volume.

use crate::janitor::Janitor;
use crate::limits::SLOTS_MAX;
use rustix::fs::{FlockOperation, flock};
use shoal_encryption::VolumeSealer;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

#[derive(Clone, Debug)]
pub struct CacheConfig {
    /// Each holds the files that fall to it; at least one.
    pub folders: Vec<CacheFolder>,
    /// The part of each folder's disk, 0 to 1, that is to stay free; while less is free, blocks are evicted.
    pub free_space_min: f64,
    /// Check the checksums of cached bytes at every read, and not only at the first one after a restart.
    pub verify_always: bool,
    /// Of an encrypted volume: nothing is stored in the clear. Reads take whole units then.
    pub encrypt: Option<VolumeSealer>,
    /// What the mount is called, so that it finds again what it left among what others left.
    pub mount: String,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CacheFolder {
    pub path: PathBuf,
    /// Bytes on disk, shared by the shards.
    pub bytes_max: u64,
}

pub(crate) struct Shared {
    pub slot: PathBuf,
    /// Its lock is what keeps others out of the slot; also names the disk.
    pub lock: File,
    /// Which of the cache's folders it is in, and how many there are.
    pub folder: usize,
    pub folders: usize,
    pub shards: usize,
    /// What all parts may take together, and what each may always take.
    pub bytes_max: u64,
    pub share_bytes: u64,
    /// Bytes on disk, of all parts.
    pub usage: AtomicU64,
    /// What a part lacks that has less than its share, because others have more than theirs.
    pub lacking: AtomicU64,
    pub free_space_min: f64,
    /// The log has been told that less is free.
    pub short_of_space: AtomicBool,
    pub verify_always: bool,
    pub encrypt: Option<VolumeSealer>,
    pub janitor: Janitor,
}

impl Shared {
    pub fn open(config: &CacheConfig, folder: usize, volume_uuid: &str, shards: usize) -> io::Result<Arc<Self>> {
        let CacheFolder { path, bytes_max } = config.folders[folder].clone();
        let (slot, lock) = take_slot(&path.join(volume_uuid), &config.mount)?;
        Ok(Arc::new(Shared {
            slot,
            lock,
            folder,
            folders: config.folders.len(),
            shards,
            bytes_max,
            share_bytes: bytes_max / shards as u64,
            usage: AtomicU64::new(0),
            lacking: AtomicU64::new(0),
            free_space_min: config.free_space_min,
            short_of_space: AtomicBool::new(false),
            verify_always: config.verify_always,
            encrypt: config.encrypt.clone(),
            janitor: Janitor::start()?,
        }))
    }

    pub fn encrypts(&self) -> bool {
        self.encrypt.is_some()
    }
}

fn take_slot(volume: &Path, mount: &str) -> io::Result<(PathBuf, File)> {
    let mut known = slots(volume).map_while(|slot| std::fs::read(slot.join("lock")).ok().map(|name| (slot, name)));
    if let Some((own, _)) = known.find(|(_, name)| name == mount.as_bytes())
        && let Some(lock) = lock_slot(&own)?
    {
        return Ok((own, lock));
    }
    for slot in slots(volume) {
        std::fs::create_dir_all(&slot)?;
        if let Some(lock) = lock_slot(&slot)? {
            if let Err(error) = lock.set_len(0).and_then(|()| lock.write_all_at(mount.as_bytes(), 0)) {
                // On a full disk it is of use all the same.
                tracing::debug!(%error, slot = %slot.display(), "the slot can't be given its mount's name");
            }
            return Ok((slot, lock));
        }
    }
    Err(io::Error::other("every slot of the cache folder is in use"))
}

fn slots(volume: &Path) -> impl Iterator<Item = PathBuf> {
    (0..SLOTS_MAX).map(|number| volume.join(number.to_string()))
}

/// `None` while another mount has it.
fn lock_slot(slot: &Path) -> io::Result<Option<File>> {
    let lock = OpenOptions::new().write(true).create(true).truncate(false).open(slot.join("lock"))?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(lock)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
