//! The shard runtime: pinned threads with one io_uring each, file I/O on that ring, timers, and mailboxes between shards.
//!
//! It stands on compio (thread-per-core on io_uring). Nothing above this crate names compio, and nothing in it knows
//! what a file system is.

mod buffer;
mod device;
mod file_io;
mod mailbox;
mod ring_ops;
mod threads;

pub use buffer::{AlignedBuffer, Lender};
pub use device::{DeviceCommand, device_command};
pub use file_io::{RingFile, read_at, readable, ring_turn, write_at, write_bytes_at};
pub use mailbox::{Mailbox, MailboxReceiver, mailbox};
pub use threads::{ShardThreads, shard_threads};

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Starts a task on the current shard's thread; it runs to its end unless the shard stops first. A panic in it ends the
/// process, as one in the shard itself does: others would wait for ever for what the task was to do.
pub fn spawn(future: impl Future<Output = ()> + 'static) {
    compio_runtime::spawn(async move {
        let mut future = pin!(future);
        std::future::poll_fn(|context| or_abort(|| future.as_mut().poll(context))).await;
    })
    .detach();
}

/// What `step` gives; a panic in it has been printed and ends the process.
fn or_abort<T>(step: impl FnOnce() -> T) -> T {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(step)) {
        Ok(value) => value,
        Err(_) => {
            tracing::error!("a task of a shard found itself wrong; the process ends");
            std::process::abort();
        }
    }
}

/// Runs a request at once in place and hands only what must wait to the scheduler: most requests end in one poll.
pub fn spawn_eager(future: impl Future<Output = ()> + 'static) {
    let mut future = Box::pin(future);
    // The first poll's waker is never needed: a pending future is polled again as soon as it is scheduled.
    if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
        spawn(future);
    }
}

/// Resolves after `duration`, on the current shard.
pub async fn sleep(duration: Duration) {
    compio_runtime::time::sleep(duration).await;
}

/// Lets other tasks of this shard, and its ring, have a turn.
pub async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// `future` with an end: `None` when `limit` has passed first; the future is then dropped, which cancels it.
pub async fn timeout<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    let future = pin!(future);
    let timer = pin!(compio_runtime::time::sleep(limit));
    match futures_util::future::select(future, timer).await {
        futures_util::future::Either::Left((value, _)) => Some(value),
        futures_util::future::Either::Right(_) => None,
    }
}
