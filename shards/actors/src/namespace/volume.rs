//! What concerns the volume as a whole.

use crate::config::KernelTimeouts;
use crate::message::Message;
use crate::shard::Shard;
use crate::shared::Shared;
use futures_channel::oneshot;
use futures_util::future::join_all;
use shoal_metadata::QuotaInfo;
use shoal_object_store::Figures;
use shoal_types::{Consistency, Errno, FileKind, FsResult, Ino, Name, VolumeSettings};
use std::rc::Rc;
use std::time::Duration;

impl Shard {
    pub fn index(&self) -> usize {
        self.index
    }

    /// How many shards the mount has.
    pub fn count(&self) -> usize {
        self.shared.mailboxes.len()
    }

    /// What the object store has been asked so far, where somebody counts.
    pub fn store_figures(&self) -> Option<Figures> {
        self.shared.transfer.store_figures()
    }

    pub fn settings(&self) -> &VolumeSettings {
        &self.shared.settings
    }

    /// For how long a reply about an inode that goes out now, found under this name if any, may be believed. To be asked
    /// after the reply's content has been read.
    ///
    /// While others live the kernel is told to ask each time for what it tells about regular files. It could be notified of
    /// changes, but it passes over a reply that is on its way when a notification comes, and goes by the length it had: a read
    /// after an open, or after a lock, would miss what was written before.
    pub fn timeouts(&self, (ino, kind): (Ino, FileKind), at: Option<(Ino, &Name)>) -> KernelTimeouts {
        let timeouts = self.believed();
        if timeouts == KernelTimeouts::default() || self.shared.is_alone() {
            return timeouts;
        }
        let kernel = &self.shared.feed.kernel;
        KernelTimeouts {
            attributes: match kind {
                FileKind::Regular if self.shared.feed.consistency != Consistency::Relaxed => Duration::ZERO,
                _ => kernel.tell_attributes(ino, timeouts.attributes),
            },
            entries: at.map_or(Duration::ZERO, |(parent, name)| kernel.tell_entry(parent, name, timeouts.entries)),
        }
    }

    /// For how long the kernel may believe that there is no such name.
    pub fn missing_timeout(&self) -> Duration {
        match self.shared.is_alone() {
            true => self.believed().entries,
            false => Duration::ZERO,
        }
    }

    /// The kernel may know names and attributes that other mounts have changed.
    pub fn may_mislead_kernel(&self) -> bool {
        self.shared.feed.consistency.follows() && !self.shared.is_alone()
    }

    /// It may also know the length of a file that others have written.
    pub fn may_mislead_kernel_about_lengths(&self) -> bool {
        self.shared.feed.consistency == Consistency::Relaxed && !self.shared.is_alone()
    }

    fn believed(&self) -> KernelTimeouts {
        let Shared { timeouts, feed, kv, .. } = &*self.shared;
        let by_feed = match feed.consistency {
            Consistency::Relaxed => return *timeouts,
            Consistency::Strict => None,
            Consistency::Coherent => feed.believed_for(),
        };
        match by_feed {
            // The engine tells by itself that nobody else is there.
            _ if kv.foreign_epoch().is_some() && self.shared.is_alone() => *timeouts,
            None => KernelTimeouts::default(),
            Some(left) => {
                KernelTimeouts { attributes: timeouts.attributes.min(left), entries: timeouts.entries.min(left) }
            }
        }
    }

    /// Every acknowledged change of names and attributes survives power loss.
    pub async fn sync_metadata(&self) -> FsResult<()> {
        let (sender, receiver) = oneshot::channel();
        self.shared.metadata.sync(move |result| {
            // Nobody waits any more when the shard was stopped meanwhile.
            let _ = sender.send(result);
        });
        let result = receiver.await.map_err(|_| Errno::EIO)?;
        result.map_err(|error| {
            tracing::warn!(%error, "syncing the metadata failed");
            error.errno()
        })
    }

    /// Everything acknowledged survives power loss: names, attributes, and the bytes of all files.
    pub async fn sync_volume(self: &Rc<Self>) -> FsResult<()> {
        let flush = |shard| self.ask(shard, |respond| Message::FlushAll { respond });
        let flushed = join_all((0..self.shared.mailboxes.len()).map(flush)).await;
        flushed.into_iter().collect::<FsResult<()>>()?;
        // Of files that were closed and forgotten nobody knows any more which objects are synced.
        self.shared.transfer.sync_all().wait().await?;
        self.sync_metadata().await
    }

    /// Everything that an inode is counted for: the volume, directories from the innermost outwards, its user and group.
    pub async fn quotas_of(self: &Rc<Self>, ino: Ino) -> FsResult<Vec<QuotaInfo>> {
        self.read_metadata(move |metadata| metadata.quotas_of(ino)).await
    }

    /// The most bytes this shard's write buffer has held so far.
    pub fn write_buffer_peak(&self) -> usize {
        self.write_budget.peak()
    }
}
