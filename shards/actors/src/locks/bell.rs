//! The session's bell: others ring it when they give up what somebody here waits for.
//!
//! A thread watches it while anybody waits for another mount, and not longer: an idle mount has no such thread. Before each
//! wait it sets the watch anew and then has everybody try again, so that nothing rung before the watch stood is missed.

use crate::limits;
use crate::message::Message;
use crate::shared::Shared;
use shoal_kv::Watch;
use shoal_metadata::keys::Key;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

#[derive(Default)]
pub(crate) struct Bell(Mutex<State>);

#[derive(Default)]
struct State {
    listeners: usize,
    /// Set while the thread has not decided to end.
    thread: Option<JoinHandle<()>>,
}

/// Somebody listens, until it's dropped.
pub(crate) struct Listening(Arc<Shared>);

impl Bell {
    /// From now on `Message::RetryLocks` comes to every shard after each ring, and once soon.
    pub fn listen(shared: &Arc<Shared>) -> Listening {
        let mut state = shared.bell.state();
        state.listeners += 1;
        if state.thread.is_none() {
            let watched = shared.clone();
            let thread = std::thread::Builder::new().name("lock-bell".into()).spawn(move || watch(&watched));
            // Without it a waiter still tries again once in a while.
            state.thread = thread.inspect_err(|error| tracing::warn!(%error, "locks are waited for slowly")).ok();
        }
        Listening(shared.clone())
    }

    /// Waits for the thread, which ends soon once the mount is stopping.
    pub fn end(&self) {
        let thread = self.state().thread.take();
        if let Some(Err(_)) = thread.map(JoinHandle::join) {
            tracing::error!("the thread that waits for locks of other mounts has panicked");
        }
    }

    /// Decides in one step, so that no listener comes in between.
    fn ends(&self, stopping: bool) -> bool {
        let mut state = self.state();
        let ends = stopping || state.listeners == 0;
        if ends && !stopping {
            state.thread = None;
        }
        ends
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no code panics while it holds this lock")
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.bell.state().listeners -= 1;
    }
}

fn watch(shared: &Shared) {
    let bell = Key::Bell(shared.session).encode();
    loop {
        let watch = shared.kv.watch(&bell);
        for mailbox in &shared.mailboxes {
            // A shard that has stopped has nobody who waits.
            let _ = mailbox.send_blocking(Message::RetryLocks);
        }
        if wait_for_ring(shared, watch) {
            return;
        }
    }
}

/// `true` when nobody listens any more. A watch that fails is as good as a ring, after a while.
fn wait_for_ring(shared: &Shared, watch: shoal_kv::KvResult<Box<dyn Watch>>) -> bool {
    let mut watch = watch;
    loop {
        if shared.bell.ends(shared.stopping.load(SeqCst)) {
            return true;
        }
        match watch.as_mut().map(|watch| watch.wait(limits::BELL_LOOK_INTERVAL)) {
            Ok(Ok(false)) => {}
            Ok(Ok(true)) => return false,
            Ok(Err(error)) => return failed(&error),
            Err(error) => return failed(error),
        }
    }
}

fn failed(error: &shoal_kv::KvError) -> bool {
    tracing::warn!(%error, "waiting for another mount to give up a lock");
    std::thread::sleep(limits::LOCK_RETRY_INTERVAL);
    false
}
