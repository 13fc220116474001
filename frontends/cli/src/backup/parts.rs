//! A dump on its way into the object store, in parts of a bounded size: in memory there is one of them.

use bytes::Bytes;
use shoal_object_store::ObjectStore;
use shoal_object_store::naming::BackupPart;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use tokio::runtime::Runtime;

pub struct Parts<'a> {
    store: &'a dyn ObjectStore,
    runtime: &'a Runtime,
    volume: &'a str,
    time: &'a str,
    ending: &'a AtomicBool,
    part: Vec<u8>,
    keys: Vec<String>,
    bytes: u64,
}

impl<'a> Parts<'a> {
    pub fn new(
        store: &'a dyn ObjectStore,
        runtime: &'a Runtime,
        volume: &'a str,
        time: &'a str,
        ending: &'a AtomicBool,
    ) -> Self {
        Parts { store, runtime, volume, time, ending, part: Vec::new(), keys: Vec::new(), bytes: 0 }
    }

    /// Stores the last part, after all others are durable: where it is, all of the dump is. Gives the bytes of it.
    pub fn end(&mut self) -> io::Result<u64> {
        self.runtime.block_on(self.store.sync(&self.keys)).map_err(io::Error::other)?;
        self.put(true)?;
        let last = self.keys.last().cloned().into_iter().collect::<Vec<_>>();
        self.runtime.block_on(self.store.sync(&last)).map_err(io::Error::other)?;
        Ok(self.bytes)
    }

    /// Takes away what has been stored. What can't be is no whole backup, and goes with the next one.
    pub fn remove(&mut self) {
        for key in self.keys.drain(..).rev() {
            if let Err(error) = self.runtime.block_on(self.store.delete(&key)) {
                tracing::debug!(key, %error, "a part of a backup is left");
            }
        }
    }

    fn put(&mut self, last: bool) -> io::Result<()> {
        let number = self.keys.len() as u32;
        let key = BackupPart { time: self.time, number, last }.key(self.volume);
        let part = Bytes::from(std::mem::take(&mut self.part));
        // Also where it fails it may be there.
        self.keys.push(key.clone());
        self.runtime.block_on(self.store.put(&key, vec![part])).map_err(io::Error::other)
    }
}

impl Write for Parts<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.ending.load(SeqCst) {
            return Err(io::Error::other("the mount ends"));
        }
        let room = PART_BYTES - self.part.len();
        let taken = &bytes[..bytes.len().min(room)];
        self.part.extend_from_slice(taken);
        self.bytes += taken.len() as u64;
        if self.part.len() == PART_BYTES {
            self.put(false)?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const PART_BYTES: usize = 8 << 20;
