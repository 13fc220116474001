//! The embedded metadata engine: one SQLite database in WAL mode, on this host, no server.
//!
//! Mutating jobs run one after another, many to a commit ([`writer`]): on the thread that submits them while nobody
//! else writes, otherwise on a thread of the engine's own. A commit needs no fsync and survives the death of the process,
//! and durable jobs then wait for one shared fdatasync ([`syncer`]). Another thread folds the WAL back ([`checkpoint`]).
//! Reads run on the caller's thread ([`reader`]).
//! Several processes of one host may have the database open: they take turns writing, see each other's commits at once,
//! and tell by a shared page of counters whether anyone else has committed ([`epoch`]).
//!
//! Files beside the database `x`: `x-wal` and `x-shm` (SQLite's own) and `x-epoch` (the counters). None of them may be
//! removed, and the database not copied, while a process has it open. The database must lie on a local file system.
//! Anything that writes to it other than through this crate is not counted in the epoch.

// In tests a failed unwrap is a failed test, which is what it is for.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod checkpoint;
mod epoch;
mod error;
mod gathered_wal;
mod hot_values;
mod limits;
mod open;
mod place;
mod reader;
mod snapshot;
mod syncer;
mod transaction;
mod watch;
mod writer;

use checkpoint::Checkpoints;
use epoch::Epoch;
use reader::Readers;
use shoal_kv::{Durability, Job, JobQueue, Kv, KvError, KvResult, Reader, Snapshot, Watch, on_engine_thread};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use writer::{Submitted, Writer, WriterPlace};

pub struct SqliteKv {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the threads, the readers and the watches of one open database share.
struct Shared {
    /// Absolute and free of symbolic links.
    path: PathBuf,
    jobs: JobQueue<Submitted>,
    writer: WriterPlace,
    checkpoints: Checkpoints,
    /// Committed jobs that wait for the disk.
    syncs: JobQueue<Box<dyn Job>>,
    readers: Readers,
    epoch: Epoch,
    commits: AtomicU64,
}

impl SqliteKv {
    /// Opens the database at `path`. With `create`, an absent or empty one is created; one of another program is refused
    /// either way.
    pub fn open(path: &Path, create: bool) -> KvResult<Arc<Self>> {
        let (connection, path) = open::open_writer(path, create)?;
        let shared = Arc::new(Shared {
            jobs: JobQueue::new(limits::QUEUED_JOBS_MAX),
            writer: WriterPlace::new(Writer::new(connection)),
            checkpoints: Checkpoints::new(),
            syncs: JobQueue::new(limits::QUEUED_JOBS_MAX),
            readers: Readers::new(&path),
            epoch: Epoch::open(&path)?,
            commits: AtomicU64::new(0),
            path,
        });
        let thread = writer::start(shared.clone())?;
        Ok(Arc::new(SqliteKv { shared, thread: Mutex::new(Some(thread)) }))
    }

    /// SQLite commits so far by this handle: how well jobs are grouped.
    pub fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Relaxed)
    }
}

impl Kv for SqliteKv {
    fn read(&self, body: &mut dyn FnMut(&mut dyn Reader) -> KvResult<()>) -> KvResult<()> {
        match writer::read_here(&self.shared, body) {
            true => Ok(()),
            false => self.shared.readers.read(body),
        }
    }

    fn snapshot(&self) -> KvResult<Box<dyn Snapshot>> {
        Ok(Box::new(snapshot::SqliteSnapshot::take(&self.shared.path)?))
    }

    fn reads_are_local(&self) -> bool {
        true
    }

    fn submit(&self, job: Box<dyn Job>, durability: Durability) {
        match self.shared.jobs.push_quietly(Submitted { job, durability }) {
            Ok(()) => writer::serve_here(&self.shared),
            Err(refused) => refused.job.done(Err(error::closed(&self.shared.path))),
        }
    }

    fn foreign_epoch(&self) -> Option<u64> {
        self.shared.epoch.foreign()
    }

    /// A commit fails before it is visible to anyone or succeeds: there is no network to lose the answer.
    fn results_may_be_unknown(&self) -> bool {
        false
    }

    fn watch(&self, key: &[u8]) -> KvResult<Box<dyn Watch>> {
        Ok(Box::new(watch::SqliteWatch::new(self.shared.clone(), key)?))
    }

    fn watch_stamped(&self) -> KvResult<Box<dyn Watch>> {
        Ok(Box::new(watch::CommitWatch::new(self.shared.clone())))
    }

    /// The last one to close the database also folds its WAL back and removes it.
    fn close(&self) -> KvResult<()> {
        self.shared.jobs.close();
        // A job's `done` may close the database or drop the last handle: it cannot wait for its own end. The threads end
        // by themselves then, each having served its queue.
        if on_engine_thread() {
            return Ok(());
        }
        // Held while waiting, so that a second closer returns no earlier than the first.
        let mut thread = self.thread.lock().expect("no panic under this lock");
        match thread.take().map(JoinHandle::join) {
            Some(Err(_)) => Err(KvError::Other(format!("{}: the writer thread panicked", self.shared.path.display()))),
            Some(Ok(())) | None => Ok(()),
        }
    }
}

impl Drop for SqliteKv {
    fn drop(&mut self) {
        // An error here is a panic, which has been printed already.
        let _ = self.close();
    }
}

#[cfg(test)]
mod tests;
