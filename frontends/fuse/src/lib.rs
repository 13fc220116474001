//! FUSE on Linux: mounting, the transport that carries messages, and the loop that serves them.
//!
//! A `Service` answers requests; a `Transport` brings them and takes the answers. `/dev/fuse` is one transport;
//! others (FUSE-over-io_uring, virtio-fs) fit under the same trait. Relies on the shard runtime for waiting and on the
//! protocol crate for every byte. Never interprets a file system operation itself, except the protocol's own:
//! INIT, INTERRUPT, FORGET, DESTROY.

mod dev_fuse;
mod handshake;
mod interrupts;
mod message;
mod mount;
mod notifier;
mod session;
mod transport;

pub use dev_fuse::{DevFuse, DevFuseReply};
pub use interrupts::{Interruption, Interrupts};
pub use message::Message;
pub use mount::{find_mount, mount, unmount, MountEntry, MountError, MountOptions, Mounted, UnmountError};
pub use notifier::Notifier;
pub use session::{open, serve, Service};
pub use transport::{Received, Reply, ReplyBody, Transport};

pub use shoal_fuse_protocol as protocol;
