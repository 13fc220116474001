//! READ and WRITE: bytes go through without being copied, and whoever has them answers.
//!
//! A read that has waited for long may be interrupted. A write may not, once the volume has it: it's buffered whole,
//! and an EINTR would say that it isn't. It waits only for room in the write buffer, which uploads make, and those have
//! deadlines.

use super::VolumeService;
use crate::transport::{Reply, ReplyBody};
use bytes::Bytes;
use futures_channel::oneshot;
use rustix::fs::OFlags;
use shoal_fuse_protocol::write_out;
use shoal_types::{Errno, FsResult, Ino};

/// Above any size that INIT can agree on: a bound against nonsense.
const READ_BYTES_MAX: usize = 16 << 20;

impl VolumeService {
    pub(super) async fn read<R: Reply>(&self, unique: u64, ino: Ino, offset: u64, size: u32, mut reply: R) {
        let length = (size as usize).min(READ_BYTES_MAX);
        let buffer = reply.data_buffer(length);
        let answer = self.waiting.enter(unique, reply);
        let respond = move |read: FsResult<_>| {
            answer.send(read.map(|(count, buffer)| ReplyBody::Buffer(buffer, 0..count)));
        };
        self.volume.read(ino, offset, length, buffer, respond).await;
    }

    pub(super) async fn write<R: Reply>(&self, ino: Ino, offset: u64, data: Bytes, flags: u32, reply: R) {
        if !must_be_durable(flags) {
            return self.volume.write(ino, offset, data, move |written| answer_write(reply, written)).await;
        }
        let written = match self.write_and_wait(ino, offset, data).await {
            Ok(written) => written,
            Err(errno) => return reply.send(Err(errno)),
        };
        self.volume.fsync(ino, move |synced| answer_write(reply, synced.map(|()| written))).await;
    }

    async fn write_and_wait(&self, ino: Ino, offset: u64, data: Bytes) -> FsResult<u32> {
        let (sender, receiver) = oneshot::channel();
        let respond = move |written| {
            // The receiver is there unless this shard has stopped, and then nobody waits for an answer.
            let _ = sender.send(written);
        };
        self.volume.write(ino, offset, data, respond).await;
        receiver.await.unwrap_or(Err(Errno::EIO))
    }
}

fn answer_write<R: Reply>(reply: R, written: FsResult<u32>) {
    super::send(reply, written.map(write_out));
}

/// After a write to a file opened with O_SYNC or O_DSYNC the kernel sends an FSYNC, except after asynchronous direct
/// I/O: there the write itself has to be the durable one.
fn must_be_durable(flags: u32) -> bool {
    OFlags::from_bits_retain(flags).contains(OFlags::DIRECT | OFlags::DSYNC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_direct_synchronous_writes_sync_by_themselves() {
        assert!(must_be_durable((OFlags::DIRECT | OFlags::DSYNC | OFlags::RDWR).bits()));
        assert!(must_be_durable((OFlags::DIRECT | OFlags::SYNC).bits()), "O_SYNC includes O_DSYNC");
        for flags in [OFlags::DIRECT, OFlags::DSYNC, OFlags::SYNC, OFlags::RDWR] {
            assert!(!must_be_durable(flags.bits()), "{flags:?}");
        }
    }
}
