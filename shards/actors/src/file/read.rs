//! Reads: on any core from a published plan, otherwise by the owner, layer upon layer.

use super::FileState;
use super::content::Content;
use super::fetch::{BlockView, FetchState, UNIT_BYTES};
use super::missing::Missing;
use crate::Shard;
use crate::message::{Message, ReadReply, Respond};
use bytes::Bytes;
use shoal_cache::{CacheFile, CacheRead};
use shoal_runtime::AlignedBuffer;
use shoal_types::{BLOCK_BYTES, CHUNK_BYTES, Errno, FsResult, Ino};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

pub(super) const BLOCKS_PER_CHUNK: u64 = CHUNK_BYTES / BLOCK_BYTES;

impl Shard {
    /// Reads up to `length` bytes at `offset` into the start of `buffer`; `respond` gets the count, which is short
    /// only at the end of the file. Cached bytes of a file with nothing pending are read by the shard that asks;
    /// everything else is the owner's.
    pub async fn read(
        self: &Rc<Self>,
        ino: Ino,
        offset: u64,
        length: usize,
        mut buffer: AlignedBuffer,
        respond: impl FnOnce(FsResult<ReadReply>) + Send + 'static,
    ) {
        assert!(length <= buffer.capacity(), "the buffer holds what is asked for");
        let plan = self.shared.open_files.get(ino).and_then(|file| file.plan.load_full());
        if let Some(plan) = plan {
            let wanted = plan.length.saturating_sub(offset).min(length as u64) as usize;
            if wanted == 0 {
                return respond(Ok((0, buffer)));
            }
            let (outcome, returned) = plan.cache.try_read(offset, wanted, buffer).await;
            if matches!(outcome, CacheRead::Hit) {
                return respond(Ok((wanted, returned)));
            }
            buffer = returned;
        }
        let owner = self.shared.owner(ino);
        if owner == self.index {
            return respond(self.read_owned(ino, offset, length, buffer).await);
        }
        let respond: Respond<ReadReply> = Box::new(respond);
        self.send(owner, Message::Read { ino, offset, length, buffer, respond }).await;
    }

    pub(crate) async fn read_owned(
        self: &Rc<Self>,
        ino: Ino,
        offset: u64,
        length: usize,
        mut buffer: AlignedBuffer,
    ) -> FsResult<ReadReply> {
        let file = self.file(ino).await?;
        let mut missing = Missing::default();
        loop {
            let (wanted, pieces) = {
                let content = file.content.borrow();
                let wanted = content.length.saturating_sub(offset).min(length as u64) as usize;
                (wanted, content.buffered_pieces(offset..offset + wanted as u64))
            };
            if wanted == 0 {
                return Ok((0, buffer));
            }
            buffer.set_len(wanted);
            let all_buffered = pieces.len() == 1 && pieces[0].0 == offset && pieces[0].1.len() == wanted;
            let result = match all_buffered {
                true => Ok(()),
                false => {
                    let (result, returned) = self.read_committed(&file, offset, buffer).await;
                    buffer = returned;
                    result
                }
            };
            match result {
                Ok(()) => {
                    for (at, bytes) in pieces {
                        let start = (at - offset) as usize;
                        buffer[start..start + bytes.len()].copy_from_slice(&bytes);
                    }
                    return Ok((wanted, buffer));
                }
                Err(Errno::ESTALE) => {
                    self.look_again(&mut missing).await?;
                    self.reload(&file).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Fills the visible part of `buffer` with the committed bytes at `offset`; zeros beyond them.
    async fn read_committed(
        self: &Rc<Self>,
        file: &Rc<FileState>,
        offset: u64,
        mut buffer: AlignedBuffer,
    ) -> (FsResult<()>, AlignedBuffer) {
        let wanted = buffer.len();
        let (committed, inline, has_chunks) = {
            let content = file.content.borrow();
            (content.committed_length, content.inline.clone(), content.has_chunks)
        };
        let present = committed.saturating_sub(offset).min(wanted as u64) as usize;
        if !has_chunks || present == 0 {
            buffer.fill(0);
            copy_inline(inline.as_ref(), offset, &mut buffer);
            return (Ok(()), buffer);
        }
        let gap = self.shared.transfer.gap_bytes();
        let ahead = file.readahead.borrow_mut().on_read(offset, wanted as u64, gap);
        let sequential = file.readahead.borrow().is_sequential();
        if let Some(ahead) = ahead {
            self.start_prefetch(file, ahead, sequential);
        }
        let cache = self.cache_file(file).filter(|_| !file.has_ahead(offset / BLOCK_BYTES));
        if let Some(cache) = cache.filter(|cache| cache.covers(offset, present)) {
            let (outcome, returned) = cache.try_read(offset, present, buffer).await;
            buffer = returned;
            if matches!(outcome, CacheRead::Hit) {
                buffer.set_len(wanted);
                buffer[present..].fill(0);
                return (Ok(()), buffer);
            }
        }
        buffer.set_len(wanted);
        let mut at = 0;
        while at < present {
            let position = offset + at as u64;
            let count = (BLOCK_BYTES - position % BLOCK_BYTES).min((present - at) as u64) as usize;
            if let Err(error) = self.read_block(file, position, &mut buffer[at..at + count], sequential).await {
                return (Err(error), buffer);
            }
            at += count;
        }
        buffer[present..].fill(0);
        (Ok(()), buffer)
    }

    /// Fills `target` with committed bytes of one block, from the cache or the object store.
    async fn read_block(
        self: &Rc<Self>,
        file: &Rc<FileState>,
        position: u64,
        target: &mut [u8],
        sequential: bool,
    ) -> FsResult<()> {
        let block = position / BLOCK_BYTES;
        let within = position % BLOCK_BYTES;
        let units = unit_range(within, target.len());
        let view = self.view(file, block).await?;
        if view.is_zeros(&units) {
            target.fill(0);
            return Ok(());
        }
        if !file.holds(&view, &units)
            && let Some(hit) = self.read_cached_block(file, &view, &units, within, target.len()).await
        {
            target.copy_from_slice(&hit);
            return Ok(());
        }
        self.note_fetch(file);
        for fetched in self.fetch_units(file, &view, units, sequential) {
            fetched.event.wait_until(|| !fetched.is_pending()).await;
            let bytes = match &*fetched.state.borrow() {
                FetchState::Ready(bytes) => bytes.clone(),
                FetchState::Failed(error) => return Err(*error),
                FetchState::Pending => unreachable!("waited for"),
            };
            let start = u64::from(fetched.first_unit) * UNIT_BYTES;
            copy_overlap(start, &bytes, within, target);
            let end = file.content.borrow().committed_length.saturating_sub(block * BLOCK_BYTES);
            if fetched.ahead && within + target.len() as u64 >= end.min(start + bytes.len() as u64) {
                self.pass(file, &fetched);
            }
        }
        Ok(())
    }

    async fn read_cached_block(
        self: &Rc<Self>,
        file: &FileState,
        view: &BlockView,
        units: &Range<u32>,
        within: u64,
        count: usize,
    ) -> Option<AlignedBuffer> {
        let block = view.block;
        let part = self.cache_part(file.ino)?;
        let cache = self.cache_file(file)?;
        part.identify(&cache, block, view.identity);
        let mask = unit_mask(units);
        if cache.valid_units(block) & mask != mask {
            return None;
        }
        if part.verify_units(&cache, block, mask).await != mask {
            return None;
        }
        let offset = block * BLOCK_BYTES + within;
        let (outcome, mut buffer) = cache.try_read(offset, count, AlignedBuffer::with_capacity(count)).await;
        buffer.set_len(count.min(buffer.capacity()));
        matches!(outcome, CacheRead::Hit).then_some(buffer)
    }

    /// The file's cache file, opened on first use.
    pub(super) fn cache_file(&self, file: &FileState) -> Option<Arc<CacheFile>> {
        let part = self.cache_part(file.ino).filter(|_| !file.forgotten.get())?;
        if let Some(opened) = &*file.cache.borrow() {
            return Some(opened.clone());
        }
        let opened = part.open_file(file.ino);
        file.cache.replace(Some(opened.clone()));
        // What an earlier use left may be all that is needed: then no fetch will come to publish it.
        file.publish();
        Some(opened)
    }

    /// Looks at the store again; what is buffered stays on top.
    pub(crate) async fn reload(self: &Rc<Self>, file: &Rc<FileState>) -> FsResult<()> {
        let _guard = file.committed.lock().await;
        let fresh = Content::load(self, file.ino).await?;
        {
            let mut content = file.content.borrow_mut();
            content.wholly_unsynced |= fresh.has_chunks;
            content.replace_committed(fresh);
        }
        if let (Some(part), Some(cache)) = (self.cache_part(file.ino), &*file.cache.borrow()) {
            // Identities decide block by block what is still right; until then nobody may read past the owner.
            part.forget_identities(cache);
        }
        file.publish();
        Ok(())
    }

    pub(crate) async fn revalidate_owned(self: &Rc<Self>, ino: Ino, epoch: u64) -> FsResult<()> {
        let file = self.files.borrow().get(&ino).cloned();
        // Perhaps it's being loaded just now, by a read that began before the change.
        self.revalidations.set(self.revalidations.get() + 1);
        if let Some(file) = file {
            self.reload(&file).await?;
            file.open.validated.store(epoch, std::sync::atomic::Ordering::SeqCst);
        }
        Ok(())
    }
}

fn copy_inline(inline: Option<&Bytes>, offset: u64, target: &mut [u8]) {
    if let Some(inline) = inline {
        copy_overlap(0, inline, offset, target);
    }
}

/// Copies what `source` (standing at `source_start`) and `target` (standing at `target_start`) have in common.
fn copy_overlap(source_start: u64, source: &[u8], target_start: u64, target: &mut [u8]) {
    let start = source_start.max(target_start);
    let end = (source_start + source.len() as u64).min(target_start + target.len() as u64);
    if start < end {
        let from = (start - source_start) as usize..(end - source_start) as usize;
        let to = (start - target_start) as usize..(end - target_start) as usize;
        target[to].copy_from_slice(&source[from]);
    }
}

/// The units of a block that `count` bytes at `within` touch.
pub(super) fn unit_range(within: u64, count: usize) -> Range<u32> {
    let first = within / UNIT_BYTES;
    let end = (within + count as u64).div_ceil(UNIT_BYTES);
    first as u32..end as u32
}

pub(super) fn unit_mask(units: &Range<u32>) -> u64 {
    assert!(units.start < units.end && units.end <= 64, "units of one block");
    (u64::MAX >> (64 - (units.end - units.start))) << units.start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_masks_cover_exactly_the_range() {
        assert_eq!(unit_mask(&(0..64)), u64::MAX);
        assert_eq!(unit_mask(&(0..1)), 1);
        assert_eq!(unit_mask(&(63..64)), 1 << 63);
        assert_eq!(unit_range(65_535, 2), 0..2);
    }

    #[test]
    fn only_the_overlap_is_copied() {
        let mut target = [0; 4];
        copy_overlap(10, &[1, 2, 3, 4], 12, &mut target);
        assert_eq!(target, [3, 4, 0, 0]);
        copy_overlap(100, &[9], 12, &mut target);
        assert_eq!(target, [3, 4, 0, 0]);
    }
}
