//! Watching the in-memory store, one key or all that is stamped: woken by commits, no polling.

use super::store::Store;
use crate::{KvResult, Watch};
use std::sync::Arc;
use std::time::Duration;

pub(super) struct MemoryWatch {
    store: Arc<Store>,
    key: Vec<u8>,
    known: u64,
}

impl MemoryWatch {
    pub fn new(store: Arc<Store>, key: &[u8]) -> Self {
        let known = store.changed_at(key);
        MemoryWatch { store, key: key.to_vec(), known }
    }
}

impl Watch for MemoryWatch {
    /// After a change the watch stands again, for the next one.
    fn wait(&mut self, timeout: Duration) -> KvResult<bool> {
        let change = self.store.wait_for_change(&self.key, self.known, timeout);
        self.known = change.unwrap_or(self.known);
        Ok(change.is_some())
    }
}

pub(super) struct StampedWatch {
    store: Arc<Store>,
    known: u64,
}

impl StampedWatch {
    pub fn new(store: Arc<Store>) -> Self {
        let known = store.stamped_at();
        StampedWatch { store, known }
    }
}

impl Watch for StampedWatch {
    fn wait(&mut self, timeout: Duration) -> KvResult<bool> {
        let stamp = self.store.wait_for_stamp(self.known, timeout);
        self.known = stamp.unwrap_or(self.known);
        Ok(stamp.is_some())
    }
}
