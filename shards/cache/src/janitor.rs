//! The janitor: one thread that gives the room of evicted blocks back to the disk.
//!
//! Not the shards' own work, for more than its slowness: punching a hole waits for the direct writes in flight on the
//! file, and a direct write may end only when the thread that submitted it enters its ring again. A shard that punched
//! while a write of its own was in flight could wait for itself for ever.

use crate::busy::Busy;
use crate::limits::PUNCHES_PENDING_MAX;
use crate::slot::Shared;
use crate::units::bytes_of;
use futures_channel::oneshot;
use rustix::fs::{FallocateFlags, fallocate};
use shoal_runtime::RingFile;
use shoal_types::{BLOCK_BYTES, Ino};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// A block to be punched out; it is marked busy as a whole, and its units count as used until it is done.
pub(crate) struct Punch {
    pub data: RingFile,
    pub ino: Ino,
    pub block: u64,
    pub units: u64,
    /// Keeps the slot locked: a late hole must not hit bytes that the slot's next user has stored.
    pub slot: Arc<Shared>,
    pub busy: Arc<Busy>,
    pub usage: Arc<AtomicU64>,
    pub done: oneshot::Sender<io::Result<()>>,
}

/// The sending end; the thread ends with it.
pub(crate) struct Janitor(SyncSender<Punch>);

impl Janitor {
    pub fn start() -> io::Result<Self> {
        let (sender, receiver) = sync_channel(PUNCHES_PENDING_MAX);
        std::thread::Builder::new().name("cache-janitor".into()).spawn(move || work(&receiver))?;
        Ok(Janitor(sender))
    }

    /// Never waits: `false` when too much is pending already.
    pub fn send(&self, punch: Punch) -> bool {
        self.0.try_send(punch).is_ok()
    }
}

fn work(punches: &Receiver<Punch>) {
    while let Ok(punch) = punches.recv() {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let result = fallocate(&*punch.data, flags, punch.block * BLOCK_BYTES, BLOCK_BYTES);
        punch.usage.fetch_sub(bytes_of(punch.units), SeqCst);
        punch.slot.usage.fetch_sub(bytes_of(punch.units), SeqCst);
        punch.busy.end(punch.ino, punch.block, u64::MAX);
        drop(punch.slot);
        // Nobody need wait for it: the store that asked may have been given up.
        let _ = punch.done.send(result.map_err(io::Error::from));
    }
}
