//! The simplest correct POSIX tree in memory: the executable specification that other code is judged by.
//!
//! Relies on `shoal-types` and on nothing that it judges. Never does I/O, never reads a clock: time arrives as an
//! argument. Never checks permissions, and clears set-id bits only when told to: both belong to whoever knows the caller.
//!
//! # Order of checks
//!
//! Where several refusals apply, the first in this order is the answer. It's what Linux answers, seen from below the
//! kernel's path walk (`tests/host_comparison.rs` holds it against a real directory).
//!
//! * Every operation by parent and name: the parent is unknown (`ENOENT`), it is no directory (`ENOTDIR`).
//! * `create`, `mknod`, `mkdir`, `symlink`: bad arguments first (`mknod` kind, symlink target), then the parent was
//!   removed (`ENOENT`), the name is taken (`EEXIST`).
//! * `link`: the source is unknown (`ENOENT`), parent removed (`ENOENT`), name taken (`EEXIST`), source is a directory
//!   (`EPERM`), source has no name left (`ENOENT`).
//! * `unlink`: no such name (`ENOENT`), a directory (`EISDIR`). `rmdir`: `ENOENT`, `ENOTDIR`, `ENOTEMPTY`.
//! * `rename`: see `rename.rs`. `clone_tree`: see `clone.rs`.
//! * `truncate`, `write`, `read`, `fallocate`, `copy_range`: unknown inode (`ENOENT`), a directory (`EISDIR`), not a regular file (`EINVAL`),
//!   beyond the largest offset (`EFBIG`).
//! * Extended attributes: unknown inode (`ENOENT`); then see `xattrs.rs` and `acls.rs`.
//! * What the flags of a directory forbid (`EPERM`, `flags.rs`) comes behind `ENOENT` and `EEXIST`; what those of an inode
//!   forbid comes behind `EISDIR` and `ENOTDIR`, and before `ENOTEMPTY` and the limits of offsets.

// A test that fails to unwrap has found what it looks for.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod acls;
mod attributes;
mod clone;
mod content;
mod create;
mod data;
mod dump;
mod flags;
mod link;
mod locks;
mod open;
mod ranges;
mod read;
mod remove;
mod rename;
mod tree;
mod xattrs;

pub use content::{content_hash, content_hash_of};
pub use create::NewNode;
pub use dump::NodeDescription;
pub use locks::{LockAnswer, LockRequest, LockTable};
pub use rename::RenameFlags;
pub use tree::Oracle;

#[cfg(test)]
mod testing;
