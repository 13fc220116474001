//! What metadata engines on a server have in common. An adapter crate implements [`Server`] and [`Connection`] (four
//! questions of one round trip each), and [`RemoteKv`] makes an engine of it.
//!
//! * **Transactions** are optimistic. The body runs on a worker's thread ([`client`]); its reads are one snapshot
//!   ([`snapshot`]), its writes are buffered. The commit carries what was read, and the server applies it only if that
//!   still holds: serializable, phantoms included. So a transaction costs a round trip for each read that depends on an
//!   earlier one, and one for the commit. Conflicts run the body again.
//! * **Lost answers.** A commit whose answer was lost has either happened or will never happen, and its worker finds out
//!   which before it goes on ([`job`]). So no operation is applied twice, and none needs a record of its own to tell.
//! * **A server that is away** is waited for, with a bound: restarts and fail-overs delay operations and then fail them
//!   with `Unavailable`. A connection that gives no answer in time is dropped, which is the adapter's business.
//! * **Durability** is the server's: a commit is reported when the server has acknowledged it, whichever way it is set.

// In tests a failed unwrap is a failed test, which is what it is for.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod address;
mod client;
mod engine;
mod job;
mod pool;
mod server;
mod snapshot;
mod tls;
mod transaction;
mod watch;
mod workers;

pub use address::{Address, AddressError};
pub use engine::{Counted, Engine};
pub use server::{
    Answer, Asked, Commit, CommitEnd, Commits, Connection, Evidence, Failure, LISTEN_PAUSE, Listener, SeenRange,
    Server, Versioned, VersionedPair,
};

pub use tls::Tls;
pub use workers::{Runner, Workers, jitter};

use client::Client;
use shoal_kv::retry::RetryPolicy;
use shoal_kv::{Durability, Job, Kv, KvResult, Reader, Snapshot, Watch};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub struct RemoteOptions {
    /// Transactions in flight at once; each needs a thread and a connection.
    pub workers: usize,
    /// How long conflicts and a server that is away are put up with.
    pub retry: RetryPolicy,
}

impl Default for RemoteOptions {
    fn default() -> Self {
        let retry = RetryPolicy { total_max: Duration::from_secs(30), ..RetryPolicy::default() };
        RemoteOptions { workers: 16, retry }
    }
}

/// A metadata engine on a server.
pub struct RemoteKv<S: Server> {
    client: Arc<Client<S>>,
    workers: Workers,
}

impl<S: Server> RemoteKv<S> {
    /// Fails at once if the server can't be reached now.
    pub fn open(server: S, options: RemoteOptions) -> KvResult<Arc<Self>> {
        let client = Arc::new(Client::new(server, options));
        client.pool.give_back(client.pool.take()?);
        let workers = Workers::start(&client, options.workers)?;
        Ok(Arc::new(RemoteKv { client, workers }))
    }

    pub fn server(&self) -> &S {
        self.client.pool.server()
    }
}

impl<S: Server> Counted for RemoteKv<S> {
    fn round_trips(&self) -> u64 {
        self.client.round_trips.load(Ordering::Relaxed)
    }

    fn conflicts(&self) -> u64 {
        self.client.conflicts.load(Ordering::Relaxed)
    }
}

impl<S: Server> Kv for RemoteKv<S> {
    fn read(&self, body: &mut dyn FnMut(&mut dyn Reader) -> KvResult<()>) -> KvResult<()> {
        self.client.read(body)
    }

    fn snapshot(&self) -> KvResult<Box<dyn Snapshot>> {
        self.server().snapshot().map_err(Failure::into_error)
    }

    fn reads_are_local(&self) -> bool {
        false
    }

    /// Every commit is as durable as the server makes any, so there is nothing to choose.
    fn submit(&self, job: Box<dyn Job>, _: Durability) {
        self.workers.submit(job);
    }

    /// No server tells cheaply.
    fn foreign_epoch(&self) -> Option<u64> {
        None
    }

    /// It can, but then the job ends with it and is never run again: nothing needs a record to be found by a later run.
    fn results_may_be_unknown(&self) -> bool {
        false
    }

    fn watch(&self, key: &[u8]) -> KvResult<Box<dyn Watch>> {
        Ok(Box::new(watch::RemoteWatch::new(self.client.clone(), key)?))
    }

    fn watch_stamped(&self) -> KvResult<Box<dyn Watch>> {
        Ok(Box::new(watch::StampedWatch::new(&self.client)?))
    }

    fn close(&self) -> KvResult<()> {
        if self.workers.close()? {
            self.client.pool.close();
        }
        Ok(())
    }
}

impl<S: Server> Drop for RemoteKv<S> {
    fn drop(&mut self) {
        // An error here is a worker's panic, which has been printed already.
        let _ = self.close();
    }
}
