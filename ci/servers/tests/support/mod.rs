//! What the tests of all engines share.

// Not every engine is put to each of them.
#[allow(dead_code)]
pub mod failures;

use shoal_ci_servers::{Program, Server};
use shoal_kv::Kv;
use shoal_kv::contract::ContractStore;
use shoal_kv_remote::{Counted, Engine, RemoteOptions};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub const ANSWER_MAX: Duration = Duration::from_secs(10);

/// A prefix that no other store of this run has.
pub fn fresh_prefix() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// An empty store of its own on a server.
pub struct RemoteStore<E: Engine> {
    connect: fn(&str) -> E,
    url: String,
    clients: Mutex<Vec<Arc<E::Client>>>,
    counts: bool,
}

impl<E: Engine> RemoteStore<E> {
    pub fn new(connect: fn(&str) -> E, server: &Server<impl Program>) -> Self {
        RemoteStore { connect, url: server.url(&fresh_prefix()), clients: Mutex::default(), counts: true }
    }

    /// One whose conflicts say nothing.
    pub fn without_counting(self) -> Self {
        RemoteStore { counts: false, ..self }
    }
}

impl<E: Engine> ContractStore for RemoteStore<E> {
    fn client(&self) -> Arc<dyn Kv> {
        let client = (self.connect)(&self.url).open(RemoteOptions::default()).unwrap();
        self.clients.lock().unwrap().push(client.clone());
        client
    }

    fn conflicts(&self) -> Option<u64> {
        self.counts.then(|| self.clients.lock().unwrap().iter().map(|client| client.conflicts()).sum())
    }
}
