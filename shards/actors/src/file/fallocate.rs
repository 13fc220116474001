//! fallocate(2): holes, zeros, and files that grow.
//!
//! Nothing is reserved: an object store has no way to. So zeros are a hole here, and room allocated is length.

use crate::Shard;
use shoal_kv::Durability;
use shoal_metadata::{self as metadata, MetaOp};
use shoal_types::{CHUNK_BYTES, Errno, FILE_BYTES_MAX, FsResult, Ino, Timestamp};
use std::rc::Rc;

/// What becomes of the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fallocate {
    /// They stay.
    Allocate,
    /// Zeros.
    Zero,
    /// Zeros, and the length stays whatever `keep_length` says.
    Punch,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fallocation {
    pub what: Fallocate,
    /// The file does not grow, also where the range ends behind it.
    pub keep_length: bool,
}

impl Shard {
    /// `EINVAL` for no bytes, `EFBIG`.
    pub(crate) async fn fallocate_owned(
        self: &Rc<Self>,
        ino: Ino,
        how: Fallocation,
        offset: u64,
        length: u64,
        now: Timestamp,
    ) -> FsResult<()> {
        if length == 0 {
            return Err(Errno::EINVAL);
        }
        let end = offset.checked_add(length).filter(|end| *end <= FILE_BYTES_MAX).ok_or(Errno::EFBIG)?;
        let Fallocation { what, keep_length } = how;
        let hole = if what == Fallocate::Allocate { offset..offset } else { offset..end };
        let length_min = if keep_length || what == Fallocate::Punch { 0 } else { end };
        let file = self.file(ino).await?;
        if !hole.is_empty() {
            for chunk in border_chunks(offset, end) {
                // A slice with a hole in its middle is two.
                self.make_room_in_list(&file, chunk, 1).await?;
            }
        }
        let session = self.shared.session;
        let operation = metadata::Fallocate { ino, start: hole.start, end: hole.end, length_min, session, now };
        self.change_stored(&file, hole, self.fallocate_stored(operation)).await
    }

    /// One transaction, or for a hole of many chunks several.
    async fn fallocate_stored(self: &Rc<Self>, mut operation: metadata::Fallocate) -> FsResult<()> {
        loop {
            let reply = self.mutate(MetaOp::Fallocate(operation.clone()), Durability::Visible).await?;
            operation.start = reply.into_fallocated()?.reached;
            self.shared.want_maintenance();
            if operation.start >= operation.end {
                return Ok(());
            }
            shoal_runtime::yield_now().await;
        }
    }
}

/// Those that the range may cover in part.
fn border_chunks(start: u64, end: u64) -> impl Iterator<Item = u64> {
    let (first, last) = (start / CHUNK_BYTES, (end - 1) / CHUNK_BYTES);
    [first].into_iter().chain((last > first).then_some(last))
}
