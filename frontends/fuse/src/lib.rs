//! FUSE on Linux: mounting, the transport that carries messages, the loop that serves them, and the file system behind it.
//!
//! A `Service` answers requests; a `Transport` brings them and takes the answers. `/dev/fuse` and io_uring are the two
//! there are; others (virtio-fs) fit under the same trait. `VolumeService` is the service that serves a volume.
//! Relies on the shard runtime for waiting, on the protocol crate for every byte, and on the client crate for what the
//! operations mean. Transports and loop never interpret an operation themselves, except the protocol's own: INIT,
//! INTERRUPT, FORGET, DESTROY.

// In tests a failed unwrap is a failed test, which is what it is for.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod clone_calls;
mod connection;
pub mod control;
mod dev_fuse;
mod handshake;
mod interrupts;
mod message;
mod mount;
mod notifier;
mod ring;
mod service;
mod session;
mod transport;

pub use clone_calls::{begin_clone, offer_clone_source, work_on_clone};
pub use connection::Connection;
pub use dev_fuse::{DevFuse, DevFuseReply};
pub use interrupts::{Interruption, Interrupts};
pub use message::Message;
pub use mount::{
    MountEntry, MountError, MountOptions, Mounted, RingUse, UnmountError, check_mount_point, find_mount, mount,
    mounts_below, unmount,
};
pub use notifier::Notifier;
pub use ring::{FuseRing, RingReply};
pub use service::{
    ServiceOptions, Serving, Squash, Squashed, Stopper, VolumeService, resolve, resolve_blocking, serve_volume,
};
pub use session::{Service, open, serve};
pub use transport::{Received, Reply, ReplyBody, Transport};

pub use shoal_fuse_protocol as protocol;
