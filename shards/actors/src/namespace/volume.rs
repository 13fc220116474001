//! What concerns the volume as a whole.

use crate::config::KernelTimeouts;
use crate::message::Message;
use crate::shard::Shard;
use futures_channel::oneshot;
use futures_util::future::join_all;
use shoal_metadata::QuotaInfo;
use shoal_types::{Errno, FsResult, Ino, VolumeSettings};
use std::rc::Rc;

impl Shard {
    pub fn index(&self) -> usize {
        self.index
    }

    /// How many shards the mount has.
    pub fn count(&self) -> usize {
        self.shared.mailboxes.len()
    }

    pub fn settings(&self) -> &VolumeSettings {
        &self.shared.settings
    }

    /// For how long a reply that goes out now may be believed. To be asked after the reply's content has been read.
    pub fn timeouts(&self) -> KernelTimeouts {
        match self.shared.is_alone() {
            true => self.shared.timeouts,
            false => KernelTimeouts::default(),
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
