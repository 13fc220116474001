//! What the threads of one client share.

use crate::RemoteOptions;
use crate::pool::Pool;
use crate::server::{Answer, Connection, Versioned};
use crate::server::{Evidence, Failure, Server};
use crate::snapshot::Snapshot;
use crate::workers::jitter;
use shoal_kv::retry::{SystemClock, retry};
use shoal_kv::{KvResult, Reader};
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) struct Client<S: Server> {
    pub pool: Pool<S>,
    pub options: RemoteOptions,
    pub round_trips: AtomicU64,
    pub conflicts: AtomicU64,
}

impl<S: Server> Client<S> {
    pub fn new(server: S, options: RemoteOptions) -> Self {
        Client { pool: Pool::new(server), options, round_trips: AtomicU64::new(0), conflicts: AtomicU64::new(0) }
    }

    pub fn read(&self, body: &mut dyn FnMut(&mut dyn Reader) -> KvResult<()>) -> KvResult<()> {
        retry(&self.options.retry, &SystemClock::default(), &mut jitter(), |_| self.read_once(body))
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
        retry(&self.options.retry, &SystemClock::default(), &mut jitter(), |_| {
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
}
