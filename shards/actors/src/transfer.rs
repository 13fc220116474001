//! Transfer workers: encode and PUT, GET and decode, sync and DELETE, on threads of their own.
//!
//! Shards hand jobs over and await the outcome; nothing here knows what a file is. How much is in flight is bounded
//! by a semaphore for each direction; what waits for a permit is bounded by the shards' byte budgets.
//!
//! Tokio takes a lock for each task that comes from a foreign thread. So shards push their jobs to a queue without one, and
//! a thread of its own passes them on.

use crate::limits;
use crate::pace::Pace;
use crate::packs::Packs;
use crate::recent_map::RecentMap;
use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::future::{BoxFuture, try_join_all};
use shoal_kv::JobQueue;
use shoal_object_format::{FormatError, FramePlan, FrameTable, ObjectFormat};
use shoal_object_store::{Figures, ObjectStore, StoreResult, naming};
use shoal_runtime::AlignedBuffer;
use shoal_types::{Errno, FsResult, ObjectId};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Instant;
use tokio::runtime::Runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) struct Transfer {
    jobs: Arc<JobQueue<BoxFuture<'static, ()>>>,
    dispatcher: Option<JoinHandle<()>>,
    worker: Arc<Worker>,
}

struct Worker {
    store: Arc<dyn ObjectStore>,
    volume: String,
    format: ObjectFormat,
    /// Of compressed objects that were read in parts.
    tables: Mutex<RecentMap<ObjectId, FrameTable>>,
    uploads: Semaphore,
    downloads: Semaphore,
    rewrites: Arc<Semaphore>,
    packs: Packs,
    pace: Pace,
}

/// One run of an object's plain bytes and where it goes in the target buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub object: ObjectId,
    pub object_length: u32,
    pub object_offset: u32,
    pub length: u32,
    pub target: usize,
    /// Other files have parts of the object, too.
    pub pack: bool,
}

/// Bytes to gather into one buffer: pieces from objects, zeros elsewhere.
pub(crate) struct Fetch {
    /// Shows through wherever no piece lies, from the start of the buffer.
    pub base: Option<Bytes>,
    pub pieces: Vec<Piece>,
    pub length: usize,
}

/// Where a put may end.
enum Way {
    Any,
    /// In the store itself.
    Through,
}

/// Why a piece could not be read.
enum ReadError {
    Failed(Errno),
    Damaged(FormatError),
}

/// The outcome of a job; an error when the workers have stopped.
pub(crate) struct Outcome<T>(oneshot::Receiver<FsResult<T>>);

impl<T> Outcome<T> {
    pub async fn wait(self) -> FsResult<T> {
        self.0.await.unwrap_or(Err(Errno::EIO))
    }
}

impl Transfer {
    /// `packs_bytes` is the memory that whole packs may take.
    pub fn start(
        store: Arc<dyn ObjectStore>,
        volume: String,
        format: ObjectFormat,
        packs_bytes: usize,
    ) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(limits::TRANSFER_THREADS)
            .max_blocking_threads(limits::TRANSFER_BLOCKING_THREADS_MAX)
            .thread_name("transfer")
            .enable_all()
            .build()?;
        let worker = Worker {
            store,
            volume,
            format,
            tables: Mutex::new(RecentMap::new(limits::FRAME_TABLES_MAX)),
            uploads: Semaphore::new(limits::UPLOADS_IN_FLIGHT_MAX),
            downloads: Semaphore::new(limits::DOWNLOADS_IN_FLIGHT_MAX),
            rewrites: Arc::new(Semaphore::new(limits::BLOCKS_REWRITTEN_AT_ONCE)),
            packs: Packs::new(packs_bytes),
            pace: Pace::default(),
        };
        let jobs = Arc::new(JobQueue::new(usize::MAX));
        let taken = jobs.clone();
        let dispatcher =
            thread::Builder::new().name("transfer-queue".into()).spawn(move || pass_on(&taken, runtime))?;
        Ok(Transfer { jobs, dispatcher: Some(dispatcher), worker: Arc::new(worker) })
    }

    /// The right to read and store a block again; few of a mount have it at any time. It ends when it's dropped.
    pub fn rewrite(&self) -> Outcome<OwnedSemaphorePermit> {
        self.spawn(|worker| async move { worker.rewrites.clone().acquire_owned().await.map_err(|_| Errno::EIO) })
    }

    /// Encodes and stores one object. The bytes are shared, not copied.
    pub fn upload(&self, object: ObjectId, parts: Vec<Bytes>) -> Outcome<()> {
        self.spawn(|worker| async move { worker.upload(object, parts, Way::Any).await })
    }

    /// The same, past a write-back folder.
    pub fn upload_through(&self, object: ObjectId, parts: Vec<Bytes>) -> Outcome<()> {
        self.spawn(|worker| async move { worker.upload(object, parts, Way::Through).await })
    }

    /// Gathers verified plain bytes into one buffer of `fetch.length` bytes.
    pub fn fetch(&self, fetch: Fetch) -> Outcome<AlignedBuffer> {
        self.spawn(|worker| async move { worker.fetch(fetch).await })
    }

    /// Bytes between two reads that are better fetched along with them.
    pub fn gap_bytes(&self) -> u64 {
        self.worker.pace.gap_bytes()
    }

    /// What the store has been asked so far, where somebody counts.
    pub fn store_figures(&self) -> Option<Figures> {
        self.worker.store.figures()
    }

    /// A request takes so long that what will be wanted is better asked for early.
    pub fn is_far(&self) -> bool {
        self.worker.pace.is_far()
    }

    /// Makes stored objects durable against power loss. One that is gone was deleted, so nothing refers to it any more.
    pub fn sync(&self, objects: Vec<ObjectId>) -> Outcome<()> {
        self.spawn(|worker| async move { worker.sync(objects).await })
    }

    /// Everything that was stored, by whomever.
    pub fn sync_all(&self) -> Outcome<()> {
        let sync = |worker: Arc<Worker>| async move {
            worker.store.sync_all().await.map_err(|error| worker.refuse("sync", "everything", error))
        };
        self.spawn(sync)
    }

    /// Deletes objects; one that is gone already counts as deleted. Gives back those it deleted.
    pub fn delete(&self, objects: Vec<ObjectId>) -> Outcome<Vec<ObjectId>> {
        self.spawn(|worker| async move {
            let mut deleted = Vec::with_capacity(objects.len());
            for object in objects {
                let key = worker.key(object);
                match worker.store.delete(&key).await {
                    Ok(()) => deleted.push(object),
                    Err(error) if error.is_not_found() => deleted.push(object),
                    Err(error) => {
                        // It stays in the queue and is tried again with the next round.
                        let _ = worker.refuse("delete", &key, error);
                    }
                }
            }
            Ok(deleted)
        })
    }

    fn spawn<T, F, Fut>(&self, job: F) -> Outcome<T>
    where
        T: Send + 'static,
        F: FnOnce(Arc<Worker>) -> Fut,
        Fut: Future<Output = FsResult<T>> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let job = job(self.worker.clone());
        let told = async move {
            // Nobody waits any more when the file was dropped meanwhile; the work itself is done either way.
            let _ = sender.send(job.await);
        };
        let refused = self.jobs.push(Box::pin(told));
        assert!(refused.is_ok(), "the queue is open as long as `self` lives, and has no bound");
        Outcome(receiver)
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.jobs.close();
        let ended = self.dispatcher.take().map(JoinHandle::join);
        assert!(matches!(ended, Some(Ok(()))), "the dispatcher runs no code of others");
    }
}

/// Until the queue is closed and empty.
fn pass_on(jobs: &JobQueue<BoxFuture<'static, ()>>, runtime: Runtime) {
    let mut batch = Vec::new();
    while jobs.take(&mut batch, limits::TRANSFERS_PASSED_ON_AT_ONCE) {
        batch.drain(..).for_each(|job| drop(runtime.spawn(job)));
    }
    // So its threads are joined and not detached: pthread_detach(3) of glibc 2.36 looks at a thread once more that may have
    // ended in between, with its stack unmapped.
    runtime.shutdown_timeout(limits::TRANSFER_END_MAX);
}

impl Worker {
    fn key(&self, object: ObjectId) -> String {
        naming::object_key(&self.volume, object)
    }

    fn refuse(&self, what: &str, key: &str, error: shoal_object_store::StoreError) -> Errno {
        tracing::warn!(%error, key, "object store: {what} failed");
        error.errno()
    }

    async fn upload(&self, object: ObjectId, parts: Vec<Bytes>, way: Way) -> FsResult<()> {
        let _permit = self.uploads.acquire().await.map_err(|_| Errno::EIO)?;
        let key = self.key(object);
        let format = self.format.clone();
        let encoded = tokio::task::spawn_blocking(move || format.encode(object, &parts));
        let encoded = encoded.await.map_err(|_| Errno::EIO)?;
        let put = match way {
            Way::Any => self.store.put(&key, encoded),
            Way::Through => self.store.put_through(&key, encoded),
        };
        put.await.map_err(|error| self.refuse("put", &key, error))
    }

    async fn sync(&self, objects: Vec<ObjectId>) -> FsResult<()> {
        let keys: Vec<String> = objects.iter().map(|object| self.key(*object)).collect();
        match self.store.sync(&keys).await {
            Err(error) if error.is_not_found() => {}
            other => return other.map_err(|error| self.refuse("sync", &keys.join(" "), error)),
        }
        for key in &keys {
            match self.store.sync(std::slice::from_ref(key)).await {
                Err(error) if !error.is_not_found() => return Err(self.refuse("sync", key, error)),
                _ => {}
            }
        }
        Ok(())
    }

    async fn fetch(&self, fetch: Fetch) -> FsResult<AlignedBuffer> {
        let pieces = try_join_all(fetch.pieces.iter().map(|piece| self.piece(*piece))).await?;
        let gather = move || {
            let mut buffer = AlignedBuffer::with_capacity(fetch.length);
            buffer.set_len(fetch.length);
            fill_base(&mut buffer, fetch.base.as_deref(), &fetch.pieces);
            for (piece, parts) in fetch.pieces.iter().zip(pieces) {
                let mut at = piece.target;
                for part in parts {
                    buffer[at..at + part.len()].copy_from_slice(&part);
                    at += part.len();
                }
                assert_eq!(at, piece.target + piece.length as usize, "a piece is as long as its slice says");
            }
            buffer
        };
        tokio::task::spawn_blocking(gather).await.map_err(|_| Errno::EIO)
    }

    /// The plain bytes of one piece, checked frame by frame. What comes damaged is read again.
    async fn piece(&self, piece: Piece) -> FsResult<Vec<Bytes>> {
        if piece.pack
            && let Some(whole) = self.packs.read(piece.object, piece.object_length)
        {
            let range = piece.object_offset..piece.object_offset + piece.length;
            let all = Piece { object_offset: 0, length: piece.object_length, ..piece };
            return Packs::part(&whole, range, self.part(all)).await;
        }
        self.part(piece).await
    }

    async fn part(&self, piece: Piece) -> FsResult<Vec<Bytes>> {
        let _permit = self.downloads.acquire().await.map_err(|_| Errno::EIO)?;
        let key = self.key(piece.object);
        let mut reads = 1;
        loop {
            match self.piece_once(piece, &key).await {
                Err(ReadError::Damaged(error)) if reads < limits::READS_OF_DAMAGED_MAX => {
                    tracing::warn!(%error, key, "an object came damaged; reading it again");
                    reads += 1;
                }
                Err(ReadError::Damaged(error)) => {
                    tracing::error!(%error, key, "damaged object");
                    return Err(Errno::EIO);
                }
                Err(ReadError::Failed(errno)) => return Err(errno),
                Ok(parts) => return Ok(parts),
            }
        }
    }

    async fn piece_once(&self, piece: Piece, key: &str) -> Result<Vec<Bytes>, ReadError> {
        let Piece { object, object_length, .. } = piece;
        let range = piece.object_offset..piece.object_offset + piece.length;
        let format = self.format.clone();
        let Some(table) = self.table(&piece, key).await? else {
            let stored = self.got(key, self.store.get_whole(key)).await?;
            let decode = move || format.decode_from_whole(object, object_length, range, stored);
            return decoded(decode).await;
        };
        let plan = FramePlan::for_range(&table, range);
        let stored = self.got(key, self.store.get(key, plan.stored.clone())).await?;
        decoded(move || format.decode(object, &plan, stored)).await
    }

    /// Where the object's frames lie. `None`: that is known only from the object itself, and it's as well to get it whole.
    async fn table(&self, piece: &Piece, key: &str) -> Result<Option<FrameTable>, ReadError> {
        let Piece { object, object_length, .. } = *piece;
        if let Some(table) = self.format.even_table(object_length) {
            return Ok(Some(table));
        }
        if piece.length == object_length || ObjectFormat::has_one_frame(object_length) {
            return Ok(None);
        }
        if let Some(table) = self.tables.lock().expect("no holder panics").get(&object) {
            return Ok(Some(table));
        }
        let head = self.got(key, self.store.get(key, FrameTable::stored_range(object_length))).await?;
        let table = self.format.read_table(object, object_length, &head).map_err(ReadError::Damaged)?;
        self.tables.lock().expect("no holder panics").insert(object, table.clone());
        Ok(Some(table))
    }

    async fn got(&self, key: &str, get: impl Future<Output = StoreResult<Bytes>>) -> Result<Bytes, ReadError> {
        let begun = Instant::now();
        let stored = get.await.map_err(|error| match error.is_not_found() {
            true => ReadError::Failed(Errno::ESTALE),
            false => ReadError::Failed(self.refuse("get", key, error)),
        })?;
        self.pace.note(stored.len() as u64, begun.elapsed());
        Ok(stored)
    }
}

/// Runs on a thread for such work.
async fn decoded(
    decode: impl FnOnce() -> Result<Vec<Bytes>, FormatError> + Send + 'static,
) -> Result<Vec<Bytes>, ReadError> {
    let parts = tokio::task::spawn_blocking(decode).await.map_err(|_| ReadError::Failed(Errno::EIO))?;
    parts.map_err(ReadError::Damaged)
}

/// Zeros, and the base bytes over them, wherever no piece will be written.
fn fill_base(buffer: &mut [u8], base: Option<&[u8]>, pieces: &[Piece]) {
    let mut filled_to = 0;
    for piece in pieces {
        assert!(piece.target >= filled_to, "pieces stand in order and do not overlap");
        buffer[filled_to..piece.target].fill(0);
        filled_to = piece.target + piece.length as usize;
    }
    buffer[filled_to..].fill(0);
    if let Some(base) = base {
        let count = base.len().min(buffer.len());
        buffer[..count].copy_from_slice(&base[..count]);
    }
}
