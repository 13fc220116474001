//! The FUSE wire protocol, kernel side 7.31 to 7.45: requests parsed from bytes, replies and notifications built to bytes.
//!
//! Relies on the caller for one whole message at a time. Never does I/O, never panics on any input, holds no state:
//! what was negotiated at INIT is the caller's to remember. Integers are in the machine's own byte order, as the
//! kernel of the same machine writes them.
#![forbid(unsafe_code)]

pub mod abi;
mod clone;
pub mod control;
mod directory;
mod flags;
mod init;
pub mod ioctl;
mod notify;
mod operation;
mod reply;
mod request;
pub mod ring;
mod wire;

pub use clone::{
    CLONE_BEGIN, CLONE_SOURCE, CLONE_WORK, CloneOut, CloneOutState, CloneRequest, clone_begin_in, clone_sizes,
    clone_source_in,
};
pub use directory::{DirectoryBuffer, DirectoryPlusBuffer};
pub use flags::{FlagsRequest, extended_flags_out, flags_out};
pub use init::{Config, InitIn, Negotiated, Refused, negotiate};
pub use ioctl::IoctlRequest;
pub use notify::Notification;
pub use operation::{FileLock, ForgetList, Operation, SetAttributes, SetTime};
pub use reply::{
    EntryOut, Statistics, Validity, attr_out, bmap_out, copied_out, create_out, entry_out, init_out, lk_out, lseek_out,
    negative_entry_out, open_backed_out, open_out, out_header, poll_out, statfs_out, statx_out, write_out,
    xattr_size_out,
};
pub use request::{Header, Malformed, Request, peek_opcode};
