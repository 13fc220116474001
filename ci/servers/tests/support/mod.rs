//! What the tests of all engines share.

// Not every engine is put to each of them.
#[allow(dead_code)]
pub mod failures;

use shoal_ci_servers::{Program, Server};
use shoal_kv::Kv;
use shoal_kv::contract::ContractStore;
use shoal_kv_remote::{RemoteKv, RemoteOptions};
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
pub struct RemoteStore<S: shoal_kv_remote::Server> {
    connect: fn(&str) -> S,
    url: String,
    clients: Mutex<Vec<Arc<RemoteKv<S>>>>,
}

impl<S: shoal_kv_remote::Server> RemoteStore<S> {
    pub fn new(connect: fn(&str) -> S, server: &Server<impl Program>) -> Self {
        RemoteStore { connect, url: server.url(&fresh_prefix()), clients: Mutex::default() }
    }
}

impl<S: shoal_kv_remote::Server> ContractStore for RemoteStore<S> {
    fn client(&self) -> Arc<dyn Kv> {
        let client = RemoteKv::open((self.connect)(&self.url), RemoteOptions::default()).unwrap();
        self.clients.lock().unwrap().push(client.clone());
        client
    }

    fn conflicts(&self) -> Option<u64> {
        Some(self.clients.lock().unwrap().iter().map(|client| client.conflicts()).sum())
    }
}
