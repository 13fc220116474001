//! What all engines on a server are to those who choose one by its address: made ready, opened, removed.

use crate::server::Server;
use crate::{Address, AddressError, RemoteKv, RemoteOptions};
use shoal_kv::{Kv, KvResult};
use std::sync::Arc;
use std::time::Duration;

pub trait Engine: Send + Sync + Sized + 'static {
    type Client: Counted;

    /// The store at an address. `answer_max` bounds the wait for a connection and for each answer. Asks nothing of the
    /// server yet.
    fn at(address: &Address, answer_max: Duration) -> Result<Self, AddressError>;

    /// Whether there is what a volume needs; with `create`, it's made. To be asked before `open`.
    fn prepare(&self, create: bool) -> KvResult<bool>;

    /// Removes everything of the volume. Nobody may use it.
    fn destroy(&self) -> KvResult<()>;

    /// What keeps the server, as it is set now, from having each commit on disk before it's acknowledged, if anything.
    fn durability_warning(&self) -> KvResult<Option<String>>;

    /// Fails at once if the server can't be reached now.
    fn open(self, options: RemoteOptions) -> KvResult<Arc<Self::Client>>;
}

/// A client that counts: what operations are held to budgets with.
pub trait Counted: Kv {
    /// Waits for answers of the server so far, other than to connect. What is asked for at once is one.
    fn round_trips(&self) -> u64;

    /// Commits that were refused so far because what they had read had changed.
    fn conflicts(&self) -> u64;
}

impl<S: Server> Engine for S {
    type Client = RemoteKv<S>;

    fn at(address: &Address, answer_max: Duration) -> Result<Self, AddressError> {
        Server::at(address, answer_max)
    }

    fn prepare(&self, create: bool) -> KvResult<bool> {
        Server::prepare(self, create)
    }

    fn destroy(&self) -> KvResult<()> {
        Server::destroy(self)
    }

    fn durability_warning(&self) -> KvResult<Option<String>> {
        Server::durability_warning(self)
    }

    fn open(self, options: RemoteOptions) -> KvResult<Arc<RemoteKv<S>>> {
        RemoteKv::open(self, options)
    }
}
