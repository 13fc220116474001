//! One open cache file: any shard reads it, only the owner (through its `CachePart`) changes it.

use crate::block_table::BlockTable;
use crate::disk_file::DiskFile;
use crate::units::{UNIT_BYTES, bytes_of, spans};
use shoal_encryption::{CacheKey, NONCE_BYTES};
use shoal_runtime::AlignedBuffer;
use shoal_types::{BLOCK_BYTES, Ino};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};

pub struct CacheFile {
    ino: Ino,
    pub(crate) table: BlockTable,
    disk: OnceLock<DiskFile>,
    /// What is on disk is encrypted with it.
    key: Option<CacheKey>,
    /// Closed or removed: there may be a newer `CacheFile` of this inode, so nothing is ever ready here again.
    dead: AtomicBool,
    verify_always: bool,
    /// Borrowers that read the data file by themselves; see `lend`.
    pub(crate) loans: AtomicU32,
    /// All of it is to go as soon as nobody borrows it.
    pub(crate) drop_when_returned: AtomicBool,
    /// All of it was dropped on request: if nothing was stored since, its files go when it is closed.
    pub(crate) emptied: AtomicBool,
}

/// How a `try_read` ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CacheRead {
    Hit,
    /// Not cached, not yet verified, changed during the read, or unreadable: ask the owner.
    Miss,
}

/// The blocks of a read and their versions when it began; nearly always just one.
struct Snapshot {
    first: (u64, u32),
    rest: Vec<(u64, u32)>,
}

const PAGE: u64 = 4096;

impl CacheFile {
    pub(crate) fn new(ino: Ino, disk: Option<DiskFile>, key: Option<CacheKey>, verify_always: bool) -> Self {
        let disk = disk.map(OnceLock::from).unwrap_or_default();
        CacheFile {
            ino,
            table: BlockTable::default(),
            disk,
            key,
            dead: AtomicBool::new(false),
            verify_always,
            loans: AtomicU32::new(0),
            drop_when_returned: AtomicBool::new(false),
            emptied: AtomicBool::new(false),
        }
    }

    pub fn ino(&self) -> Ino {
        self.ino
    }

    /// Reads file bytes `offset .. offset + length` into the start of `buffer`, if each of them is cached and verified.
    ///
    /// Any shard may call. After a hit the visible length is `length`; after a miss it and the content are arbitrary,
    /// and so is always what lies beyond `length` in the buffer. One kernel request straight into the buffer where
    /// `offset` is a multiple of 4096 and the buffer has room up to the next such multiple; a copy otherwise.
    pub async fn try_read(
        self: &Arc<Self>,
        offset: u64,
        length: usize,
        buffer: AlignedBuffer,
    ) -> (CacheRead, AlignedBuffer) {
        assert!(0 < length && length <= buffer.capacity(), "the buffer holds what is asked for");
        let (Some(snapshot), Some(disk)) = (self.begin(offset, length), self.disk.get()) else {
            return (CacheRead::Miss, buffer);
        };
        let (read, mut buffer) = self.read_range(disk, offset, length, buffer).await;
        if !read || !self.unchanged(&snapshot) {
            return (CacheRead::Miss, buffer);
        }
        self.table.peek(snapshot.first.0, |state| state.touch((offset % BLOCK_BYTES / UNIT_BYTES) as u32));
        buffer.set_len(length);
        (CacheRead::Hit, buffer)
    }

    /// Whether every unit of the range is valid, verified or not.
    pub fn covers(&self, offset: u64, length: usize) -> bool {
        let Some(end) = offset.checked_add(length as u64) else { return false };
        spans(offset..end).all(|(block, units)| self.valid_units(block) & units == units)
    }

    /// The valid units of a block, verified or not. Before the owner has identified the block: what the index tells.
    pub fn valid_units(&self, block: u64) -> u64 {
        if self.is_dead() {
            return 0;
        }
        let known = self.table.peek(block, |state| state.valid()).flatten();
        known.unwrap_or_else(|| {
            let entry = self.disk.get().and_then(|disk| disk.read_entry(block).ok().flatten());
            entry.map_or(0, |entry| entry.valid)
        })
    }

    fn begin(&self, offset: u64, length: usize) -> Option<Snapshot> {
        let mut spans = spans(offset..offset.checked_add(length as u64)?).map(|(block, units)| {
            let version = self.table.peek(block, |state| state.begin_read(units)).flatten()?;
            Some((block, version))
        });
        let first = spans.next().expect("the range is not empty")?;
        Some(Snapshot { first, rest: spans.collect::<Option<_>>()? })
    }

    fn unchanged(&self, snapshot: &Snapshot) -> bool {
        std::iter::once(&snapshot.first)
            .chain(&snapshot.rest)
            .all(|(block, version)| self.table.peek(*block, |state| state.end_read(*version)).unwrap_or(false))
    }

    pub(crate) fn disk(&self) -> Option<&DiskFile> {
        self.disk.get()
    }

    pub(crate) fn key(&self) -> Option<&CacheKey> {
        self.key.as_ref()
    }

    /// Owner only: the files made at the first store.
    pub(crate) fn set_disk(&self, disk: DiskFile) {
        assert!(self.disk.set(disk).is_ok(), "the files are made once");
    }

    /// Nothing of it may change on disk.
    pub(crate) fn is_lent(&self) -> bool {
        self.loans.load(SeqCst) > 0
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(SeqCst)
    }

    /// Owner only: ends every use, also of readers that still hold it.
    pub(crate) fn kill(&self) {
        self.dead.store(true, SeqCst);
        self.table.for_each_loaded(0..u64::MAX, |_, state| state.forget_identity());
    }

    /// Whole pages are read, whole units if they are to be checked against the index or decrypted. Cached units are whole on
    /// disk, except that the data file may end where its content does; behind that a unit is zeros.
    async fn read_range(
        &self,
        disk: &DiskFile,
        offset: u64,
        length: usize,
        buffer: AlignedBuffer,
    ) -> (bool, AlignedBuffer) {
        let whole_units = self.verify_always || self.key.is_some();
        let grain = if whole_units { UNIT_BYTES } else { PAGE };
        let start = offset / grain * grain;
        let needed = (offset + length as u64 - start) as usize;
        let count = needed.next_multiple_of(grain as usize);
        let open = |bytes: &mut [u8]| !whole_units || open_units(disk, self.key.as_ref(), start, bytes);
        if start == offset && count <= buffer.capacity() {
            let (read, mut buffer) = read_whole(disk, buffer, count, start).await;
            return (read >= needed && open(&mut buffer), buffer);
        }
        let (read, mut bounce) = read_whole(disk, AlignedBuffer::with_capacity(count), count, start).await;
        let mut buffer = buffer;
        if read < needed || !open(&mut bounce) {
            return (false, buffer);
        }
        let skip = (offset - start) as usize;
        buffer.set_len(length);
        buffer.copy_from_slice(&bounce[skip..skip + length]);
        (true, buffer)
    }
}

/// The bytes that could be read; what is missing of `count` is filled with zeros.
pub(crate) async fn read_whole(
    disk: &DiskFile,
    buffer: AlignedBuffer,
    count: usize,
    offset: u64,
) -> (usize, AlignedBuffer) {
    let (result, mut buffer) = disk.read_data(buffer, count, offset).await;
    let read = result.unwrap_or(0);
    buffer.set_len(count);
    buffer[read..].fill(0);
    (read, buffer)
}

/// Whether whole units that stand at `start` have the checksums that the index tells. They are plain then.
fn open_units(disk: &DiskFile, key: Option<&CacheKey>, start: u64, mut bytes: &mut [u8]) -> bool {
    spans(start..start + bytes.len() as u64).all(|(block, mask)| {
        let (units, rest) = std::mem::take(&mut bytes).split_at_mut(bytes_of(mask) as usize);
        bytes = rest;
        let entry = disk.read_entry(block).ok().flatten().filter(|entry| entry.valid & mask == mask);
        let Some(entry) = entry else { return false };
        let first = mask.trailing_zeros();
        let found = units.chunks_exact(UNIT_BYTES as usize).map(crc32c::crc32c);
        if !found.eq(entry.checksums[first as usize..][..mask.count_ones() as usize].iter().copied()) {
            return false;
        }
        if let Some(key) = key {
            turn(key, entry.identity, first, units);
        }
        true
    })
}

/// Encrypts whole units of a block, or decrypts them. Equal identities mean equal bytes, so no nonce is for two contents.
pub(crate) fn turn(key: &CacheKey, identity: u64, first_unit: u32, units: &mut [u8]) {
    for (unit, bytes) in (first_unit..).zip(units.chunks_exact_mut(UNIT_BYTES as usize)) {
        let mut nonce = [0; NONCE_BYTES];
        nonce[..8].copy_from_slice(&identity.to_le_bytes());
        nonce[8..].copy_from_slice(&unit.to_le_bytes());
        key.turn(nonce, bytes);
    }
}
