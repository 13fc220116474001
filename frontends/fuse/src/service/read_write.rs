//! READ and WRITE: bytes go through without being copied, and whoever has them answers.
//!
//! A read that has waited for long may be interrupted. A write may not, once the volume has it: it's buffered whole,
//! and an EINTR would say that it isn't. It waits only for room in the write buffer, which uploads make, and those have
//! deadlines.

use super::{SUPERUSER, VolumeService};
use crate::transport::{Reply, ReplyBody};
use bytes::Bytes;
use futures_channel::oneshot;
use rustix::fs::OFlags;
use shoal_fuse_protocol::abi::WRITE_CACHE;
use shoal_fuse_protocol::{Header, write_out};
use shoal_types::{Errno, FsResult, Ino};

/// Above any size that INIT can agree on: a bound against nonsense.
const READ_BYTES_MAX: usize = 16 << 20;

impl VolumeService {
    pub(super) async fn read<R: Reply>(&self, unique: u64, ino: Ino, offset: u64, size: u32, flags: u32, mut reply: R) {
        if self.counts_as_access(flags) {
            self.volume.note_read(ino);
        }
        let length = (size as usize).min(READ_BYTES_MAX);
        let buffer = reply.data_buffer(length);
        let answer = self.waiting.enter(unique, reply);
        let respond = move |read: FsResult<_>| {
            answer.send(read.map(|(count, buffer)| ReplyBody::Buffer(buffer, 0..count)));
        };
        self.volume.read(ino, offset, length, buffer, respond).await;
    }

    pub(super) async fn write<R: Reply>(&self, ino: Ino, offset: u64, data: Bytes, flags: WriteFlags, reply: R) {
        let respond = move |written: FsResult<u32>| super::send(reply, written.map(write_out));
        if !flags.must_be_durable() {
            return self.write_or_append(ino, offset, data, flags, respond).await;
        }
        let (sender, receiver) = oneshot::channel();
        let written = move |written| {
            // The receiver is there unless this shard has stopped, and then nobody waits for an answer.
            let _ = sender.send(written);
        };
        self.write_or_append(ino, offset, data, flags, written).await;
        match receiver.await.unwrap_or(Err(Errno::EIO)) {
            Ok(written) => self.volume.fsync(ino, move |synced| respond(synced.map(|()| written))).await,
            Err(errno) => respond(Err(errno)),
        }
    }

    /// An appending writer's offset is where the kernel believes the end to be. If other mounts have moved it, the pages in
    /// which the kernel has put the bytes are wrong, and have to be forgotten once it has the answer.
    async fn write_or_append(
        &self,
        ino: Ino,
        offset: u64,
        data: Bytes,
        flags: WriteFlags,
        respond: impl FnOnce(FsResult<u32>) + Send + 'static,
    ) {
        if !flags.appends() {
            return self.volume.write(ino, offset, data, flags.exempt, respond).await;
        }
        let (written, kernel_pages) = (data.len() as u32, self.kernel_pages.clone());
        let appended = move |begin: FsResult<u64>| {
            respond(begin.map(|_| written));
            if begin.is_ok_and(|begin| begin != offset) {
                kernel_pages.forget_soon(ino);
            }
        };
        self.volume.append(ino, data, flags.exempt, appended).await;
    }
}

/// What a WRITE tells about itself and about how its file was opened.
#[derive(Clone, Copy)]
pub(super) struct WriteFlags {
    pub write: u32,
    pub open: u32,
    /// The superuser is bound by no user's limits.
    pub exempt: bool,
}

impl WriteFlags {
    /// Who wrote a page that the kernel writes back later is not known.
    pub fn new(header: &Header, write: u32, open: u32) -> Self {
        WriteFlags { write, open, exempt: header.uid == SUPERUSER && write & WRITE_CACHE == 0 }
    }

    /// After a write to a file opened with O_SYNC or O_DSYNC the kernel sends an FSYNC, except after asynchronous direct
    /// I/O: there the write itself has to be the durable one.
    fn must_be_durable(self) -> bool {
        OFlags::from_bits_retain(self.open).contains(OFlags::DIRECT | OFlags::DSYNC)
    }

    /// Not what the kernel writes back: those pages have their place.
    pub fn appends(self) -> bool {
        OFlags::from_bits_retain(self.open).contains(OFlags::APPEND) && self.write & WRITE_CACHE == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(write: u32, open: OFlags) -> WriteFlags {
        WriteFlags { write, open: open.bits(), exempt: false }
    }

    #[test]
    fn only_direct_synchronous_writes_sync_by_themselves() {
        assert!(flags(0, OFlags::DIRECT | OFlags::DSYNC | OFlags::RDWR).must_be_durable());
        assert!(flags(0, OFlags::DIRECT | OFlags::SYNC).must_be_durable(), "O_SYNC includes O_DSYNC");
        for open in [OFlags::DIRECT, OFlags::DSYNC, OFlags::SYNC, OFlags::RDWR] {
            assert!(!flags(0, open).must_be_durable(), "{open:?}");
        }
    }

    #[test]
    fn appending_is_for_who_writes_and_not_for_what_is_written_back() {
        assert!(flags(0, OFlags::APPEND | OFlags::WRONLY).appends());
        assert!(!flags(WRITE_CACHE, OFlags::APPEND | OFlags::WRONLY).appends());
        assert!(!flags(0, OFlags::RDWR).appends());
    }
}
