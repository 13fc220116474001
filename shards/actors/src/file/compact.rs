//! Compaction: what a chunk's long list shows is stored anew, and the list replaced by a short one.
//!
//! Bytes do not change, so nobody needs to be told. The new objects are synced before the list refers to them: the old
//! ones may have been, and an fsync of long ago must go on holding. One at a time on each shard, a block in memory at a
//! time, and few of them in a mount.

use super::FileState;
use super::content::Chunk;
use super::fetch::piece;
use super::lifecycle::InUse;
use super::missing::Missing;
use super::read::BLOCKS_PER_CHUNK;
use crate::shared::now;
use crate::transfer::Fetch;
use crate::{Shard, limits};
use bytes::Bytes;
use shoal_file_data::{DirtyMap, Extent, ResolvedChunk, Source, is_fragmented, needs_compaction};
use shoal_kv::Durability;
use shoal_metadata::{MetaOp, ReplaceSlices};
use shoal_types::{CHUNK_BYTES, Errno, FsResult, Ino, ObjectId, Slice};
use std::ops::Range;
use std::rc::Rc;
use std::time::Instant;

/// A list is worth rewriting now. Lists of middle length are left to grow: rewriting costs a whole chunk. Nor is one
/// rewritten that would come out half as long or longer, as it may where objects are small.
pub(super) fn is_due(chunk: &Chunk, block_bytes: u32) -> bool {
    let count = chunk.list.len();
    let worth = 2 * CHUNK_BYTES as usize / block_bytes as usize;
    let middle = (LIST_SHORT..limits::COMPACT_SLICES.max(worth)).contains(&count);
    let densely = count >= limits::COMPACT_SLICES_DENSELY.max(worth);
    densely || (!middle && needs_compaction(&chunk.list, &chunk.resolved, block_bytes))
}

/// How far a call has come with a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Compacted {
    /// The chunk to go on with; `None`: it's done.
    pub next: Option<u64>,
    /// Slices of the chunks looked at, as they were found and as they are left.
    pub slices_before: u64,
    pub slices_after: u64,
    /// Stored anew.
    pub bytes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// What the list shows.
    AsShown,
    /// Holes between pieces of a block become zeros, which makes any list short.
    Densely,
    /// Whichever of the two shortens it.
    AsNeeded,
}

/// Below this, a list is rewritten only if it names far more bytes than it shows.
const LIST_SHORT: usize = 64;

impl Shard {
    pub(super) fn start_compaction(self: &Rc<Self>, file: &Rc<FileState>, number: u64) {
        if !file.compacting.borrow_mut().insert(number) {
            return;
        }
        let (shard, file) = (self.clone(), InUse::new(self, file));
        shoal_runtime::spawn(async move {
            let turn = shard.compaction.lock().await;
            let result = shard.compact_while_due(&file, number).await;
            drop(turn);
            file.compacting.borrow_mut().remove(&number);
            if let Err(error) = result {
                tracing::warn!(ino = %file.ino, chunk = number, %error, "a slice list could not be rewritten");
            }
        });
    }

    /// Commits go on meanwhile, and may have made the list long again by the end.
    async fn compact_while_due(self: &Rc<Self>, file: &Rc<FileState>, number: u64) -> FsResult<()> {
        for _ in 0..limits::COMPACTION_ROUNDS_MAX {
            let chunk = self.chunk(file, number).await?;
            if !is_due(&chunk, self.shared.settings.block_bytes) {
                break;
            }
            self.rewrite_list(file, number, How::AsNeeded).await?;
        }
        Ok(())
    }

    /// Makes a list short enough for `added` slices more.
    pub(super) async fn make_room_in_list(
        self: &Rc<Self>,
        file: &Rc<FileState>,
        number: u64,
        added: usize,
    ) -> FsResult<()> {
        let too_long = |chunk: &Chunk| chunk.list.len() + added > limits::CHUNK_SLICES_MAX;
        if !too_long(&*self.chunk(file, number).await?) {
            return Ok(());
        }
        // Whoever has the turn may be at this very list.
        let _turn = self.compaction.lock().await;
        match too_long(&*self.chunk(file, number).await?) {
            true => self.rewrite_list(file, number, How::Densely).await,
            false => Ok(()),
        }
    }

    /// Commits what is buffered, then rewrites lists that are longer than they need be or cover bytes, from a chunk on,
    /// for a while.
    pub(crate) async fn compact_owned(self: &Rc<Self>, ino: Ino, first: u64) -> FsResult<Compacted> {
        let file = self.file(ino).await?;
        self.flush_file(&file).await?;
        let (start, block_bytes) = (Instant::now(), self.shared.settings.block_bytes);
        let mut done = Compacted { next: Some(first), ..Compacted::default() };
        while let Some(first) = done.next
            && start.elapsed() < limits::COMPACT_WORK_TIME
        {
            let page = limits::CHUNKS_PER_READ;
            let chunks = self.read_metadata(move |metadata| metadata.get_chunks(ino, first, page)).await?;
            done.next = chunks.last().and_then(|(last, _)| last.checked_add(1)).filter(|_| chunks.len() == page);
            for (number, list) in chunks {
                if start.elapsed() >= limits::COMPACT_WORK_TIME {
                    done.next = Some(number);
                    break;
                }
                let chunk = Chunk::new(list);
                done.slices_before += chunk.list.len() as u64;
                if is_fragmented(&chunk.list, &chunk.resolved, block_bytes) {
                    let _turn = self.compaction.lock().await;
                    self.rewrite_list(&file, number, How::AsShown).await?;
                    done.bytes += chunk.resolved.data_bytes();
                    done.slices_after += self.chunk(&file, number).await?.list.len() as u64;
                } else {
                    done.slices_after += chunk.list.len() as u64;
                }
            }
        }
        Ok(done)
    }

    /// Rewrites a chunk's list.
    async fn rewrite_list(self: &Rc<Self>, file: &Rc<FileState>, number: u64, how: How) -> FsResult<()> {
        let mut missing = Missing::default();
        loop {
            match self.rewrite_list_once(file, number, how).await {
                // Another mount has rewritten it, and what it replaced is deleted: begin again with what is there now. In the
                // end it's EIO: to a commit that waits for us ESTALE would mean that its session is dead.
                Err(Errno::ESTALE) if !self.shared.is_fenced() => self.look_again(&mut missing).await?,
                result => return result,
            }
        }
    }

    async fn rewrite_list_once(self: &Rc<Self>, file: &Rc<FileState>, number: u64, how: How) -> FsResult<()> {
        let ino = file.ino;
        let list = self.read_metadata(move |metadata| metadata.get_chunk(ino, number)).await?;
        let resolved = ResolvedChunk::new(&list);
        let densely = match how {
            How::AsShown => false,
            How::Densely => true,
            How::AsNeeded => !needs_compaction(&list, &resolved, self.shared.settings.block_bytes),
        };
        let new = self.rewrite(file, number, &resolved, densely).await?;
        let objects: Vec<ObjectId> = new.iter().map(|slice| slice.object).collect();
        self.shared.transfer.sync(objects.clone()).wait().await?;
        let _guard = file.committed.lock().await;
        let replace =
            ReplaceSlices { ino, chunk: number, old: list, new, delete_at: now(), session: self.shared.session };
        let reply = self.mutate(MetaOp::ReplaceSlices(replace), Durability::Visible).await?;
        if !reply.into_replaced()? {
            // Somebody else has changed the beginning of the list; nothing refers to our objects.
            self.shared.transfer.delete(objects).wait().await?;
            return Ok(());
        }
        self.shared.want_maintenance();
        let list = self.read_metadata(move |metadata| metadata.get_chunk(ino, number)).await?;
        file.content.borrow_mut().keep_chunk(number, Rc::new(Chunk::new(list)));
        if let (Some(part), Some(cache)) = (self.cache_part(file.ino), &*file.cache.borrow()) {
            part.invalidate(cache, number * BLOCKS_PER_CHUNK..(number + 1) * BLOCKS_PER_CHUNK);
        }
        Ok(())
    }

    /// Stores what the list shows as new objects.
    async fn rewrite(
        self: &Rc<Self>,
        file: &Rc<FileState>,
        number: u64,
        resolved: &ResolvedChunk,
        densely: bool,
    ) -> FsResult<Vec<Slice>> {
        let mut new = Vec::new();
        let mut start = 0;
        while u64::from(start) < CHUNK_BYTES {
            let end = (start + self.shared.settings.block_bytes).min(CHUNK_BYTES as u32);
            let extents = resolved.extents(start..end);
            for run in runs(&extents, densely) {
                let _right = self.shared.transfer.rewrite().wait().await?;
                let bytes = self.shown_bytes(file, number, resolved, run.clone()).await?;
                let mut writes = DirtyMap::default();
                writes.insert(number * CHUNK_BYTES + u64::from(run.start), bytes);
                new.extend(self.upload_writes(&writes).await?.into_iter().flat_map(|(_, slices)| slices));
            }
            start = end;
        }
        Ok(new)
    }

    async fn shown_bytes(
        &self,
        file: &FileState,
        number: u64,
        resolved: &ResolvedChunk,
        run: Range<u32>,
    ) -> FsResult<Bytes> {
        let extents = resolved.extents(run.clone());
        let pieces = extents.iter().filter_map(|extent| piece(extent, run.start)).collect();
        // In holes at the beginning of the file the inline bytes show through.
        let inline = file.content.borrow().inline.clone().filter(|_| number == 0);
        let base = inline.map(|inline| inline.slice(inline.len().min(run.start as usize)..));
        let fetch = Fetch { base, pieces, length: run.len() };
        Ok(self.shared.transfer.fetch(fetch).wait().await?.into_bytes())
    }
}

/// The runs of data; densely it's one, from the first byte of data to the last.
fn runs(extents: &[Extent], densely: bool) -> Vec<Range<u32>> {
    let mut runs: Vec<Range<u32>> = Vec::new();
    for extent in extents.iter().filter(|extent| extent.source != Source::Hole) {
        match runs.last_mut() {
            Some(last) if densely || last.end == extent.position => last.end = extent.end(),
            _ => runs.push(extent.position..extent.end()),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_types::ObjectKind;

    fn slice(position: u32, length: u32, object: u64) -> Slice {
        let kind = ObjectKind::Block;
        Slice { position, length, object: ObjectId(object), object_offset: 0, object_length: length, kind }
    }

    #[test]
    fn runs_span_holes_only_when_rewriting_densely() {
        let resolved = ResolvedChunk::new(&[slice(10, 10, 1), slice(20, 5, 2), slice(50, 5, 3)]);
        let extents = resolved.extents(0..100);
        assert_eq!(runs(&extents, false), [10..25, 50..55]);
        assert_eq!(runs(&extents, true), std::slice::from_ref(&(10..55)));
    }

    #[test]
    fn a_list_of_middle_length_is_left_to_grow() {
        let appends = |count: u32| Chunk::new((0..count).map(|n| slice(n * 10, 10, u64::from(n) + 1)).collect());
        let is_due = |chunk: &Chunk| is_due(chunk, 4 << 20);
        assert!(!is_due(&appends(63)));
        assert!(!is_due(&appends(511)));
        assert!(is_due(&appends(512)));
        let scattered = |count: u32| Chunk::new((0..count).map(|n| slice(n * 50_000, 10, u64::from(n) + 1)).collect());
        assert!(!is_due(&scattered(999)));
        assert!(is_due(&scattered(1000)));
    }

    #[test]
    fn a_chunk_of_small_objects_is_not_rewritten_into_the_same() {
        let whole = Chunk::new((0..1024u32).map(|n| slice(n << 16, 1 << 16, u64::from(n) + 1)).collect());
        assert!(!is_due(&whole, 64 << 10));
        assert!(is_due(&whole, 4 << 20));
    }
}
