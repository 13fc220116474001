//! Watching one key by a watch of the cluster's, set again after each change.

use crate::c::Future;
use crate::client::Client;
use shoal_kv::{KvResult, Watch};
use shoal_kv_remote::LISTEN_PAUSE;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) struct FdbWatch {
    client: Arc<Client>,
    /// In the cluster.
    key: Vec<u8>,
    /// As it was when the watch was set.
    value: Option<Vec<u8>>,
    set: Option<Future>,
    looked_at: Instant,
}

impl FdbWatch {
    pub fn set(client: Arc<Client>, key: Vec<u8>) -> KvResult<Self> {
        let mut watch = FdbWatch { client, key, value: None, set: None, looked_at: Instant::now() };
        watch.look()?;
        Ok(watch)
    }

    /// Sets the watch, and tells whether the value is another one than before.
    fn look(&mut self) -> KvResult<bool> {
        let (client, key) = (&self.client, &self.key);
        let (value, set) = client.retrying(|| {
            // The library refuses watches to the kind of transaction that is made for others.
            let transaction = client.database.watching_transaction().map_err(|code| client.error(code))?;
            let (value, set) = (transaction.get(key), transaction.watch(key));
            client.wait(&value)?;
            client.commit_small(&transaction)?;
            Ok((value.value().map_err(|code| client.error(code))?, set))
        })?;
        (self.set, self.looked_at) = (Some(set), Instant::now());
        Ok(std::mem::replace(&mut self.value, value.clone()) != value)
    }
}

impl Watch for FdbWatch {
    /// After a change the watch stands again, for the next one.
    fn wait(&mut self, timeout: Duration) -> KvResult<bool> {
        let deadline = Instant::now() + timeout;
        loop {
            if self.set.is_none() {
                // Changes that follow each other so closely are told of together.
                thread::sleep(LISTEN_PAUSE.saturating_sub(self.looked_at.elapsed()));
                if self.look()? {
                    return Ok(true);
                }
            }
            let set = self.set.as_ref().expect("it was just set");
            if !set.wait(deadline.saturating_duration_since(Instant::now()).min(SET_TIME_MAX)) {
                if Instant::now() >= deadline {
                    return Ok(false);
                }
            } else if set.result().is_err() {
                // Too many, or the cluster has dropped it: as if there were none.
                thread::sleep(LOOK_INTERVAL.min(deadline.saturating_duration_since(Instant::now())));
            }
            self.set = None;
        }
    }
}

/// After so long the value is looked at in any case.
const SET_TIME_MAX: Duration = Duration::from_secs(30);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
