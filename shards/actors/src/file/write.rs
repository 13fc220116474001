//! Writes into the buffer, with back-pressure.

use super::FileState;
use crate::{Shard, limits};
use bytes::Bytes;
use shoal_types::{Errno, FILE_BYTES_MAX, FsResult, Ino, Timestamp};
use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;

impl Shard {
    /// Buffers `data` at `offset`, or as much of it as limits leave room for: acknowledged means every later read of this
    /// mount sees it. It is committed by the next flush, when a block is complete, or after `limits::FLUSH_DELAY`.
    pub(crate) async fn write_owned(
        self: &Rc<Self>,
        ino: Ino,
        offset: u64,
        data: Bytes,
        exempt: bool,
        now: Timestamp,
    ) -> FsResult<u32> {
        end_of(offset, &data)?;
        if data.is_empty() {
            return Ok(0);
        }
        let file = self.file(ino).await?;
        self.refresh_protection(&file).await?;
        let written = self.reserve(&file, data.len(), exempt, now).await?;
        let data = of_its_own(data.slice(..written));
        self.make_room(written).await;
        self.buffer(&file, offset, data, exempt, now)?;
        self.sync_if_flagged(&file).await?;
        Ok(written as u32)
    }

    /// Puts bytes into the buffer for which the budget and room under limits have been taken; gives them back where they are refused.
    ///
    /// Nothing is waited for: what is taken before the last flush begins is part of it.
    pub(super) fn buffer(
        self: &Rc<Self>,
        file: &Rc<FileState>,
        offset: u64,
        data: Bytes,
        exempt: bool,
        now: Timestamp,
    ) -> FsResult<()> {
        let written = data.len();
        let refusal = match (file.is_gone(), self.shared.closing.load(SeqCst)) {
            (true, _) => Err(Errno::ESTALE),
            (false, true) => Err(Errno::ENOTCONN),
            (false, false) => self.require_writable(file, offset).and_then(|()| end_of(offset, &data)),
        };
        let end = refusal.inspect_err(|_| {
            self.write_budget.release(written);
            file.reserved.borrow_mut().give_back(written);
        })?;
        {
            let mut content = file.content.borrow_mut();
            // The first buffered write counts even if it is earlier than the file's own time, which utimes may have set
            // into the future. Of those behind it the latest counts: clocks of shards may differ by a little.
            content.mtime = if content.has_buffered() { content.mtime.max(now) } else { now };
            content.exempt = exempt && (content.exempt || content.dirty.is_empty());
            content.dirty.insert(offset, data);
            content.dirty_budget += written;
            content.length = content.length.max(end);
            file.open.set_pending(content.pending());
        }
        file.open.plan.store(None);
        self.seal_full_blocks(file);
        self.arm_flush_timer(file);
        Ok(())
    }

    /// Takes `bytes` of the write budget; waits while it is full, and makes room by sealing what all files hold.
    ///
    /// Everything that holds budget is sealed then, or sealed by the next one who finds no room, and what is sealed is
    /// uploaded again and again (`arm_flush_timer`, `store_rest`) until it's committed or given up. So a writer waits
    /// for as long as the store is down, and no longer.
    pub(super) async fn make_room(self: &Rc<Self>, bytes: usize) {
        while !self.write_budget.try_acquire(bytes) {
            for file in self.all_files() {
                self.seal(&file);
            }
            self.write_budget.wait_for_room(bytes).await;
        }
    }

    /// Buffered bytes do not wait for ever: what nobody flushes is committed after a while.
    fn arm_flush_timer(self: &Rc<Self>, file: &Rc<FileState>) {
        if file.flush_timer.replace(true) {
            return;
        }
        let (shard, file) = (self.clone(), file.clone());
        shoal_runtime::spawn(async move {
            shoal_runtime::sleep(limits::FLUSH_DELAY).await;
            file.flush_timer.set(false);
            if !file.has_buffered() {
                return;
            }
            if let Err(error) = shard.flush_file(&file).await {
                tracing::warn!(ino = %file.ino, %error, "background flush failed; the bytes are kept and tried again");
                if !file.is_gone() {
                    shard.arm_flush_timer(&file);
                }
            }
        });
    }
}

/// A small part of a request's buffer must not keep the whole of it in memory.
pub(super) fn of_its_own(data: Bytes) -> Bytes {
    if data.len() < limits::SHARED_WRITE_BYTES_MIN { Bytes::copy_from_slice(&data) } else { data }
}

/// `EFBIG` beyond the largest file.
fn end_of(offset: u64, data: &Bytes) -> FsResult<u64> {
    offset.checked_add(data.len() as u64).filter(|end| *end <= FILE_BYTES_MAX).ok_or(Errno::EFBIG)
}
