//! Open files: OPEN, RELEASE, FLUSH, FSYNC, LSEEK.
//!
//! A handle carries nothing: the volume counts how often a file is open, and the kernel tells everything else with each
//! request.

use super::VolumeService;
use super::read_only::wants_to_write;
use crate::transport::{Reply, ReplyBody};
use rustix::fs::OFlags;
use shoal_client::SeekTo;
use shoal_fuse_protocol::abi::{fopen, whence};
use shoal_fuse_protocol::{lseek_out, open_out};
use shoal_types::{Errno, FsResult, Ino};

const NO_HANDLE: u64 = 0;
/// Of a file just created: nobody can have cached anything wrong about it.
pub(super) const WRITER_FLAGS: u32 = fopen::KEEP_CACHE | fopen::PARALLEL_DIRECT_WRITES;

impl VolumeService {
    pub(super) async fn open(&self, ino: Ino, flags: u32) -> FsResult<[u8; 16]> {
        let truncate = OFlags::from_bits_retain(flags).contains(OFlags::TRUNC);
        let opened = self.volume.open(ino, truncate).await?;
        Ok(open_out(NO_HANDLE, open_flags(flags, opened.keep_cache) | self.appender_flags(flags)))
    }

    /// Through its cache the kernel sends a write that crosses a page in two, which would be two appends. And while others
    /// may move the end of the file, it doesn't know where appended bytes go, so it must not keep them. Who also reads by
    /// this handle gets the cache for as long as the mount is alone.
    pub(super) fn appender_flags(&self, flags: u32) -> u32 {
        let flags = OFlags::from_bits_retain(flags);
        let only_writes = flags & OFlags::ACCMODE == OFlags::WRONLY;
        let direct = flags.contains(OFlags::APPEND) && (only_writes || !self.volume.is_alone());
        if direct { fopen::DIRECT_IO } else { 0 }
    }

    pub(super) async fn release<R: Reply>(&self, ino: Ino, reply: R) {
        self.volume.close(ino).await;
        reply.send(Ok(ReplyBody::Empty));
    }

    /// close(2) waits for this, and reports how it ended. It can't be interrupted: half-way through, neither "done" nor
    /// "not done" would be true. The object store's deadlines bound it.
    pub(super) async fn flush<R: Reply>(&self, ino: Ino, reply: R) {
        self.volume.flush(ino, move |result| reply.send(result.map(|()| ReplyBody::Empty))).await;
    }

    /// The kernel asks only for data and holes; the rest of lseek(2) it does by itself.
    pub(super) async fn lseek(&self, ino: Ino, offset: u64, sought: u32) -> FsResult<[u8; 8]> {
        if self.writeback_cache {
            // It doesn't write back before it asks: bytes not sent yet would be called a hole, and copies would lose
            // them. After this it takes every file for data throughout.
            return Err(Errno::ENOSYS);
        }
        let to = match sought {
            whence::SEEK_DATA => SeekTo::Data,
            whence::SEEK_HOLE => SeekTo::Hole,
            _ => return Err(Errno::EINVAL),
        };
        self.volume.seek(ino, offset, to).await.map(lseek_out)
    }

    /// fdatasync is no different: length and times are committed together with the slices. Not to be interrupted, as
    /// FLUSH.
    pub(super) async fn fsync<R: Reply>(&self, ino: Ino, reply: R) {
        self.volume.fsync(ino, move |result| reply.send(result.map(|()| ReplyBody::Empty))).await;
    }
}

/// O_DIRECT needs nothing here: the kernel does it by itself. A reader has nothing to flush at close.
fn open_flags(flags: u32, keep_cache: bool) -> u32 {
    let mut out = fopen::PARALLEL_DIRECT_WRITES;
    if keep_cache {
        out |= fopen::KEEP_CACHE;
    }
    if !wants_to_write(flags) {
        out |= fopen::NOFLUSH;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_may_write_flushes_at_close() {
        assert_ne!(open_flags(OFlags::RDONLY.bits(), true) & fopen::NOFLUSH, 0);
        for writing in [OFlags::WRONLY, OFlags::RDWR, OFlags::TRUNC] {
            assert_eq!(open_flags(writing.bits(), true) & fopen::NOFLUSH, 0);
        }
    }

    #[test]
    fn cached_pages_are_kept_only_if_the_volume_says_so() {
        assert_ne!(open_flags(0, true) & fopen::KEEP_CACHE, 0);
        assert_eq!(open_flags(0, false) & fopen::KEEP_CACHE, 0);
    }
}
