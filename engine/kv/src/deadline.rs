//! For tests that would wait for ever if they failed.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// Far beyond what any of them takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// Runs `body` on a thread of its own, and fails if it has not ended in time.
pub(crate) fn within(what: &str, body: impl FnOnce() + Send + 'static) {
    let (ended, end) = channel::<()>();
    let running = thread::spawn(move || {
        let _ended = ended;
        body();
    });
    match end.recv_timeout(DEADLINE) {
        Err(RecvTimeoutError::Timeout) => panic!("{what}: not done after {DEADLINE:?}"),
        _ => running.join().unwrap(),
    }
}
