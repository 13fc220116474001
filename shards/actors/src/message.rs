//! What shards say to each other. Requests flow to the owner; answers go by the closure that came with them, straight
//! from the owner's thread to whoever asked (a FUSE reply is written there: no second hop).

use crate::file::{CacheOrder, Compacted, Fallocation, SeekTo, Warmed};
use crate::locks::{LockHolder, LockRequest};
use bytes::Bytes;
use shoal_metadata::{LockWait, SetFlags};
use shoal_runtime::AlignedBuffer;
use shoal_types::{Attributes, FsResult, Ino, Timestamp};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// Gets the answer on the thread that has it; must not block.
pub type Respond<T> = Box<dyn FnOnce(FsResult<T>) + Send>;

/// A read's answer: the number of bytes at the start of the buffer, and the buffer.
pub type ReadReply = (usize, AlignedBuffer);

/// What a front end wants done on a shard's thread.
pub(crate) type Task = Box<dyn FnOnce(&Rc<crate::Shard>) + Send>;

pub(crate) enum Message {
    Read {
        ino: Ino,
        offset: u64,
        length: usize,
        buffer: AlignedBuffer,
        respond: Respond<ReadReply>,
    },
    Write {
        ino: Ino,
        offset: u64,
        data: Bytes,
        /// On behalf of the superuser.
        exempt: bool,
        now: Timestamp,
        respond: Respond<u32>,
    },
    /// Behind the end of the file, wherever that is; answered with where that was.
    Append {
        ino: Ino,
        data: Bytes,
        exempt: bool,
        now: Timestamp,
        respond: Respond<u64>,
    },
    /// Commit everything buffered; answered when every mount can see it.
    Flush {
        ino: Ino,
        respond: Respond<()>,
    },
    /// Flush, then make objects and metadata durable against power loss.
    Fsync {
        ino: Ino,
        respond: Respond<()>,
    },
    SetFlags {
        operation: SetFlags,
        respond: Respond<Attributes>,
    },
    Truncate {
        ino: Ino,
        length: u64,
        now: Timestamp,
        respond: Respond<Attributes>,
    },
    Fallocate {
        ino: Ino,
        how: Fallocation,
        offset: u64,
        length: u64,
        now: Timestamp,
        respond: Respond<()>,
    },
    /// To the owner of the target.
    CopyRange {
        source: Ino,
        source_offset: u64,
        target: Ino,
        target_offset: u64,
        length: u64,
        now: Timestamp,
        respond: Respond<u64>,
    },
    /// Where data or a hole begins.
    Seek {
        ino: Ino,
        offset: u64,
        to: SeekTo,
        respond: Respond<u64>,
    },
    /// Shorten slice lists, from a chunk on, for a while.
    Compact {
        ino: Ino,
        first: u64,
        respond: Respond<Compacted>,
    },
    /// Look after a file's bytes in the cache, for a while.
    Warm {
        ino: Ino,
        order: CacheOrder,
        range: Range<u64>,
        respond: Respond<Warmed>,
    },
    /// To the owner of a directory: a file in it is read that was not in the cache, or would not have been.
    ReadInOrder {
        directory: Ino,
        ino: Ino,
    },
    /// A small file that the directory's reader will come to.
    FetchAhead {
        directory: Ino,
        ino: Ino,
    },
    /// The cached file, for somebody who reads it past us; `None` if not all of it is cached.
    Lend {
        ino: Ino,
        respond: Respond<Option<OwnedFd>>,
    },
    GiveBack {
        ino: Ino,
    },
    /// Another mount may have changed the file: look again before the next read.
    Revalidate {
        ino: Ino,
        epoch: u64,
        respond: Respond<()>,
    },
    SetLock {
        request: LockRequest,
        wait: Option<LockWait>,
        respond: Respond<()>,
    },
    /// The program that waits for a lock under this number was interrupted.
    GiveUpWaiting {
        ino: Ino,
        number: u64,
    },
    ReleaseLocks {
        ino: Ino,
        holder: LockHolder,
        respond: Respond<()>,
    },
    /// Answered when nothing that is about to be given up is in the way of this request.
    AwaitReleases {
        request: LockRequest,
        respond: Respond<()>,
    },
    /// Another session has given up what somebody here may wait for.
    RetryLocks,
    /// Answered when all that came before has been begun with.
    Barrier {
        respond: Respond<()>,
    },
    /// The last handle was closed.
    Closed {
        ino: Ino,
    },
    /// The inode has no name any more and nobody may open it again: forget what is kept of it.
    Removed {
        ino: Ino,
    },
    /// For shard 0: there is something to remove, or somebody else has changed the volume.
    Maintain,
    /// Runs on the shard; how front ends attach their tasks.
    Run(Task),
    /// Commit everything buffered on this shard, tell how it went, and go on.
    /// As `FlushAll`, but what had to be dropped earlier is not told again.
    FlushFiles {
        respond: Respond<()>,
    },
    FlushAll {
        respond: Respond<()>,
    },
    Stop,
}
