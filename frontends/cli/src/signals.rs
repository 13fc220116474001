//! Signals as messages. From `catch` on, none of them ends the process by itself.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;

/// SIGTERM and SIGINT, caught from now on and kept until somebody listens.
pub struct Caught(Signals);

/// Listening ends when this is dropped.
pub struct Listening {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

/// A daemon has no terminal that could be hung up: for it SIGHUP means nothing.
pub fn catch(is_daemon: bool) -> io::Result<Caught> {
    if is_daemon {
        // Setting a flag that nobody reads is how to ignore a signal without code that is not safe.
        signal_hook::flag::register(SIGHUP, Arc::new(AtomicBool::new(false)))?;
    }
    Ok(Caught(Signals::new([SIGTERM, SIGINT])?))
}

impl Caught {
    /// Calls `on_signal` for each, those included that came before.
    pub fn listen(mut self, on_signal: impl Fn(i32) + Send + 'static) -> io::Result<Listening> {
        let handle = self.0.handle();
        let listen = move || self.0.forever().for_each(on_signal);
        let thread = std::thread::Builder::new().name("signals".into()).spawn(listen)?;
        Ok(Listening { handle, thread: Some(thread) })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.handle.close();
        // A panic of the listener has been printed already.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
