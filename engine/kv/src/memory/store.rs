//! The versions behind their lock, who committed how often, and snapshots that release themselves.

use super::versions::Versions;
use crate::{Direction, KeyRange, KvError, KvResult, Pair, ReadSet, Reader, WriteBuffer};
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

#[derive(Default)]
pub(super) struct Store {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    versions: Versions,
    commits: BTreeMap<u64, u64>,
    conflicts: u64,
}

impl Store {
    pub fn commit(&self, client: u64, snapshot: u64, buffer: WriteBuffer, reads: &ReadSet) -> KvResult<()> {
        let mut state = self.lock();
        if let Err(error) = state.versions.commit(snapshot, buffer, reads) {
            state.conflicts += u64::from(error == KvError::Conflict);
            return Err(error);
        }
        // Under the same lock as the commit itself: the epoch has grown before anyone can read the change.
        *state.commits.entry(client).or_default() += 1;
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    pub fn commits_of_others(&self, client: u64) -> u64 {
        let state = self.lock();
        state.versions.latest() - state.commits.get(&client).copied().unwrap_or(0)
    }

    pub fn conflicts(&self) -> u64 {
        self.lock().conflicts
    }

    #[cfg(test)]
    pub fn versions_kept(&self) -> usize {
        self.lock().versions.kept()
    }

    pub fn changed_at(&self, key: &[u8]) -> u64 {
        self.lock().versions.changed_at(key)
    }

    pub fn stamped_at(&self) -> u64 {
        self.lock().versions.stamped_at()
    }

    /// Waits until the key's last change is another than `known`; gives it, or `None` when the time ran out.
    pub fn wait_for_change(&self, key: &[u8], known: u64, timeout: Duration) -> Option<u64> {
        self.wait_for(|versions| versions.changed_at(key), known, timeout)
    }

    /// The same for the last commit with a stamped key.
    pub fn wait_for_stamp(&self, known: u64, timeout: Duration) -> Option<u64> {
        self.wait_for(Versions::stamped_at, known, timeout)
    }

    fn wait_for(&self, number: impl Fn(&Versions) -> u64, known: u64, timeout: Duration) -> Option<u64> {
        let (state, _) = self
            .changed
            .wait_timeout_while(self.lock(), timeout, |state| number(&state.versions) == known)
            .expect(POISONED);
        let now = number(&state.versions);
        (now != known).then_some(now)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect(POISONED)
    }
}

/// Reads at one version, which stays readable until this is dropped.
pub(super) struct Snapshot {
    store: Arc<Store>,
    version: u64,
}

impl Snapshot {
    pub fn take(store: &Arc<Store>) -> Self {
        let version = store.lock().versions.pin();
        Snapshot { store: store.clone(), version }
    }

    pub fn version(&self) -> u64 {
        self.version
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.store.lock().versions.unpin(self.version);
    }
}

impl Reader for Snapshot {
    fn get(&mut self, key: &[u8]) -> KvResult<Option<Vec<u8>>> {
        Ok(self.store.lock().versions.get(key, self.version))
    }

    fn scan(&mut self, range: &KeyRange, limit: usize, direction: Direction) -> KvResult<Vec<Pair>> {
        Ok(self.store.lock().versions.scan(range, limit, direction, self.version))
    }
}

const POISONED: &str = "a broken invariant under this lock has stopped the store";
