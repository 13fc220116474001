//! Open files: OPEN, FSYNC, LSEEK. (Closing them is in `locks`.)
//!
//! A handle is a number and nothing else: locks that belong to an open file description are known by it. The volume counts
//! how often a file is open, and the kernel tells everything else with each request.

use super::VolumeService;
use super::passthrough::{Version, Way};
use super::read_only::wants_to_write;
use crate::transport::{Reply, ReplyBody};
use rustix::fs::OFlags;
use shoal_client::{Access, RemovedFiles, SeekTo};
use shoal_fuse_protocol::abi::{fopen, whence};
use shoal_fuse_protocol::{Header, lseek_out, open_backed_out, open_out};
use shoal_types::{Errno, FsResult, Ino};

/// Of a file just created: nobody can have cached anything wrong about it.
pub(super) const WRITER_FLAGS: u32 = fopen::KEEP_CACHE | fopen::PARALLEL_DIRECT_WRITES;

/// Those that the kernel lets stand beside PASSTHROUGH and that mean something there.
const BACKED_FLAGS: u32 = fopen::NOFLUSH;

impl VolumeService {
    pub(super) async fn open(&self, header: &Header, ino: Ino, flags: u32) -> FsResult<[u8; 16]> {
        let removed = self.removed_files(header);
        let opened = self.volume.open(ino, access(flags), removed).await;
        let opened = opened.inspect_err(|errno| self.note_refusal(header, removed, *errno))?;
        if self.volume.may_mislead_kernel_about_lengths() {
            // It does not ask for a file's length because it's opened: whoever reads gets that of now.
            let known = self.nodes.node(ino).map(|node| self.notifier.invalidate_attributes(node));
            if let Ok(Err(error)) = known {
                tracing::warn!(%ino, %error, "the kernel has not forgotten attributes");
            }
        }
        if self.counts_as_access(flags) {
            self.volume.note_access(&opened.attributes);
        }
        let flags = open_flags(flags, opened.keep_cache, opened.tell_closes) | self.appender_flags(flags);
        let (length, ctime) = (opened.attributes.length, opened.attributes.ctime);
        let way = match &self.passthrough {
            Some(passthrough) => passthrough.open(&self.volume, ino, Version { length, ctime }).await,
            None => Way::Ours,
        };
        let backed = flags & BACKED_FLAGS | fopen::PASSTHROUGH;
        Ok(match way {
            Way::Ours => open_out(self.next_handle(), flags),
            Way::Backed(id) => open_backed_out(self.next_handle(), backed, id),
            Way::BesideOld(id) => open_backed_out(self.next_handle(), backed | fopen::DIRECT_IO, id),
        })
    }

    /// What this thread gets where it opens a file that has lost its name: at first it's to look again.
    pub(super) fn removed_files(&self, header: &Header) -> RemovedFiles {
        match self.volume.may_mislead_kernel() {
            true => self.reopening.next(header.pid),
            false => RemovedFiles::Opened,
        }
    }

    /// An open failed. ENOENT becomes ESTALE on its way (`lost`).
    pub(super) fn note_refusal(&self, header: &Header, removed: RemovedFiles, errno: Errno) {
        if removed == RemovedFiles::Refused && matches!(errno, Errno::ESTALE | Errno::ENOENT) {
            self.reopening.refused(header.pid);
        }
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

    /// What is read after this the kernel may have cached, and then it does not ask for it: so the opening counts.
    pub(super) fn counts_as_access(&self, flags: u32) -> bool {
        let flags = OFlags::from_bits_retain(flags);
        let reads = flags & OFlags::ACCMODE != OFlags::WRONLY;
        reads && !flags.contains(OFlags::NOATIME) && !self.read_only
    }

    /// Of a file that is being opened; no other open file of this mount has it.
    pub(super) fn next_handle(&self) -> u64 {
        let handle = self.handles.get();
        self.handles.set(handle + self.volume.count() as u64);
        handle
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

/// By the flags of open(2).
fn access(flags: u32) -> Access {
    Access { write: wants_to_write(flags), append: OFlags::from_bits_retain(flags).contains(OFlags::APPEND) }
}

/// O_DIRECT needs nothing here: the kernel does it by itself. A reader has nothing to flush at close, and no record locks
/// either as long as nobody has asked for any.
fn open_flags(flags: u32, keep_cache: bool, tell_closes: bool) -> u32 {
    let mut out = fopen::PARALLEL_DIRECT_WRITES;
    if keep_cache {
        out |= fopen::KEEP_CACHE;
    }
    if !wants_to_write(flags) && !tell_closes {
        out |= fopen::NOFLUSH;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_may_write_or_have_locks_flushes_at_close() {
        let flushes = |flags: OFlags, tell_closes| open_flags(flags.bits(), true, tell_closes) & fopen::NOFLUSH == 0;
        assert!(!flushes(OFlags::RDONLY, false));
        assert!(flushes(OFlags::RDONLY, true));
        for writing in [OFlags::WRONLY, OFlags::RDWR] {
            assert!(flushes(writing, false));
        }
    }

    #[test]
    fn cached_pages_are_kept_only_if_the_volume_says_so() {
        assert_ne!(open_flags(0, true, false) & fopen::KEEP_CACHE, 0);
        assert_eq!(open_flags(0, false, false) & fopen::KEEP_CACHE, 0);
    }
}
