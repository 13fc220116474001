//! The life of a mount's shards: session, threads, and the orderly end.

use crate::access_times::NotedAccesses;
use crate::clones::Clones;
use crate::config::{Config, KernelTimeouts};
use crate::directory_order::FetchedAhead;
use crate::feed::{Feed, Following};
use crate::held::HeldInodes;
use crate::locks::{Bell, KernelPages, LockMarks};
use crate::message::Message;
use crate::metadata_workers::MetadataWorkers;
use crate::name_cache::NameCache;
use crate::open_files::OpenFiles;
use crate::room::Rooms;
use crate::shard::Shard;
use crate::shared::{NOT_ALONE, Shared};
use crate::stamps::Stamps;
use crate::transfer::Transfer;
use crate::whole_directories::WholeDirectories;
use crate::{dispatch, limits, session};
use shoal_cache::Cache;
use shoal_metadata::feed::Stamp;
use shoal_metadata::{MetaError, Metadata, SessionRecord};
use shoal_object_format::ObjectFormat;
use shoal_runtime::{MailboxReceiver, ShardThreads, mailbox, shard_threads};
use shoal_types::{Consistency, Errno, FsResult, Ino, SessionId};
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};

/// A running volume. Clone-free: whoever holds it ends it.
pub struct Shards {
    shared: Arc<Shared>,
    threads: ShardThreads,
    following: Following,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("registering a session")]
    Session(#[source] MetaError),
    #[error("starting the shards' threads")]
    Threads(#[source] io::Error),
}

impl Shards {
    /// Registers the session, waits out what another mount's kernel may believe (decision 0007), starts the threads.
    /// Blocks; not for a shard's thread.
    pub fn start(config: Config) -> Result<Shards, StartError> {
        assert!(config.shards > 0, "a mount has at least one shard");
        let metadata = Metadata::new(config.kv.clone());
        let session = session::begin(&metadata, &config.session)?;
        let record = config.session.clone();
        // From here on everything is read anew or told by the feed.
        let feed = metadata.feed_end().map_err(StartError::Session).inspect_err(|_| {
            // As below.
            let _ = session::end(&metadata, session);
        })?;
        start_threads(config, metadata.clone(), session, record, feed).map_err(|error| {
            // It expires by itself if this fails as well; the error worth telling is the first one.
            let _ = session::end(&metadata, session);
            StartError::Threads(error)
        })
    }

    pub fn count(&self) -> usize {
        self.shared.mailboxes.len()
    }

    pub fn session(&self) -> SessionId {
        self.shared.session
    }

    /// The shard on which calls about this inode need no hop.
    pub fn owner(&self, ino: Ino) -> usize {
        self.shared.owner(ino)
    }

    /// Tells how to make the kernel forget pages. Once, before the first lock is asked for.
    pub fn set_kernel_pages(&self, pages: Arc<dyn KernelPages>) {
        let first = self.shared.kernel_pages.set(pages).is_ok();
        assert!(first, "a volume is mounted once");
    }

    /// Runs `task` on a shard's thread; how front ends attach. Waits while that shard's mailbox is full: not for a
    /// shard's thread.
    pub fn run(&self, shard: usize, task: impl FnOnce(&Rc<Shard>) + Send + 'static) {
        if self.shared.mailboxes[shard].send_blocking(Message::Run(Box::new(task))).is_err() {
            unreachable!("shards live as long as `self`");
        }
    }

    /// As `run`, from any task of any runtime.
    pub async fn run_async(&self, shard: usize, task: impl FnOnce(&Rc<Shard>) + Send + 'static) {
        if self.shared.mailboxes[shard].send(Message::Run(Box::new(task))).await.is_err() {
            unreachable!("shards live as long as `self`");
        }
    }

    /// Commits everything buffered on all shards. Blocks; not for a shard's thread.
    pub fn flush_all(&self) -> FsResult<()> {
        let flush = |shard: &shoal_runtime::Mailbox<Message>| {
            let (respond, outcome) = std::sync::mpsc::channel();
            // A shard that is gone drops the sender, which the receiver below learns.
            let _ = shard.send_blocking(Message::FlushAll {
                respond: Box::new(move |result| {
                    let _ = respond.send(result);
                }),
            });
            outcome
        };
        let outcomes: Vec<_> = self.shared.mailboxes.iter().map(flush).collect();
        let results: Vec<_> = outcomes.into_iter().map(|outcome| outcome.recv().unwrap_or(Err(Errno::EIO))).collect();
        results.into_iter().collect()
    }

    /// Flushes, ends the session, joins the threads, closes the metadata engine. Front ends have let go before; a write
    /// that is still waiting is refused. An error says that something buffered could not be stored, and is lost.
    pub fn stop(self) -> FsResult<()> {
        self.shared.closing.store(true, SeqCst);
        let flushed = self.flush_stubbornly();
        self.shared.stopping.store(true, SeqCst);
        if let Err(error) = session::end(&self.shared.metadata, self.shared.session) {
            tracing::warn!(%error, "the session could not be ended; others end it when its heartbeat stays out");
        }
        for mailbox in &self.shared.mailboxes {
            // A shard that has gone needs no telling.
            let _ = mailbox.send_blocking(Message::Stop);
        }
        self.threads.join();
        self.shared.bell.end();
        self.following.end();
        if let Err(error) = self.shared.kv.close() {
            tracing::warn!(%error, "closing the metadata engine");
        }
        flushed
    }

    fn flush_stubbornly(&self) -> FsResult<()> {
        let mut tries = 1;
        loop {
            match self.flush_all() {
                Err(error) if tries < limits::STOP_FLUSH_TRIES && !self.shared.is_fenced() => {
                    tracing::warn!(%error, tries, "the last flush failed and is tried again");
                    tries += 1;
                    std::thread::sleep(limits::STOP_FLUSH_DELAY);
                }
                Err(error) => {
                    tracing::error!(%error, "buffered bytes could not be stored and are lost");
                    return Err(error);
                }
                Ok(()) => return Ok(()),
            }
        }
    }
}

fn start_threads(
    config: Config,
    metadata: Metadata,
    session: SessionId,
    record: SessionRecord,
    feed: Option<Stamp>,
) -> io::Result<Shards> {
    assert_eq!(
        config.settings.cipher,
        config.sealer.as_ref().map(|sealer| sealer.cipher()),
        "keys are as the settings say"
    );
    let format = ObjectFormat::new(config.settings.compression, config.sealer.clone());
    let workers = (!config.kv.reads_are_local()).then(|| MetadataWorkers::start(&metadata)).transpose()?;
    // One that can't be had is no reason not to mount.
    let cache = config.cache.as_ref().and_then(|cache| Cache::open(cache, &config.settings.uuid, config.shards));
    let (mailboxes, receivers): (Vec<_>, Vec<_>) =
        (0..config.shards).map(|_| mailbox(limits::MAILBOX_MESSAGES_MAX)).unzip();
    let timeouts = match record.consistency {
        Consistency::Relaxed => config.timeouts,
        Consistency::Strict | Consistency::Coherent => KernelTimeouts {
            attributes: config.timeouts.attributes.min(limits::KERNEL_TIMEOUT_MAX),
            entries: config.timeouts.entries.min(limits::KERNEL_TIMEOUT_MAX),
        },
    };
    let packs_bytes = usize::try_from(config.read_buffer_bytes / limits::PACKS_SHARE).unwrap_or(usize::MAX);
    let shared = Arc::new(Shared {
        epoch_of_start: config.kv.foreign_epoch(),
        transfer: Transfer::start(config.store, config.settings.uuid.clone(), format, packs_bytes)?,
        kv: config.kv,
        metadata,
        workers,
        settings: config.settings,
        session,
        record: record.clone(),
        stamps: Stamps::new(),
        names: NameCache::new(),
        feed: Feed::new(record.consistency, feed),
        whole: WholeDirectories::new(),
        access_times: config.access_times,
        accesses: NotedAccesses::new(),
        open_files: OpenFiles::default(),
        fetched_ahead: FetchedAhead::new(),
        held: HeldInodes::new(config.holds_inodes),
        rooms: Rooms::default(),
        clones: Clones::default(),
        mailboxes,
        write_buffer_bytes: config.write_buffer_bytes,
        read_buffer_bytes: config.read_buffer_bytes,
        readahead_bytes_max: config.readahead_bytes_max,
        timeouts,
        lock_marks: LockMarks::new(),
        lock_requests: AtomicU64::new(0),
        bell: Bell::default(),
        kernel_pages: OnceLock::new(),
        alone_epoch: AtomicU64::new(NOT_ALONE),
        fenced: AtomicBool::new(false),
        closing: AtomicBool::new(false),
        stopping: AtomicBool::new(false),
        maintenance_wanted: AtomicBool::new(false),
        // Of a clone, or from before a failure to pack it.
        staged: AtomicBool::new(true),
        others_suspected: AtomicBool::new(false),
    });
    let receivers: Vec<_> = receivers.into_iter().map(|receiver| Mutex::new(Some(receiver))).collect();
    let body_shared = shared.clone();
    let threads = shard_threads(config.shards, config.pin, move |index| {
        let receiver: Option<MailboxReceiver<Message>> = receivers[index].lock().expect("taken once").take();
        let receiver = receiver.expect("each shard takes its own receiver");
        let cache = cache.as_ref().map(|cache| cache.of_shard(index));
        dispatch::run(Shard::new(index, body_shared.clone(), cache), receiver, record.clone())
    })?;
    // Until one knows to be alone.
    shared.feed.want(true);
    let following = Following::start(&shared)?;
    Ok(Shards { shared, threads, following })
}
