//! Hearing of commits: a connection that has subscribed to the channel that the commit script publishes on.

use crate::error;
use redis::Connection;
use shoal_kv::{KvError, KvResult};
use shoal_kv_remote::{Failure, Listener};
use std::time::Duration;

pub(crate) struct RedisListener {
    wire: Connection,
}

impl RedisListener {
    pub fn new(mut wire: Connection, channel: &str) -> Result<Self, Failure> {
        let subscribe = redis::cmd("SUBSCRIBE").arg(channel).get_packed_command();
        wire.send_packed_command(&subscribe).map_err(error::translate)?;
        wire.recv_response().map_err(error::translate)?;
        Ok(RedisListener { wire })
    }
}

impl Listener for RedisListener {
    fn wait(&mut self, timeout: Duration) -> KvResult<()> {
        let heard = self.wire.set_read_timeout(Some(timeout)).and_then(|()| self.wire.recv_response());
        match heard {
            Err(error) if !error.is_timeout() => {
                Err(KvError::Unavailable(format!("redis: listening for commits: {error}")))
            }
            _ => Ok(()),
        }
    }
}
