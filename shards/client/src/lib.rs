//! `Volume`: the asynchronous POSIX-like API in process. Every front end uses this crate and nothing below it.
//!
//! A front end that lives on the shards' threads (FUSE) attaches to each of them by [`Volume::run`] and calls
//! [`LocalVolume`] there, without a hop. All others call the methods of `Volume` from any task of any runtime: what they
//! ask for runs on the shard that owns the inode, and the answer comes back to them.

// In tests a failed unwrap is a failed test, which is what it is for.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod calls;
mod volume;

#[cfg(test)]
mod tests;

pub use shoal_actors::{
    Access, AccessTimes, Account, AttributeChanges, CacheOrder, Caller, CloneStatus, Compacted, Config, DirectoryEntry,
    DirectoryPage, Fallocate, Fallocation, Figures, KernelPages, KernelTimeouts, KindFigures, Limits, LockHolder,
    LockInfo, LockRequest, NewInode, NewTime, Opened, QuotaInfo, ReadReply, RemovedFiles, RenameFlags, Respond,
    SESSION_EXPIRY, SeekTo, Shard as LocalVolume, StartError, TrashName, Usage, Warmed,
};
pub use volume::Volume;
