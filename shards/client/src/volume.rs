//! A running volume, from the outside.

use crate::{Config, KernelPages, LocalVolume, StartError};
use futures_channel::oneshot;
use shoal_actors::Shards;
use shoal_types::{Errno, FsResult, Ino, SessionId};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

/// Clone-free: whoever holds it ends it. On any thread.
pub struct Volume(Shards);

impl Volume {
    /// Registers a session, waits out what another mount's kernel may believe, starts the shards. Blocks; not for a
    /// shard's thread.
    pub fn start(config: Config) -> Result<Volume, StartError> {
        Shards::start(config).map(Volume)
    }

    /// How many shards there are.
    pub fn count(&self) -> usize {
        self.0.count()
    }

    pub fn session(&self) -> SessionId {
        self.0.session()
    }

    /// Tells how to make the kernel forget pages. Once, before the first lock is asked for.
    pub fn set_kernel_pages(&self, pages: Arc<dyn KernelPages>) {
        self.0.set_kernel_pages(pages);
    }

    /// Runs `task` on a shard's thread; how front ends attach. Waits while that shard's mailbox is full: not for a
    /// shard's thread.
    pub fn run(&self, shard: usize, task: impl FnOnce(&Rc<LocalVolume>) + Send + 'static) {
        self.0.run(shard, task);
    }

    /// Runs `task` on the shard that owns `ino` and gives back what it gives. It runs to its end also when the future
    /// is dropped meanwhile; only the answer is lost then.
    pub async fn call<T, Fut>(
        &self,
        ino: Ino,
        task: impl FnOnce(Rc<LocalVolume>) -> Fut + Send + 'static,
    ) -> FsResult<T>
    where
        T: Send + 'static,
        Fut: Future<Output = FsResult<T>> + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let start = move |local: &Rc<LocalVolume>| {
            let future = task(local.clone());
            shoal_runtime::spawn(async move {
                // The caller may have lost interest; what it asked for is done all the same.
                let _ = sender.send(future.await);
            });
        };
        self.0.run_async(self.0.owner(ino), start).await;
        receiver.await.unwrap_or(Err(Errno::EIO))
    }

    /// Commits everything buffered. Blocks; not for a shard's thread.
    pub fn flush_all(&self) -> FsResult<()> {
        self.0.flush_all()
    }

    /// Flushes, ends the session, joins the threads, closes the metadata engine. Front ends have let go before. An error
    /// says that something buffered could not be stored, and is lost.
    pub fn stop(self) -> FsResult<()> {
        self.0.stop()
    }
}
