//! One shard: its own state, and the small steps that everything it does is made of.

use crate::access_times::OwnAccesses;
use crate::budget::Budget;
use crate::directory_order::DirectoryReaders;
use crate::file::{FileState, ReadBudget};
use crate::kept_pages::KeptPages;
use crate::leases::Lease;
use crate::limits;
use crate::local_event::{LocalEvent, LocalMutex};
use crate::locks::{InodeLocks, LockedPages};
use crate::message::{Message, Respond};
use crate::name_cache::Seen;
use crate::recent_map::RecentMap;
use crate::room::LimitsKnown;
use crate::shared::Shared;
use crate::touched::Touched;
use futures_channel::oneshot;
use shoal_cache::{CachePart, ShardCache};
use shoal_kv::Durability;
use shoal_metadata::{LeaseInodes, LeaseObjects, MetaError, MetaOp, MetaReply, MetaResult, Metadata};
use shoal_types::{Errno, FsResult, Ino, Name, ObjectId};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

/// Lives on one thread. Its methods may be called by any task of that thread.
///
/// A future of a method that changes something must not be dropped before it is done: the change itself would happen or
/// not, but what has to follow it would not.
pub struct Shard {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) cache: Option<ShardCache>,
    /// The inodes this shard owns and has state of.
    pub(crate) files: RefCell<HashMap<Ino, Rc<FileState>>>,
    /// Grows when somebody wanted a file looked at again that was not loaded, but perhaps about to be.
    pub(crate) revalidations: Cell<u64>,
    /// Files that were wholly synced when they were forgotten, and the foreign epoch of then.
    pub(crate) synced: RefCell<RecentMap<Ino, Option<u64>>>,
    pub(crate) kept_pages: KeptPages,
    /// Whether the volume has limits, as of when it was looked at.
    pub(crate) limits_known: Cell<LimitsKnown>,
    /// Of inodes this shard owns.
    pub(crate) locks: RefCell<HashMap<Ino, Rc<InodeLocks>>>,
    pub(crate) locked_pages: LockedPages,
    pub(crate) write_budget: Budget,
    pub(crate) read_budget: Rc<ReadBudget>,
    pub(crate) directory_readers: DirectoryReaders,
    pub(crate) compaction: LocalMutex,
    /// Acknowledged bytes had to be dropped: the end of the mount says so.
    pub(crate) lost: Cell<Option<Errno>>,
    /// On shard 0: there may be something to remove or to look into.
    pub(crate) maintenance: LocalEvent,
    pub(crate) maintenance_due: Cell<bool>,
    /// The main loop has ended and tasks are being dropped: no new ones may be started.
    pub(crate) stopped: Cell<bool>,
    pub(crate) accesses: OwnAccesses,
    inodes: Lease,
    objects: Lease,
}

impl Shard {
    pub(crate) fn new(index: usize, shared: Arc<Shared>, cache: Option<ShardCache>) -> Rc<Self> {
        let share = |bytes: u64| usize::try_from(bytes / shared.mailboxes.len() as u64).unwrap_or(usize::MAX);
        Rc::new(Shard {
            index,
            cache,
            files: RefCell::default(),
            revalidations: Cell::new(0),
            synced: RefCell::new(RecentMap::new(limits::SYNCED_FILES_REMEMBERED)),
            kept_pages: KeptPages::new(),
            limits_known: Cell::new(LimitsKnown::NOT_YET),
            locks: RefCell::default(),
            locked_pages: LockedPages::new(),
            write_budget: Budget::new(share(shared.write_buffer_bytes)),
            read_budget: ReadBudget::new(share(shared.read_buffer_bytes)),
            directory_readers: DirectoryReaders::new(),
            compaction: LocalMutex::default(),
            lost: Cell::new(None),
            maintenance: LocalEvent::default(),
            maintenance_due: Cell::new(true),
            stopped: Cell::new(false),
            accesses: OwnAccesses::default(),
            inodes: Lease::default(),
            objects: Lease::default(),
            shared,
        })
    }

    /// Starts a task from a destructor, which may run while the shard ends.
    pub(crate) fn spawn_unless_stopped(&self, task: impl Future<Output = ()> + 'static) {
        if !self.stopped.get() {
            shoal_runtime::spawn(task);
        }
    }

    /// Reads metadata: here where that is a matter of microseconds, otherwise on a metadata worker.
    pub(crate) async fn read_metadata<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Metadata) -> MetaResult<T> + Send + 'static,
    ) -> FsResult<T> {
        let result = match &self.shared.workers {
            None => read(&self.shared.metadata),
            Some(workers) => {
                let (sender, receiver) = oneshot::channel();
                workers.submit(move |metadata| {
                    // Nobody waits any more when the shard was stopped meanwhile.
                    let _ = sender.send(read(metadata));
                });
                receiver.await.map_err(|_| Errno::EIO)?
            }
        };
        result.map_err(|error| explain(&error, "reading"))
    }

    /// Runs an operation to the end of its commit. The stamps of what it changes are raised by then.
    pub(crate) async fn mutate(&self, operation: MetaOp, durability: Durability) -> FsResult<MetaReply> {
        Ok(self.try_mutate(operation, durability).await?)
    }

    /// As `mutate`, for who has to know whether the volume refused it or the store failed.
    pub(crate) async fn try_mutate(&self, operation: MetaOp, durability: Durability) -> MetaResult<MetaReply> {
        if self.shared.is_fenced() {
            return Err(Errno::ESTALE.into());
        }
        let touched = Touched::of(&operation);
        touched.announce(&self.shared.whole);
        let shared = self.shared.clone();
        let (sender, receiver) = oneshot::channel();
        self.shared.metadata.submit(operation, durability, move |result| {
            touched.raise(&shared.stamps, result.as_ref().ok());
            // Nobody waits any more when the shard was stopped meanwhile.
            let _ = sender.send(result);
        });
        let result = receiver.await.map_err(|_| Errno::EIO)?;
        result.inspect_err(|error| {
            if explain(error, "changing") == Errno::ESTALE {
                self.shared.fence();
            }
        })
    }

    pub(crate) async fn send(&self, owner: usize, message: Message) {
        if self.shared.mailboxes[owner].send(message).await.is_err() {
            // The receiver has stopped; the message's `respond` is dropped with it, which answers its client.
        }
    }

    /// Sends a request to another shard and waits for its answer.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        owner: usize,
        message: impl FnOnce(Respond<T>) -> Message,
    ) -> FsResult<T> {
        let (sender, receiver) = oneshot::channel();
        let respond = Box::new(move |result| {
            // Nobody waits any more when this shard was stopped meanwhile.
            let _ = sender.send(result);
        });
        self.send(owner, message(respond)).await;
        receiver.await.unwrap_or(Err(Errno::EIO))
    }

    /// Where a file's bytes are cached, if they are.
    pub(crate) fn cache_part(&self, ino: Ino) -> Option<&CachePart> {
        self.cache.as_ref()?.of(ino)
    }

    pub(crate) fn owns(&self, ino: Ino) -> bool {
        self.shared.owner(ino) == self.index
    }

    /// The state of the world as far as an inode's attributes go. To be noted before the store is read.
    pub(crate) fn see_attributes(&self, ino: Ino) -> Seen {
        Seen { epoch: self.shared.cache_epoch(), stamp: self.shared.stamps.of_attributes(ino) }
    }

    pub(crate) fn see_entry(&self, parent: Ino, name: &Name) -> Seen {
        Seen { epoch: self.shared.cache_epoch(), stamp: self.shared.stamps.of_entry(parent, name) }
    }

    /// A number for a new inode. Files get one that this shard owns, so that writing them stays here.
    pub(crate) async fn next_inode(self: &Rc<Self>, owned: bool) -> FsResult<Ino> {
        loop {
            let count = limits::INODE_LEASE * self.shared.mailboxes.len() as u64;
            let operation = || MetaOp::LeaseInodes(LeaseInodes { count, session: self.shared.session });
            let lease = || async { self.mutate(operation(), Durability::Visible).await?.into_leased() };
            let ino = Ino(self.inodes.next(lease).await?);
            if !owned || self.owns(ino) {
                return Ok(ino);
            }
        }
    }

    pub(crate) async fn next_object(self: &Rc<Self>) -> FsResult<ObjectId> {
        let count = limits::OBJECT_LEASE;
        let operation = || MetaOp::LeaseObjects(LeaseObjects { count, session: self.shared.session });
        let lease = || async { self.mutate(operation(), Durability::Visible).await?.into_leased() };
        self.objects.next(lease).await.map(ObjectId)
    }
}

/// The errno of an error of the metadata, logged when it is not just a refusal.
pub(crate) fn explain(error: &MetaError, what: &str) -> Errno {
    if let MetaError::Store(error) = error {
        tracing::warn!(%error, "{what} metadata failed");
    }
    error.errno()
}
