//! What the threads of one client share.

use crate::RemoteOptions;
use crate::pool::{Pool, closed};
use crate::server::{Answer, Connection, Versioned};
use crate::server::{Evidence, Failure, Server};
use crate::snapshot::Snapshot;
use shoal_kv::retry::{SystemClock, retry};
use shoal_kv::{Durability, Job, JobQueue, KvResult, Random, Reader, mark_engine_thread};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) struct Client<S: Server> {
    pub pool: Pool<S>,
    pub options: RemoteOptions,
    pub queue: JobQueue<Box<dyn Job>>,
    pub round_trips: AtomicU64,
    pub conflicts: AtomicU64,
    /// Of the jitter: two clients must not back off in step.
    seeds: AtomicU64,
}

impl<S: Server> Client<S> {
    pub fn new(server: S, options: RemoteOptions) -> Self {
        Client {
            pool: Pool::new(server),
            options,
            queue: JobQueue::new(QUEUED_JOBS_MAX),
            round_trips: AtomicU64::new(0),
            conflicts: AtomicU64::new(0),
            seeds: AtomicU64::new(RandomState::new().hash_one("jitter")),
        }
    }

    /// A worker's thread.
    pub fn work(&self) {
        mark_engine_thread();
        let (clock, mut jitter) = (SystemClock::default(), self.jitter());
        let mut batch = Vec::new();
        while self.queue.take(&mut batch, 1) {
            for mut job in batch.drain(..) {
                let outcome = self.run(job.as_mut(), &clock, &mut jitter);
                job.done(outcome);
            }
        }
    }

    /// Every commit is as durable as the server makes any, so there is nothing to choose.
    pub fn submit(&self, job: Box<dyn Job>, _: Durability) {
        if let Err(job) = self.queue.push(job) {
            job.done(Err(closed()));
        }
    }

    pub fn read(&self, body: &mut dyn FnMut(&mut dyn Reader) -> KvResult<()>) -> KvResult<()> {
        retry(&self.options.retry, &SystemClock::default(), &mut self.jitter(), |_| self.read_once(body))
    }

    fn read_once(&self, body: &mut dyn FnMut(&mut dyn Reader) -> KvResult<()>) -> KvResult<()> {
        let mut pooled = self.pool.take()?;
        let mut snapshot = Snapshot::new(&mut pooled.connection, &self.round_trips);
        let result = body(&mut snapshot);
        let (trouble, usable) = snapshot.trouble();
        match usable {
            true => self.pool.give_back(pooled),
            false => self.pool.lose(pooled),
        }
        trouble.map_or(result, Err)
    }

    /// The version of one key, 0 if it's not there.
    pub fn version(&self, key: &[u8]) -> KvResult<u64> {
        let jitter = &mut self.jitter();
        retry(&self.options.retry, &SystemClock::default(), jitter, |_| {
            let mut pooled = self.pool.take()?;
            self.round_trips.fetch_add(1, Ordering::Relaxed);
            let answer = pooled.connection.get_many(&Evidence::default(), &[key]);
            match answer {
                Err(failure @ Failure::Lost(_)) => {
                    self.pool.lose(pooled);
                    return Err(failure.into_error());
                }
                _ => self.pool.give_back(pooled),
            }
            match answer.map_err(Failure::into_error)? {
                Answer::At(_, found) => {
                    Ok(found.into_iter().flatten().next().map_or(0, |found: Versioned| found.version))
                }
                Answer::Moved => unreachable!("no evidence can fail to hold"),
            }
        })
    }

    fn jitter(&self) -> Random {
        Random::new(self.seeds.fetch_add(1, Ordering::Relaxed))
    }
}

/// Jobs that may wait; more make their submitters wait.
const QUEUED_JOBS_MAX: usize = 65_536;
