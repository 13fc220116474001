//! SEEK_DATA and SEEK_HOLE: where a file has bytes of its own, and where it reads as zeros because nobody wrote there.
//!
//! Inline bytes and slices are data, to the byte; everything else up to the end is holes, and so is the end itself.

use super::content::Chunk;
use crate::{Shard, limits};
use shoal_types::{CHUNK_BYTES, Errno, FsResult, Ino};
use std::rc::Rc;

/// What lseek(2) looks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SeekTo {
    Data,
    Hole,
}

impl Shard {
    /// `ENXIO` at or beyond the end of the file, and where no data follows.
    pub(crate) async fn seek_owned(self: &Rc<Self>, ino: Ino, offset: u64, to: SeekTo) -> FsResult<u64> {
        let file = self.file(ino).await?;
        // Only the committed layers are looked at.
        self.flush_file(&file).await?;
        let (length, inline) = {
            let content = file.content.borrow();
            (content.committed_length, content.inline.as_ref().map_or(0, |inline| inline.len() as u64))
        };
        if offset >= length {
            return Err(Errno::ENXIO);
        }
        if to == SeekTo::Data && offset < inline {
            return Ok(offset);
        }
        let found = self.seek_in_chunks(ino, offset.max(inline), to).await?;
        match to {
            SeekTo::Data => found.filter(|at| *at < length).ok_or(Errno::ENXIO),
            SeekTo::Hole => Ok(found.unwrap_or(length).min(length)),
        }
    }

    /// Chunk after chunk of those that have slices. `None`: no data up to the end of all slices.
    async fn seek_in_chunks(self: &Rc<Self>, ino: Ino, from: u64, to: SeekTo) -> FsResult<Option<u64>> {
        let mut at = from;
        loop {
            let first = at / CHUNK_BYTES;
            let page = limits::CHUNKS_PER_READ;
            let chunks = self.read_metadata(move |metadata| metadata.get_chunks(ino, first, page)).await?;
            let last = chunks.len() < page;
            for (number, list) in chunks {
                let start = number * CHUNK_BYTES;
                let within = at.saturating_sub(start) as u32;
                let resolved = Chunk::new(list).resolved;
                match to {
                    SeekTo::Data => match resolved.next_data(within) {
                        Some(found) => return Ok(Some(start + u64::from(found))),
                        None => at = start + CHUNK_BYTES,
                    },
                    SeekTo::Hole if start > at => return Ok(Some(at)),
                    SeekTo::Hole => {
                        at = start + u64::from(resolved.next_hole(within));
                        if at < start + CHUNK_BYTES {
                            return Ok(Some(at));
                        }
                    }
                }
            }
            if last {
                return Ok((to == SeekTo::Hole).then_some(at));
            }
        }
    }
}
