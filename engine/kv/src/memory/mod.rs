//! The in-memory engine: MVCC snapshots, validation of reads at commit, commutative updates without conflicts.
//!
//! One [`MemoryStore`] may have several clients ([`MemoryKv`]), each of which sees the others' commits as foreign, as
//! mounts of one volume do. With one worker a client (the default) a run is decided by its seed alone: jobs go one after
//! another in order of submission, and back-off passes in virtual time. With more workers transactions really race.
//! Nothing is ever written to disk: `Durable` means no more than `Visible` here.

mod faults;
mod pages;
mod store;
mod versions;
mod watch;

pub use faults::Faults;

use crate::retry::{Clock, RetryPolicy, SystemClock, VirtualClock, retry};
use crate::{
    Attempt, BufferedTransaction, Durability, Job, JobQueue, Kv, KvError, KvResult, Random, Reader, Transaction,
    Verdict, Watch, mark_engine_thread, run_body,
};
use faults::{CommitFate, FaultSource};
use pages::Pages;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle, ThreadId};
use store::{Snapshot, Store};

#[derive(Clone, Copy, Debug)]
pub struct MemoryOptions {
    /// 1: deterministic. More: transactions of one client race.
    pub workers: usize,
    pub faults: Faults,
    pub retry: RetryPolicy,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        MemoryOptions { workers: 1, faults: Faults::default(), retry: RetryPolicy::default() }
    }
}

/// The shared store below any number of clients.
pub struct MemoryStore {
    store: Arc<Store>,
    options: MemoryOptions,
    clients: AtomicU64,
}

impl MemoryStore {
    pub fn new(options: MemoryOptions) -> Self {
        MemoryStore { store: Arc::default(), options, clients: AtomicU64::new(0) }
    }

    /// A further client of the store. Its faults are drawn from the seed and its number.
    pub fn client(&self) -> Arc<MemoryKv> {
        let number = self.clients.fetch_add(1, Ordering::Relaxed);
        Arc::new(MemoryKv::start(self.store.clone(), self.options, number))
    }

    /// How many commits were refused because another transaction had changed what they read; injected ones not counted.
    pub fn conflicts(&self) -> u64 {
        self.store.conflicts()
    }
}

/// One client of a [`MemoryStore`].
pub struct MemoryKv {
    client: Arc<Client>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    thread_ids: Vec<ThreadId>,
}

/// What the workers share.
struct Client {
    number: u64,
    store: Arc<Store>,
    options: MemoryOptions,
    faults: FaultSource,
    clock: Box<dyn Clock>,
    queue: JobQueue<Box<dyn Job>>,
}

impl MemoryKv {
    /// A store of its own, one worker, no faults.
    pub fn new() -> Arc<Self> {
        MemoryStore::new(MemoryOptions::default()).client()
    }

    pub fn with_faults(faults: Faults) -> Arc<Self> {
        MemoryStore::new(MemoryOptions { faults, ..MemoryOptions::default() }).client()
    }

    fn start(store: Arc<Store>, options: MemoryOptions, number: u64) -> Self {
        let clock: Box<dyn Clock> =
            if options.workers <= 1 { Box::new(VirtualClock::default()) } else { Box::new(SystemClock::default()) };
        let client = Arc::new(Client {
            number,
            store,
            options,
            faults: FaultSource::new(options.faults, number),
            clock,
            queue: JobQueue::new(QUEUED_JOBS_MAX),
        });
        let threads: Vec<_> = (0..options.workers.max(1) as u64)
            .map(|worker| {
                let client = client.clone();
                thread::Builder::new()
                    .name(format!("memory-kv-{number}-{worker}"))
                    .spawn(move || client.work(worker))
                    .expect("a thread can be started")
            })
            .collect();
        let thread_ids = threads.iter().map(|thread| thread.thread().id()).collect();
        MemoryKv { client, threads: Mutex::new(threads), thread_ids }
    }
}

impl Kv for MemoryKv {
    fn read(&self, body: &mut dyn FnMut(&mut dyn Reader) -> KvResult<()>) -> KvResult<()> {
        body(&mut Snapshot::take(&self.client.store))
    }

    fn snapshot(&self) -> KvResult<Box<dyn crate::Snapshot>> {
        Ok(Box::new(Pages::of(Snapshot::take(&self.client.store))))
    }

    fn reads_are_local(&self) -> bool {
        true
    }

    fn submit(&self, job: Box<dyn Job>, _durability: Durability) {
        if let Err(job) = self.client.queue.push(job) {
            job.done(Err(KvError::Unavailable("the in-memory store has been closed".into())));
        }
    }

    fn foreign_epoch(&self) -> Option<u64> {
        Some(self.client.store.commits_of_others(self.client.number))
    }

    fn results_may_be_unknown(&self) -> bool {
        self.client.options.faults.unknown_rate > 0.0
    }

    fn watch(&self, key: &[u8]) -> KvResult<Box<dyn Watch>> {
        Ok(Box::new(watch::MemoryWatch::new(self.client.store.clone(), key)))
    }

    fn watch_stamped(&self) -> KvResult<Box<dyn Watch>> {
        Ok(Box::new(watch::StampedWatch::new(self.client.store.clone())))
    }

    fn close(&self) -> KvResult<()> {
        self.client.queue.close();
        // The last handle may be dropped by a job's `done`, on a worker: that one cannot wait for itself.
        if !self.thread_ids.contains(&thread::current().id()) {
            for thread in self.threads.lock().expect("no panic under this lock").drain(..) {
                thread.join().map_err(|_| KvError::Other("a worker of the in-memory store panicked".into()))?;
            }
        }
        Ok(())
    }
}

impl Drop for MemoryKv {
    fn drop(&mut self) {
        // An error here is a worker's panic, which has been printed already.
        let _ = self.close();
    }
}

impl Client {
    fn work(&self, worker: u64) {
        mark_engine_thread();
        let mut jitter = Random::new(self.options.faults.seed ^ (self.number << 32) ^ worker);
        let mut batch = Vec::new();
        while self.queue.take(&mut batch, 1) {
            for mut job in batch.drain(..) {
                let outcome = retry(&self.options.retry, self.clock.as_ref(), &mut jitter, |attempt| {
                    self.attempt(job.as_mut(), attempt)
                });
                job.done(outcome);
            }
        }
    }

    fn attempt(&self, job: &mut dyn Job, attempt: Attempt) -> KvResult<Verdict> {
        self.faults.delay();
        let mut transaction = BufferedTransaction::tracking(Snapshot::take(&self.store));
        let verdict = run_body(job, &mut transaction as &mut dyn Transaction, attempt)?;
        let (snapshot, buffer, reads) = transaction.finish()?;
        if verdict == Verdict::Abort || buffer.is_empty() {
            // Nothing changes, and what was read was true together at the snapshot: nothing to validate.
            return Ok(verdict);
        }
        let fate = self.faults.next_commit();
        if let CommitFate::Conflict = fate {
            return Err(KvError::Conflict);
        }
        if let CommitFate::LostBefore = fate {
            return Err(KvError::UnknownResult("injected: not applied".into()));
        }
        self.store.commit(self.number, snapshot.version(), buffer, &reads)?;
        match fate {
            CommitFate::LostAfter => Err(KvError::UnknownResult("injected: applied".into())),
            _ => Ok(verdict),
        }
    }
}

/// Jobs that may wait; more make their submitters wait.
const QUEUED_JOBS_MAX: usize = 65_536;

#[cfg(test)]
mod tests;
