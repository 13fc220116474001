//! Verifying what an earlier run left: the checksums decide which units survived.

use crate::block_state::BlockState;
use crate::cache_file::{CacheFile, read_whole};
use crate::index_entry::Entry;
use crate::limits::VERIFY_UNITS_MAX;
use crate::part::CachePart;
use crate::units::{UNIT_BYTES, mask, runs};
use shoal_runtime::AlignedBuffer;
use shoal_types::BLOCK_BYTES;
use std::ops::Range;
use std::sync::Arc;

impl CachePart {
    /// Checks those of `units` that have not been checked yet, or all of them with `verify_always`; drops the bad ones.
    /// Returns the good ones: they may be read by any shard. The block must have been identified.
    pub async fn verify_units(&self, file: &Arc<CacheFile>, block: u64, units: u64) -> u64 {
        let Some(state) = file.table.get(block) else { return 0 };
        self.hear_of_readers(file);
        if file.is_dead() || state.identity().is_none() {
            return 0;
        }
        let present = units & state.valid().unwrap_or(0);
        let unchecked = if self.shared.verify_always { present } else { present & !state.verified() };
        if unchecked == 0 {
            return present;
        }
        let version = state.version();
        let good = self.good_units(file, &state, block, unchecked).await;
        self.hear_of_readers(file);
        if state.version() != version {
            // Changed meanwhile: what was read says nothing about what is there now.
            return units & state.ready();
        }
        if good != unchecked {
            tracing::warn!(ino = %file.ino(), block, "cached bytes do not match their checksums and are dropped");
            state.drop_units(unchecked & !good);
        }
        state.approve(good);
        units & state.ready()
    }

    async fn good_units(&self, file: &CacheFile, state: &BlockState, block: u64, unchecked: u64) -> u64 {
        let entry = file.disk().and_then(|disk| disk.read_entry(block).ok().flatten());
        let Some(entry) = entry.filter(|entry| Some(entry.identity) == state.identity()) else { return 0 };
        let mut good = 0;
        for run in runs(unchecked & entry.valid, VERIFY_UNITS_MAX) {
            good |= good_in_run(file, &entry, block, run).await;
        }
        good
    }
}

async fn good_in_run(file: &CacheFile, entry: &Entry, block: u64, run: Range<u32>) -> u64 {
    let Some(disk) = file.disk() else { return 0 };
    let count = run.len() * UNIT_BYTES as usize;
    let offset = block * BLOCK_BYTES + u64::from(run.start) * UNIT_BYTES;
    // What could not be read comes as zeros: right for the rest of a file's last unit, wrong for anything else.
    let (_, buffer) = read_whole(disk, AlignedBuffer::with_capacity(count), count, offset).await;
    let units = run.zip(buffer.chunks_exact(UNIT_BYTES as usize));
    let right = units.filter(|(unit, bytes)| crc32c::crc32c(bytes) == entry.checksums[*unit as usize]);
    right.fold(0, |good, (unit, _)| good | mask(unit..unit + 1))
}
