//! Questions about what has been removed.

use crate::shard::Shard;
use futures_channel::oneshot;
use shoal_types::{Errno, FsResult, Ino, Name};
use std::rc::Rc;

impl Shard {
    /// The directory that something in the trash was removed from, and its name there.
    pub async fn trash_origin(self: &Rc<Self>, ino: Ino, in_trash: &Name) -> FsResult<(Ino, Name)> {
        let in_trash = in_trash.clone();
        self.read_metadata(move |metadata| metadata.trash_origin(ino, &in_trash)).await
    }

    /// A path from the volume's root. It takes a look through each directory on the way, and so a thread of its own.
    pub async fn path_of(self: &Rc<Self>, ino: Ino) -> FsResult<Vec<u8>> {
        let metadata = self.shared.metadata.clone();
        let (sender, receiver) = oneshot::channel();
        let look = move || {
            // Nobody waits any more when the shard was stopped meanwhile.
            let _ = sender.send(metadata.path_of(ino));
        };
        std::thread::Builder::new().name("path".into()).spawn(look).map_err(|_| Errno::EAGAIN)?;
        Ok(receiver.await.map_err(|_| Errno::EIO)??)
    }

    /// Inodes that wait for their removal, not counted further than `limit`.
    pub async fn queued_removals(self: &Rc<Self>, limit: usize) -> FsResult<usize> {
        Ok(self.read_metadata(move |metadata| metadata.queued_removals(u64::MAX, limit)).await?.len())
    }
}
