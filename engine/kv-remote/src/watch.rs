//! Watching: the server's word that something was committed where it gives one, otherwise a look now and then.

use crate::client::Client;
use crate::server::{Commits, Listener, Server};
use shoal_kv::{KvResult, Watch};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) struct RemoteWatch<S: Server> {
    client: Arc<Client<S>>,
    listener: Option<Box<dyn Listener>>,
    key: Vec<u8>,
    version: u64,
}

impl<S: Server> RemoteWatch<S> {
    pub fn new(client: Arc<Client<S>>, key: &[u8]) -> KvResult<Self> {
        // First the ear, then the eye: a commit between the two is heard of.
        let listener = client.pool.server().listen(Commits::All)?;
        let version = client.version(key)?;
        Ok(RemoteWatch { client, listener, key: key.to_vec(), version })
    }
}

impl<S: Server> Watch for RemoteWatch<S> {
    /// After a change the watch stands again, for the next one.
    fn wait(&mut self, timeout: Duration) -> KvResult<bool> {
        let start = Instant::now();
        loop {
            let version = self.client.version(&self.key)?;
            if version != self.version {
                self.version = version;
                return Ok(true);
            }
            let left = timeout.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(false);
            }
            match &mut self.listener {
                // A server that fails over may forget who listens: so not for ever.
                Some(listener) => drop(listener.wait(left.min(LISTEN_MAX))?),
                None => std::thread::sleep(left.min(LOOK_INTERVAL)),
            }
        }
    }
}

pub(crate) struct StampedWatch(Option<Box<dyn Listener>>);

impl StampedWatch {
    pub fn new<S: Server>(client: &Client<S>) -> KvResult<Self> {
        Ok(StampedWatch(client.pool.server().listen(Commits::Stamped)?))
    }
}

impl Watch for StampedWatch {
    /// Where the server tells nothing, whoever waits has to look, after a while.
    fn wait(&mut self, timeout: Duration) -> KvResult<bool> {
        match &mut self.0 {
            Some(listener) => listener.wait(timeout),
            None => {
                std::thread::sleep(timeout.min(STAMPED_LOOK_INTERVAL));
                Ok(true)
            }
        }
    }
}

const STAMPED_LOOK_INTERVAL: Duration = Duration::from_millis(50);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
const LISTEN_MAX: Duration = Duration::from_secs(5);
