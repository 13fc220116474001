//! Bytes: write, flush, fsync. They are the owner's; a request that arrives elsewhere goes to it, and its answer comes
//! from there. (Reads, which need the owner less often, are in `file/read.rs`.)

use crate::file::SeekTo;
use crate::message::{Message, Respond};
use crate::shard::Shard;
use crate::shared::now;
use bytes::Bytes;
use shoal_types::{FsResult, Ino};
use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;

impl Shard {
    /// Buffers all of `data`. `respond` may be called on another shard.
    pub async fn write(
        self: &Rc<Self>,
        ino: Ino,
        offset: u64,
        data: Bytes,
        respond: impl FnOnce(FsResult<u32>) + Send + 'static,
    ) {
        let owner = self.shared.owner(ino);
        if owner == self.index {
            return respond(self.write_owned(ino, offset, data, now()).await);
        }
        let respond: Respond<u32> = Box::new(respond);
        self.send(owner, Message::Write { ino, offset, data, now: now(), respond }).await;
    }

    /// Commits what is buffered: every mount sees it.
    pub async fn flush(self: &Rc<Self>, ino: Ino, respond: impl FnOnce(FsResult<()>) + Send + 'static) {
        let owner = self.shared.owner(ino);
        if owner == self.index {
            return respond(self.flush_owned(ino).await);
        }
        let open = self.shared.open_files.get(ino);
        if !open.is_some_and(|file| file.is_pending() || file.lost.load(SeqCst)) {
            return respond(Ok(()));
        }
        let respond: Respond<()> = Box::new(respond);
        self.send(owner, Message::Flush { ino, respond }).await;
    }

    /// The first data or hole at or behind `offset`; `ENXIO` where there is none, or the file has ended.
    pub async fn seek(self: &Rc<Self>, ino: Ino, offset: u64, to: SeekTo) -> FsResult<u64> {
        let owner = self.shared.owner(ino);
        match owner == self.index {
            true => self.seek_owned(ino, offset, to).await,
            false => self.ask(owner, |respond| Message::Seek { ino, offset, to, respond }).await,
        }
    }

    /// Everything of this file survives power loss.
    pub async fn fsync(self: &Rc<Self>, ino: Ino, respond: impl FnOnce(FsResult<()>) + Send + 'static) {
        let owner = self.shared.owner(ino);
        if owner == self.index {
            return respond(self.fsync_owned(ino).await);
        }
        let respond: Respond<()> = Box::new(respond);
        self.send(owner, Message::Fsync { ino, respond }).await;
    }
}
