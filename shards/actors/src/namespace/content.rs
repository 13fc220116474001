//! Bytes: write, flush, fsync. They are the owner's; a request that arrives elsewhere goes to it, and its answer comes
//! from there. (Reads, which need the owner less often, are in `file/read.rs`.)

use crate::file::{CacheOrder, Compacted, Fallocation, SeekTo, Warmed};
use crate::message::{Message, Respond};
use crate::shard::Shard;
use crate::shared::now;
use bytes::Bytes;
use shoal_types::{FsResult, Ino};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::rc::Rc;

impl Shard {
    /// Buffers all of `data`. `exempt`: on behalf of the superuser, whom limits of users and groups don't bind. `respond`
    /// may be called on another shard.
    pub async fn write(
        self: &Rc<Self>,
        ino: Ino,
        offset: u64,
        data: Bytes,
        exempt: bool,
        respond: impl FnOnce(FsResult<u32>) + Send + 'static,
    ) {
        let owner = self.shared.owner(ino);
        if owner == self.index {
            return respond(self.write_owned(ino, offset, data, exempt, now()).await);
        }
        let respond: Respond<u32> = Box::new(respond);
        self.send(owner, Message::Write { ino, offset, data, exempt, now: now(), respond }).await;
    }

    /// Writes all of `data` behind the end of the file, wherever that is by then; `respond`, perhaps on another shard, gets
    /// where it begins. No two appends overlap, whatever mounts they come from.
    pub async fn append(
        self: &Rc<Self>,
        ino: Ino,
        data: Bytes,
        exempt: bool,
        respond: impl FnOnce(FsResult<u64>) + Send + 'static,
    ) {
        let owner = self.shared.owner(ino);
        if owner == self.index {
            return respond(self.append_owned(ino, data, exempt, now()).await);
        }
        let respond: Respond<u64> = Box::new(respond);
        self.send(owner, Message::Append { ino, data, exempt, now: now(), respond }).await;
    }

    /// No other mount lives, so that the kernel's idea of a file's end is right.
    pub fn is_alone(&self) -> bool {
        self.shared.is_alone()
    }

    /// Commits what is buffered: every mount sees it.
    pub async fn flush(self: &Rc<Self>, ino: Ino, respond: impl FnOnce(FsResult<()>) + Send + 'static) {
        let owner = self.shared.owner(ino);
        if owner == self.index {
            return respond(self.flush_owned(ino).await);
        }
        let open = self.shared.open_files.get(ino);
        if !open.is_some_and(|file| file.is_pending() || file.has_losses()) {
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

    /// `EINVAL` for no bytes, `EFBIG`.
    pub async fn fallocate(self: &Rc<Self>, ino: Ino, how: Fallocation, offset: u64, length: u64) -> FsResult<()> {
        let (owner, now) = (self.shared.owner(ino), now());
        match owner == self.index {
            true => self.fallocate_owned(ino, how, offset, length, now).await,
            false => self.ask(owner, |respond| Message::Fallocate { ino, how, offset, length, now, respond }).await,
        }
    }

    /// Copies bytes of one file, or within one, without moving them; tells how many. Fewer than asked for at the source's
    /// end, and where a call would take long. `EINVAL` for ranges of one file that overlap, `EFBIG`.
    pub async fn copy_range(
        self: &Rc<Self>,
        (source, source_offset): (Ino, u64),
        (target, target_offset): (Ino, u64),
        length: u64,
    ) -> FsResult<u64> {
        self.flush_inode(source).await?;
        let (owner, now) = (self.shared.owner(target), now());
        match owner == self.index {
            true => self.copy_range_owned((source, source_offset), (target, target_offset), length, now).await,
            false => {
                let message =
                    |respond| Message::CopyRange { source, source_offset, target, target_offset, length, now, respond };
                self.ask(owner, message).await
            }
        }
    }

    /// Commits what is buffered, then shortens slice lists that are longer than they need be or cover bytes, from a chunk on,
    /// for a while; tells how far it came. No byte of the file changes.
    pub async fn compact(self: &Rc<Self>, ino: Ino, first: u64) -> FsResult<Compacted> {
        let owner = self.shared.owner(ino);
        match owner == self.index {
            true => self.compact_owned(ino, first).await,
            false => self.ask(owner, |respond| Message::Compact { ino, first, respond }).await,
        }
    }

    /// Counts, fills, pins or drops what is cached of a file, for a while; tells how far it came within `range`.
    pub async fn warm(self: &Rc<Self>, ino: Ino, order: CacheOrder, range: Range<u64>) -> FsResult<Warmed> {
        let owner = self.shared.owner(ino);
        match owner == self.index {
            true => self.warm_owned(ino, order, range).await,
            false => self.ask(owner, |respond| Message::Warm { ino, order, range, respond }).await,
        }
    }

    /// The cached file for somebody who reads it past us, if all of it is cached and verified. What is written to the file
    /// from then on is not seen there. To be given back before the file is closed.
    pub async fn lend(self: &Rc<Self>, ino: Ino) -> FsResult<Option<OwnedFd>> {
        let owner = self.shared.owner(ino);
        match owner == self.index {
            true => self.lend_owned(ino).await,
            false => self.ask(owner, |respond| Message::Lend { ino, respond }).await,
        }
    }

    pub async fn give_back(self: &Rc<Self>, ino: Ino) {
        let owner = self.shared.owner(ino);
        match owner == self.index {
            true => self.give_back_owned(ino),
            false => self.send(owner, Message::GiveBack { ino }).await,
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
