//! Telling the kernel what is no longer true.

use rustix::io::Errno as OsError;
use shoal_fuse_protocol::{Negotiated, Notification};
use shoal_runtime::RingFile;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};

/// Sends notifications, from any thread but a shard's; that of attributes alone also from there, about an inode in use.
///
/// The kernel takes the lock of the directory, or of the pages, before it forgets, and a request that is still in
/// flight may hold that lock until it is answered. A shard that waited here could be the one that has to answer. For
/// attributes it takes no such lock.
#[derive(Clone)]
pub struct Notifier {
    device: RingFile,
    expire_only: bool,
}

/// A notifier that does not keep the connection alive.
pub(crate) struct WeakNotifier {
    device: Weak<OwnedFd>,
    expire_only: bool,
}

impl Notifier {
    pub(crate) fn new(device: RingFile, negotiated: &Negotiated) -> Self {
        Notifier { device, expire_only: negotiated.expire_only }
    }

    pub(crate) fn downgrade(&self) -> WeakNotifier {
        WeakNotifier { device: Arc::downgrade(&self.device), expire_only: self.expire_only }
    }

    /// Attributes and all cached bytes.
    pub fn invalidate_inode(&self, inode: u64) -> io::Result<()> {
        self.send(&Notification::InvalidateInode { inode, offset: 0, length: 0 })
    }

    /// Attributes only; cached bytes stay.
    pub fn invalidate_attributes(&self, inode: u64) -> io::Result<()> {
        self.send(&Notification::InvalidateInode { inode, offset: -1, length: 0 })
    }

    /// The next use of this name asks again; what is open below it stays usable.
    pub fn expire_entry(&self, parent: u64, name: &[u8]) -> io::Result<()> {
        self.send(&Notification::InvalidateEntry { parent, name, expire_only: self.expire_only })
    }

    pub fn invalidate_entry(&self, parent: u64, name: &[u8]) -> io::Result<()> {
        self.send(&Notification::InvalidateEntry { parent, name, expire_only: false })
    }

    pub fn deleted(&self, parent: u64, child: u64, name: &[u8]) -> io::Result<()> {
        self.send(&Notification::Delete { parent, child, name })
    }

    fn send(&self, notification: &Notification<'_>) -> io::Result<()> {
        match rustix::io::write(&*self.device, &notification.to_bytes()) {
            Ok(_) => Ok(()),
            // ENOENT: the kernel knows nothing of it, so there is nothing to forget. ENOTEMPTY and EBUSY: a deleted
            // name is still in use here, and will be looked up again.
            Err(OsError::NOENT | OsError::NOTEMPTY | OsError::BUSY | OsError::NOTDIR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl WeakNotifier {
    /// `None` once the mount is gone.
    pub fn upgrade(&self) -> Option<Notifier> {
        let device = self.device.upgrade()?;
        Some(Notifier { device, expire_only: self.expire_only })
    }
}
