//! Storing fetched bytes: make room, write the data, then name it in the index, then let it be read.

use crate::block_state::BlockState;
use crate::cache_file::{CacheFile, turn};
use crate::clock::Pinned;
use crate::disk_file::DiskFile;
use crate::index_entry::Entry;
use crate::limits::FULL_DISK_EVICTION_BYTES;
use crate::part::{CachePart, is_one_of};
use crate::units::{UNIT_BYTES, UNITS_PER_BLOCK, mask};
use bytes::Bytes;
use rustix::io::Errno;
use shoal_encryption::CacheKey;
use shoal_runtime::AlignedBuffer;
use shoal_types::BLOCK_BYTES;
use std::io;
use std::sync::Arc;

impl CachePart {
    /// Stores `unit_count` units of a block, from `first_unit` on. `bytes` may end within the last unit (the end of the
    /// file); the rest is cached as zeros. Bytes that start page-aligned and are whole units are not copied.
    ///
    /// Does nothing if the block has not been identified, if the file is lent, or if somebody else moves these units' bytes just now. When
    /// the block changes meanwhile, the bytes are not made valid. If the future is dropped, neither are they.
    pub async fn store(&self, file: &Arc<CacheFile>, block: u64, first_unit: u32, unit_count: u32, bytes: Bytes) {
        assert!(unit_count > 0 && first_unit + unit_count <= UNITS_PER_BLOCK, "units of one block");
        let whole = unit_count as usize * UNIT_BYTES as usize;
        assert!(bytes.len() <= whole && bytes.len() > whole - UNIT_BYTES as usize, "bytes end in the last unit");
        let units = mask(first_unit..first_unit + unit_count);
        let Some(state) = file.table.get(block) else { return };
        self.hear_of_readers(file);
        if self.is_degraded() || file.is_lent() || !is_wanted(file, &state, units) {
            return;
        }
        let ino = file.ino();
        if !self.busy.begin(ino, block, units) {
            return;
        }
        let stored = self.store_marked(file, &state, block, units, bytes).await;
        self.busy.end(ino, block, units);
        if let Err(error) = stored {
            self.note(&error);
        }
    }

    async fn store_marked(
        &self,
        file: &Arc<CacheFile>,
        state: &BlockState,
        block: u64,
        units: u64,
        bytes: Bytes,
    ) -> io::Result<()> {
        let version = state.version();
        if !self.reserve(file.ino(), block, units).await || state.version() != version || file.is_dead() {
            return Ok(());
        }
        if file.disk().is_none() {
            file.set_disk(self.create(file.ino(), false)?);
        }
        let disk = file.disk().expect("made above");
        let Some(identity) = state.identity() else { return Ok(()) };
        let payload = match file.key() {
            None => whole_units(bytes, units.count_ones()),
            Some(key) => encrypted(key, identity, units.trailing_zeros(), whole_units(bytes, units.count_ones())),
        };
        let checksums: Vec<u32> = payload.chunks_exact(UNIT_BYTES as usize).map(crc32c::crc32c).collect();
        // Unverified bytes of an earlier run may be under examination by another task; they change now.
        let unverified = units & state.valid().unwrap_or(0) & !state.ready();
        if unverified != 0 {
            state.drop_units(unverified);
        }
        let version = state.version();
        let offset = block * BLOCK_BYTES + u64::from(units.trailing_zeros()) * UNIT_BYTES;
        match write_whole(disk, payload.clone(), offset).await {
            Err(error) if is_one_of(&error, &[Errno::NOSPC, Errno::DQUOT]) => {
                self.evict(FULL_DISK_EVICTION_BYTES, Pinned::Stay).await;
                write_whole(disk, payload, offset).await?;
            }
            written => written?,
        }
        let unchanged = state.version() == version && !file.is_dead();
        if !unchanged || state.identity() != Some(identity) {
            return Ok(());
        }
        // No await from here on: the entry is read, changed and written as one.
        let entry = disk.read_entry(block)?.filter(|entry| entry.identity == identity);
        let mut entry = entry.unwrap_or_else(|| Entry::empty(identity));
        entry.valid = entry.valid & state.valid().unwrap_or(0) | units;
        entry.checksums[units.trailing_zeros() as usize..][..checksums.len()].copy_from_slice(&checksums);
        disk.write_entry(block, &entry)?;
        state.approve(units);
        Ok(())
    }
}

fn is_wanted(file: &CacheFile, state: &BlockState, units: u64) -> bool {
    !file.is_dead() && state.identity().is_some() && state.ready() & units != units
}

/// The bytes as whole units, page-aligned, with zeros after their end.
fn whole_units(bytes: Bytes, count: u32) -> Bytes {
    let whole = count as usize * UNIT_BYTES as usize;
    if bytes.len() == whole && bytes.as_ptr().addr().is_multiple_of(4096) {
        return bytes;
    }
    let mut buffer = AlignedBuffer::with_capacity(whole);
    buffer.set_len(whole);
    let (content, rest) = buffer.split_at_mut(bytes.len());
    content.copy_from_slice(&bytes);
    rest.fill(0);
    buffer.into_bytes()
}

/// A copy: others read these bytes.
fn encrypted(key: &CacheKey, identity: u64, first_unit: u32, units: Bytes) -> Bytes {
    let mut buffer = AlignedBuffer::with_capacity(units.len());
    buffer.set_len(units.len());
    buffer.copy_from_slice(&units);
    turn(key, identity, first_unit, &mut buffer);
    buffer.into_bytes()
}

async fn write_whole(disk: &DiskFile, mut bytes: Bytes, mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        // A short direct write goes on at a page; what is written twice is the same.
        let written = disk.write_data(bytes.clone(), offset).await?;
        let written = if written == bytes.len() { written } else { written & !4095 };
        if written == 0 {
            return Err(Errno::NOSPC.into());
        }
        bytes = bytes.slice(written..);
        offset += written as u64;
    }
    Ok(())
}
