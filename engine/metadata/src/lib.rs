//! What the file system's names, attributes and file maps are: keys, records, and one transaction for each operation.
//!
//! Relies on [`shoal_kv::Kv`] and on nothing below it. Never reads a clock, never draws a number by chance, never knows
//! which engine it talks to. Mutations are values ([`MetaOp`] -> [`MetaReply`]) given to [`Metadata::submit`]; reads are
//! methods of [`Metadata`] on the caller's thread.

// In tests a failed unwrap is a failed test, which is what it is for.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod check;
mod error;
mod executor;
mod format;
mod inode;
pub mod keys;
mod metadata;
mod operation;
mod ops;
mod reads;
pub mod records;
mod reply;

pub use error::{MetaError, MetaResult};
pub use metadata::{
    Content, DirectoryEntry, DirectoryPage, Metadata, QueuedDeletion, QueuedRemoval, SessionInfo, Usage,
};
pub use operation::{
    Create, EndSession, ForgetObjects, Heartbeat, LeaseInodes, LeaseObjects, Link, MetaOp, RegisterSession, Release,
    RemoveInode, Rename, ReplaceSlices, Rmdir, SetAttributes, Sustain, Truncate, Unlink, WriteInline, WriteSlices,
};
pub use records::{SessionKind, SessionRecord};
pub use reply::{MetaReply, Removed, Renamed, Truncated};
