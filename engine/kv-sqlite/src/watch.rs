//! Watching by polling: SQLite tells nobody of a commit.
//!
//! A look costs a few loads from a shared page; the key itself is read only when someone has committed since. No thread and
//! no connection is held while nobody waits.

use crate::Shared;
use crate::limits::WATCH_INTERVAL;
use shoal_kv::{KvResult, Watch};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) struct SqliteWatch {
    shared: Arc<Shared>,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    /// Under which `value` was read.
    epoch: Option<u64>,
}

impl SqliteWatch {
    pub fn new(shared: Arc<Shared>, key: &[u8]) -> KvResult<Self> {
        let mut watch = SqliteWatch { shared, key: key.to_vec(), value: None, epoch: None };
        watch.look()?;
        Ok(watch)
    }

    /// Whether the value differs from the last look's.
    fn look(&mut self) -> KvResult<bool> {
        // The epoch first, so that a commit between the two is looked at again.
        let epoch = self.shared.epoch.of_all();
        if epoch.is_some() && epoch == self.epoch {
            return Ok(false);
        }
        let mut value = None;
        self.shared.readers.read(&mut |reader| {
            value = reader.get(&self.key)?;
            Ok(())
        })?;
        self.epoch = epoch;
        let changed = value != self.value;
        self.value = value;
        Ok(changed)
    }
}

impl Watch for SqliteWatch {
    /// After a change the watch stands again, for the next one.
    fn wait(&mut self, timeout: Duration) -> KvResult<bool> {
        let start = Instant::now();
        loop {
            if self.look()? {
                return Ok(true);
            }
            let left = timeout.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(false);
            }
            std::thread::sleep(left.min(WATCH_INTERVAL));
        }
    }
}

/// Wakes on every commit, stamped or not: a look at what it brought is cheap.
pub(crate) struct CommitWatch {
    shared: Arc<Shared>,
    /// `None`: somebody was in the middle of a commit.
    epoch: Option<u64>,
}

impl CommitWatch {
    pub fn new(shared: Arc<Shared>) -> Self {
        let epoch = shared.epoch.of_all();
        CommitWatch { shared, epoch }
    }
}

impl Watch for CommitWatch {
    fn wait(&mut self, timeout: Duration) -> KvResult<bool> {
        let start = Instant::now();
        loop {
            let epoch = self.shared.epoch.of_all();
            if epoch.is_none() || epoch != self.epoch {
                self.epoch = epoch;
                return Ok(true);
            }
            let left = timeout.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(false);
            }
            std::thread::sleep(left.min(WATCH_INTERVAL));
        }
    }
}
