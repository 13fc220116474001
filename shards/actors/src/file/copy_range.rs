//! copy_file_range(2): slices are shared by reference, no byte moves.
//!
//! Done by the target's owner; the source has been flushed before. What can't be shared, because the source's bytes lie in
//! metadata or the target's list is full, is read and written.

use super::FileState;
use crate::{Shard, limits};
use bytes::Bytes;
use futures_channel::oneshot;
use shoal_kv::Durability;
use shoal_metadata::{CopyRange, MetaOp, MetaReply};
use shoal_runtime::AlignedBuffer;
use shoal_types::{Errno, FsResult, Ino, Timestamp};
use std::rc::Rc;

/// How far one step came.
enum Step {
    Shared(u64),
    /// So many bytes must be moved.
    Unshareable(u64),
}

impl Shard {
    /// Tells how many bytes were copied: fewer than asked for at the end of the source, at `limits::COPY_BYTES_MAX`, and
    /// where something failed after a beginning. `EINVAL` for ranges of one file that overlap, `EFBIG`.
    pub(crate) async fn copy_range_owned(
        self: &Rc<Self>,
        (source, source_offset): (Ino, u64),
        (target, target_offset): (Ino, u64),
        length: u64,
        now: Timestamp,
    ) -> FsResult<u64> {
        let end = self.get_attributes(source).await?.length;
        let wanted = length.min(end.saturating_sub(source_offset)).min(limits::COPY_BYTES_MAX);
        if source == target && source_offset.abs_diff(target_offset) < wanted {
            return Err(Errno::EINVAL);
        }
        let mut copied = 0;
        while copied < wanted {
            let (from, to) = ((source, source_offset + copied), (target, target_offset + copied));
            match self.copy_step(from, to, wanted - copied, now).await {
                // The source has been cut meanwhile.
                Ok(0) => break,
                Ok(count) => copied += count,
                Err(_) if copied > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(copied)
    }

    async fn copy_step(
        self: &Rc<Self>,
        from: (Ino, u64),
        to: (Ino, u64),
        length: u64,
        now: Timestamp,
    ) -> FsResult<u64> {
        let step = {
            let file = self.file(to.0).await?;
            self.refresh_protection(&file).await?;
            self.require_writable(&file, to.1)?;
            let end = to.1.checked_add(length).ok_or(Errno::EFBIG)?;
            self.change_stored(&file, to.1..end, self.share_stored(&file, from, to.1, length, now)).await?
        };
        match step {
            Step::Shared(count) => Ok(count),
            Step::Unshareable(count) => self.move_bytes(from, to, count).await,
        }
    }

    async fn share_stored(
        self: &Rc<Self>,
        target: &FileState,
        (source, source_offset): (Ino, u64),
        target_offset: u64,
        length: u64,
        now: Timestamp,
    ) -> FsResult<Step> {
        let session = self.shared.session;
        let operation = CopyRange { source, source_offset, target: target.ino, target_offset, length, session, now };
        let reply = self.mutate(MetaOp::CopyRange(operation), Durability::Visible).await;
        // Objects that came by reference may be younger than the last sync of where they came from.
        target.content.borrow_mut().wholly_unsynced = true;
        match reply {
            Ok(MetaReply::CopyBytes(count)) => Ok(Step::Unshareable(count)),
            // Writing makes room in the list as it needs it.
            Err(Errno::EFBIG) => Ok(Step::Unshareable(length)),
            reply => {
                let count = reply?.into_copied()?.count;
                self.shared.want_maintenance();
                Ok(Step::Shared(count))
            }
        }
    }

    /// At most as many as one read takes.
    async fn move_bytes(self: &Rc<Self>, from: (Ino, u64), to: (Ino, u64), count: u64) -> FsResult<u64> {
        let length = count.min(limits::MOVED_BYTES_MAX) as usize;
        let (sender, receiver) = oneshot::channel();
        let respond = move |result| {
            // The receiver waits below, unless the shard is stopped.
            let _ = sender.send(result);
        };
        self.read(from.0, from.1, length, AlignedBuffer::with_capacity(length), respond).await;
        let (count, buffer) = receiver.await.unwrap_or(Err(Errno::EIO))?;
        let bytes: Bytes = buffer.into_bytes().slice(..count);
        self.write_owned(to.0, to.1, bytes, false, crate::shared::now()).await.map(u64::from)
    }
}
