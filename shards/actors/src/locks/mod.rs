//! Advisory locks of programs on this mount: decided in metadata, so that they hold between mounts, and brought there by
//! the inode's owner, one request of an inode at a time.
//!
//! The owner remembers what this mount holds of each inode. So it knows who can go on when something is given up here,
//! without asking; what others give up is told by the session's bell (`bell.rs`). A request that waits is also made again
//! once in a while, whatever happens.
//!
//! A lock is worth nothing without the bytes it protects. So whoever gets one sees what others have written under theirs
//! (`refresh.rs`), and before exclusive use ends, what was written under it is committed.
//!
//! Reads and writes never look at locks.

mod barrier;
mod bell;
mod marks;
mod query;
mod refresh;
mod release;
mod set;
mod state;
mod wait;

pub(crate) use bell::Bell;
pub(crate) use marks::LockMarks;
pub use query::LockInfo;
pub use refresh::KernelPages;
pub(crate) use refresh::LockedPages;
pub use release::LockHolder;
pub(crate) use state::InodeLocks;

use shoal_types::{Ino, LockMode, LockRange, LockSpace};

/// What a program asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LockRequest {
    pub ino: Ino,
    pub space: LockSpace,
    /// The kernel's number for whoever holds locks together: a process, or an open file description.
    pub owner: u64,
    /// The open file description that the request came through.
    pub handle: u64,
    pub pid: u32,
    pub range: LockRange,
    /// `None` gives up.
    pub mode: Option<LockMode>,
}
