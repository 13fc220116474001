//! The cache of one mount: a slot of the cache folder that no other mount uses, and the parts of its shards.
//!
//! `<cache folder>/<volume uuid>/<slot number>/`, locked by flock on the file `lock` in it. A mount takes the first
//! slot that is free, so the same mount started again finds what it left.

use crate::janitor::Janitor;
use crate::limits::SLOTS_MAX;
use crate::part::CachePart;
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

#[derive(Clone, Debug)]
pub struct CacheConfig {
    pub folder: PathBuf,
    /// Bytes on disk, shared equally by the shards.
    pub bytes_max: u64,
    /// The part of the disk, 0 to 1, that is to stay free; while less is free, blocks are evicted.
    pub free_space_min: f64,
    /// Check the checksums of cached bytes at every read, and not only at the first one after a restart.
    pub verify_always: bool,
}

/// The cache of this process.
pub struct Cache(Arc<Shared>);

pub(crate) struct Shared {
    pub slot: PathBuf,
    /// Its lock is what keeps others out of the slot; also names the disk.
    pub lock: File,
    pub shards: usize,
    pub part_bytes_max: u64,
    pub free_space_min: f64,
    pub verify_always: bool,
    pub janitor: Janitor,
    taken: Vec<AtomicBool>,
}

impl Cache {
    /// Takes a slot. An error means that there can be no cache; the caller goes on without.
    pub fn open(config: &CacheConfig, volume_uuid: &str, shards: usize) -> io::Result<Cache> {
        assert!(shards > 0, "a mount has at least one shard");
        let (slot, lock) = take_slot(&config.folder.join(volume_uuid))?;
        Ok(Cache(Arc::new(Shared {
            slot,
            lock,
            shards,
            part_bytes_max: config.bytes_max / shards as u64,
            free_space_min: config.free_space_min,
            verify_always: config.verify_always,
            janitor: Janitor::start()?,
            taken: (0..shards).map(|_| AtomicBool::new(false)).collect(),
        })))
    }

    /// The part of one shard, for that shard's thread; each is taken once.
    pub fn part(&self, shard: usize) -> CachePart {
        assert!(!self.0.taken[shard].swap(true, SeqCst), "a shard takes its part once");
        CachePart::new(self.0.clone(), shard)
    }

    /// Where this mount's cache files lie.
    pub fn folder(&self) -> &Path {
        &self.0.slot
    }
}

fn take_slot(volume: &Path) -> io::Result<(PathBuf, File)> {
    for number in 0..SLOTS_MAX {
        let slot = volume.join(number.to_string());
        std::fs::create_dir_all(&slot)?;
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(slot.join("lock"))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok((slot, lock)),
            Err(rustix::io::Errno::WOULDBLOCK) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::Error::other("every slot of the cache folder is in use"))
}
