//! Fetching ahead: what a reader of this file, or of its directory, will want.

use super::FileState;
use super::fetch::UNIT_BYTES;
use super::read::unit_range;
use crate::Shard;
use shoal_file_data::Ahead;
use shoal_types::{BLOCK_BYTES, Errno, FsResult, Ino};
use std::ops::Range;
use std::rc::Rc;

impl Shard {
    /// Starts fetching what a reader will want: whole blocks ahead of a sequential one, frames of each read of a stride.
    pub(super) fn start_prefetch(self: &Rc<Self>, file: &Rc<FileState>, ahead: Ahead, whole_blocks: bool) {
        let (shard, file) = (self.clone(), file.clone());
        shoal_runtime::spawn(async move {
            for range in ahead.ranges() {
                if shard.prefetch_range(&file, range, whole_blocks).await.is_err() {
                    // The reader itself will meet the error, if it comes that far.
                    return;
                }
            }
        });
    }

    /// Tells whether anything was missing. `ENOSPC`: the read budget is full of what is on its way.
    async fn prefetch_range(
        self: &Rc<Self>,
        file: &Rc<FileState>,
        range: Range<u64>,
        whole_blocks: bool,
    ) -> FsResult<bool> {
        let end = range.end.min(file.content.borrow().committed_length);
        let (mut at, mut missing) = (range.start, false);
        while at < end {
            let (block, within) = (at / BLOCK_BYTES, at % BLOCK_BYTES);
            let count = (BLOCK_BYTES - within).min(end - at);
            let units = self.fetch_span(file, block, unit_range(within, count as usize), whole_blocks);
            if !self.read_budget.has_room_ahead(units.len() * UNIT_BYTES as usize) {
                return Err(Errno::ENOSPC);
            }
            missing |= self.prefetch_units(file, block, units, whole_blocks).await?;
            at += count;
        }
        Ok(missing)
    }

    async fn prefetch_units(
        self: &Rc<Self>,
        file: &Rc<FileState>,
        block: u64,
        units: Range<u32>,
        whole_block: bool,
    ) -> FsResult<bool> {
        let start = block * BLOCK_BYTES + u64::from(units.start) * UNIT_BYTES;
        if self.cache_file(file).is_some_and(|cache| cache.covers(start, units.len() * UNIT_BYTES as usize)) {
            return Ok(false);
        }
        let view = self.view(file, block).await?;
        if view.is_zeros(&units) {
            return Ok(false);
        }
        self.fetch_units(file, &view, units, whole_block);
        Ok(true)
    }

    /// Fetches a small file that the reader of its directory will come to into the cache. The reader itself will meet the
    /// errors.
    pub(crate) async fn fetch_ahead_owned(self: &Rc<Self>, directory: Ino, ino: Ino) {
        let Ok(file) = self.file(ino).await else { return };
        let length = {
            let content = file.content.borrow();
            content.committed_length.min(if content.has_chunks { BLOCK_BYTES } else { 0 })
        };
        if matches!(self.prefetch_range(&file, 0..length, true).await, Ok(true)) {
            self.shared.fetched_ahead.put(ino, directory);
        }
    }

    /// A file is read that has to be fetched: if it's a small one of a store that takes its time, the next one of its
    /// directory may be wanted soon.
    pub(super) fn note_fetch(&self, file: &FileState) {
        let content = file.content.borrow();
        let small = content.committed_length <= BLOCK_BYTES;
        if file.fetch_noted.replace(true) || !small || self.shared.readahead_bytes_max == 0 {
            return;
        }
        if self.cache_part(file.ino).is_some() && self.shared.transfer.is_far() {
            self.note_read_in_order(content.directory, file.ino);
        }
    }
}
