//! The shards: actors that own the file state of their inodes, each on a pinned thread with a ring of its own.
//!
//! A front end attaches to each shard (`Shards::run`) and calls its methods there. Whatever needs an inode's owner goes to
//! it by message; what all shards may read is published (`open_files`) or checked by stamps (`stamps`). Metadata goes to
//! the engine as operations, file bytes to the transfer workers. No lock is shared between shards on the read, write,
//! lookup or create path.
//!
//! Never chooses an engine or a store: they come with [`Config`].

// In tests a failed unwrap is a failed test, which is what it is for.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod access_times;
mod budget;
mod clones;
mod config;
mod directory_order;
mod dispatch;
mod feed;
mod file;
mod held;
mod kept_pages;
mod leases;
mod limits;
mod local_event;
mod locks;
mod maintenance;
mod message;
mod metadata_workers;
mod name_cache;
mod namespace;
mod open_files;
mod pace;
mod packs;
mod recent_map;
mod room;
mod seq_table;
mod session;
mod shard;
mod shards;
mod shared;
mod stamps;
mod touched;
mod transfer;
mod whole_directories;

#[cfg(test)]
mod tests;

pub use clones::CloneStatus;
pub use config::{AccessTimes, Config, KernelTimeouts};
pub use file::{CacheOrder, Compacted, Fallocate, Fallocation, SeekTo, Warmed};
pub use limits::SESSION_EXPIRY;
pub use locks::{KernelPages, LockHolder, LockInfo, LockRequest};
pub use message::{ReadReply, Respond};
pub use namespace::{Access, AttributeChanges, NewInode, NewTime, Opened, RemovedFiles, RenameFlags};
pub use shard::Shard;
pub use shards::{Shards, StartError};
pub use shoal_metadata::{Account, Caller, DirectoryEntry, DirectoryPage, Limits, QuotaInfo, TrashName, Usage};
pub use shoal_object_store::{Figures, KindFigures};
