//! Hearing of commits: a connection that has subscribed to a channel that the commit script publishes on, and a thread that
//! reads it. (The library's connection counts an answer that came too late as one to be passed over: what is heard in
//! a wait with a bound would be lost in the next.)

use crate::error;
use redis::{Connection, PubSub, RedisError};
use shoal_kv::{KvError, KvResult};
use shoal_kv_remote::{Failure, LISTEN_PAUSE, Listener};
use std::error::Error;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, mpsc};
use std::time::Duration;

pub(crate) struct RedisListener(Arc<Ear>);

#[derive(Default)]
struct Ear {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    heard: bool,
    /// Nothing will be heard any more.
    failure: Option<String>,
    /// Nobody listens any more.
    ended: bool,
}

impl RedisListener {
    /// Returns once it hears everything.
    pub fn new(wire: Connection, channel: &str) -> Result<Self, Failure> {
        let ear = Arc::new(Ear::default());
        let (sender, subscribed) = mpsc::channel();
        let (hearing, channel) = (ear.clone(), channel.to_string());
        let listen = move || listen(wire, &channel, &hearing, &sender);
        let thread = std::thread::Builder::new().name("redis-listener".into()).spawn(listen);
        thread.map_err(|error| Failure::Later(format!("redis: starting a thread: {error}")))?;
        let lost = || Failure::Lost("redis: the thread that listens has ended".into());
        subscribed.recv().unwrap_or_else(|_| Err(lost()))?;
        Ok(RedisListener(ear))
    }
}

impl Listener for RedisListener {
    fn wait(&mut self, timeout: Duration) -> KvResult<bool> {
        let quiet = |state: &mut State| !state.heard && state.failure.is_none();
        let waited = self.0.changed.wait_timeout_while(self.0.state(), timeout, quiet);
        let (state, _) = waited.expect(UNPOISONED);
        if let Some(failure) = &state.failure {
            return Err(KvError::Unavailable(failure.clone()));
        }
        let heard = state.heard;
        drop(state);
        if heard {
            std::thread::sleep(LISTEN_PAUSE);
            self.0.state().heard = false;
        }
        Ok(heard)
    }
}

impl Drop for RedisListener {
    fn drop(&mut self) {
        self.0.state().ended = true;
    }
}

impl Ear {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect(UNPOISONED)
    }
}

fn listen(mut wire: Connection, channel: &str, ear: &Ear, subscribed: &mpsc::Sender<Result<(), Failure>>) {
    let mut messages = wire.as_pubsub();
    let ready = messages.subscribe(channel).and_then(|()| messages.set_read_timeout(Some(END_LOOK_INTERVAL)));
    // Somebody waits for this.
    let _ = subscribed.send(ready.map_err(error::translate));
    let failure = hear(&mut messages, ear);
    ear.state().failure = failure;
    ear.changed.notify_all();
}

/// Until the end, or until nothing more can be heard.
fn hear(messages: &mut PubSub<'_>, ear: &Ear) -> Option<String> {
    while !ear.state().ended {
        match messages.get_message() {
            Ok(_) => {
                ear.state().heard = true;
                ear.changed.notify_all();
            }
            Err(error) if error.is_timeout() || is_interrupted(&error) => {}
            Err(error) => return Some(format!("redis: listening for commits: {error}")),
        }
    }
    None
}

/// A program that was stopped and goes on: a socket with a time-out then gives its wait up, without any signal handler (see
/// signal(7)).
fn is_interrupted(error: &RedisError) -> bool {
    // The library shows its own pointer to the error as the source.
    let shared = error.source().and_then(|source| source.downcast_ref::<Arc<dyn Error + Send + Sync>>());
    let cause = shared.and_then(|shared| shared.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::Interrupted)
}

/// How soon the thread sees that nobody listens any more.
const END_LOOK_INTERVAL: Duration = Duration::from_millis(500);
const UNPOISONED: &str = "no code panics while it holds this lock";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_that_was_interrupted_is_told_from_a_lost_connection() {
        let of_kind = |kind| RedisError::from(io::Error::from(kind));
        assert!(is_interrupted(&of_kind(io::ErrorKind::Interrupted)));
        assert!(!is_interrupted(&of_kind(io::ErrorKind::ConnectionReset)));
    }
}
