//! What the file system's names, attributes and file maps are: keys, records, and one transaction for each operation.
//!
//! Relies on [`shoal_kv::Kv`] and on nothing below it. Never reads a clock, never draws a number by chance, never knows
//! which engine it talks to. Mutations are values ([`MetaOp`] -> [`MetaReply`]) given to [`Metadata::submit`]; reads are
//! methods of [`Metadata`] on the caller's thread.

// In tests a failed unwrap is a failed test, which is what it is for.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod account;
mod backup;
pub mod check;
mod error;
mod executor;
pub mod feed;
mod format;
mod inode;
pub mod keys;
mod lock_ranges;
mod metadata;
mod operation;
mod ops;
mod reads;
pub mod records;
mod reply;
mod sealed_kv;
mod trash_name;
mod writeback;

pub use account::{Account, Limits, QuotaInfo, QuotaState};
pub use backup::BackupTurn;
pub use error::{MetaError, MetaResult};
pub use lock_ranges::LockRanges;
pub use metadata::{
    CloneInfo, Content, DirectoryEntry, DirectoryPage, FormatOptions, HeldLock, Metadata, PackList, QueuedDeletion,
    QueuedRemoval, SessionInfo, SparsePack, StagedFile, Usage,
};
pub use operation::{
    AdjustUsage, Append, AppendedContent, BeginClone, Caller, CancelLockWait, CleanClone, CopyRange, Create,
    CreateNameless, DeleteQuota, EndSession, Fallocate, FillClone, FinishClone, ForgetObjects, ForgetSparsePacks,
    Heartbeat, LeaseInodes, LeaseObjects, Link, LockWait, MetaOp, MovedPart, NoteAccesses, Pack, PackedFile,
    PurgeTrash, RegisterSession, Release, RemoveInode, RemoveTree, RemoveXattr, Rename, Repack, ReplaceSlices, Rmdir,
    SetAttributes, SetFlags, SetLock, SetQuota, SetTrash, SetXattr, Sustain, TakeMaintenance, TrimFeed, Truncate,
    Unlink, WriteInline, WriteSlices,
};
pub use ops::Repair;
pub use records::{Accounting, OwnerState, SessionKind, SessionRecord, WritebackFolder};
pub use reply::{
    Appended, CloneProgress, CloneRefusal, Copied, Emptied, Fallocated, LockOutcome, MetaReply, Removed, Renamed,
    Truncated,
};
pub use sealed_kv::SealedKv;
pub use trash_name::TrashName;
