//! The words every other crate speaks: identifiers, attributes, names, slices, locks, errors, volume settings.
//!
//! Relies on nothing of ours. Never does I/O, never reads a clock.

// In tests a failed unwrap is a failed test, which is what it is for.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod acl;
mod attributes;
mod consistency;
mod errno;
mod ids;
mod lock;
mod name;
mod settings;
mod slice;
mod time;
mod user_flags;
mod xattr;

pub use acl::{Acl, AclEntry, AclTag};
pub use attributes::{Attributes, FileKind, InodeFlags, Whiteout, without_set_id};
pub use consistency::Consistency;
pub use errno::{Errno, FsResult};
pub use ids::{Ino, ObjectId, SessionId};
pub use lock::{LockMode, LockRange, LockSpace};
pub use name::Name;
pub use settings::{AlsoEncrypted, Cipher, Compression, SCHEMA_VERSION, Staging, VolumeSettings};
pub use slice::{ObjectKind, Slice};
pub use time::Timestamp;
pub use xattr::{XattrMode, XattrName};

/// Bytes of a file governed by one slice list. Fixed for ever: chunk numbers are part of keys.
pub const CHUNK_BYTES: u64 = 64 << 20;
/// Bytes of one cache block and the default largest plain size of an object.
pub const BLOCK_BYTES: u64 = 4 << 20;
/// The largest file offset (exclusive): 8 EiB - 1, the limit of a signed 64-bit `off_t`.
pub const FILE_BYTES_MAX: u64 = i64::MAX as u64;
/// The number of the largest file's last chunk.
pub const CHUNK_MAX: u64 = (FILE_BYTES_MAX - 1) / CHUNK_BYTES;
