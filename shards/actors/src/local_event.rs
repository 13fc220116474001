//! Waiting for a state among tasks of one shard.

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// Tasks wait until a condition holds; whoever may have made it true calls `notify`.
#[derive(Default)]
pub(crate) struct LocalEvent(RefCell<Vec<Waker>>);

impl LocalEvent {
    pub fn notify(&self) {
        for waker in self.0.take() {
            waker.wake();
        }
    }

    pub async fn wait_until(&self, mut condition: impl FnMut() -> bool) {
        poll_fn(|context| {
            if condition() {
                return Poll::Ready(());
            }
            self.0.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

/// Mutual exclusion among tasks of one shard, across their await points.
#[derive(Default)]
pub(crate) struct LocalMutex {
    held: std::cell::Cell<bool>,
    freed: LocalEvent,
}

pub(crate) struct LocalGuard<'a>(&'a LocalMutex);

impl LocalMutex {
    pub async fn lock(&self) -> LocalGuard<'_> {
        self.freed.wait_until(|| !self.held.get()).await;
        self.held.set(true);
        LocalGuard(self)
    }
}

impl Drop for LocalGuard<'_> {
    fn drop(&mut self) {
        self.0.held.set(false);
        self.0.freed.notify();
    }
}
