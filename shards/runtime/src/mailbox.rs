//! Bounded mailboxes: many senders on any thread, one receiving shard.
//!
//! A lock-free queue with a wake-up only when the receiver sleeps. A full mailbox is back-pressure: senders wait, and
//! nothing is dropped. It cannot deadlock as long as the receiver never waits for room elsewhere before it receives
//! again: receivers spawn what they get.

use crossbeam_queue::{ArrayQueue, SegQueue};
use futures_util::task::AtomicWaker;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

struct Shared<T> {
    queue: ArrayQueue<T>,
    receiver: AtomicWaker,
    /// Senders waiting for room; as many as there are tasks that wait, so bounded by what they are bounded by.
    senders: SegQueue<Waker>,
    closed: AtomicBool,
}

/// The sending end; clone it freely.
pub struct Mailbox<T>(Arc<Shared<T>>);

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        Mailbox(self.0.clone())
    }
}

/// Wakes the thread that waits in `send_blocking`.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The receiving end, for one shard.
pub struct MailboxReceiver<T>(Arc<Shared<T>>);

pub fn mailbox<T: Send>(capacity: usize) -> (Mailbox<T>, MailboxReceiver<T>) {
    let shared = Arc::new(Shared {
        queue: ArrayQueue::new(capacity),
        receiver: AtomicWaker::new(),
        senders: SegQueue::new(),
        closed: AtomicBool::new(false),
    });
    (Mailbox(shared.clone()), MailboxReceiver(shared))
}

impl<T: Send> Mailbox<T> {
    /// Sends at once, or gives the message back when the mailbox is full or closed.
    pub fn try_send(&self, message: T) -> Result<(), T> {
        if self.0.closed.load(Ordering::Acquire) {
            return Err(message);
        }
        self.0.queue.push(message)?;
        self.0.receiver.wake();
        Ok(())
    }

    /// Sends, waiting for room. The message comes back only when the receiver is gone.
    pub async fn send(&self, message: T) -> Result<(), T> {
        let mut message = Some(message);
        poll_fn(move |context| {
            for registered in [false, true] {
                let value = message.take().expect("polled again only while the message is here");
                match self.try_send(value) {
                    Ok(()) => return Poll::Ready(Ok(())),
                    Err(value) if self.0.closed.load(Ordering::Acquire) => return Poll::Ready(Err(value)),
                    Err(value) => message = Some(value),
                }
                if !registered {
                    // Registered before the second try, so that room made in between is not missed.
                    self.0.senders.push(context.waker().clone());
                }
            }
            Poll::Pending
        })
        .await
    }

    /// As `send`, for a thread that has nothing else to do than to wait: never a shard's.
    pub fn send_blocking(&self, message: T) -> Result<(), T> {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut context = Context::from_waker(&waker);
        let mut sending = pin!(self.send(message));
        loop {
            match sending.as_mut().poll(&mut context) {
                Poll::Ready(sent) => return sent,
                // A wake-up that comes first makes `park` return at once; one for nothing costs another look.
                Poll::Pending => std::thread::park(),
            }
        }
    }

    /// No more messages: the receiver gets what is queued, then `None`.
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
        self.0.receiver.wake();
    }
}

impl<T> MailboxReceiver<T> {
    /// The next message, or `None` once the mailbox is closed and empty.
    pub async fn receive(&mut self) -> Option<T> {
        poll_fn(|context| {
            for registered in [false, true] {
                if let Some(message) = self.0.queue.pop() {
                    self.wake_senders();
                    return Poll::Ready(Some(message));
                }
                if self.0.closed.load(Ordering::Acquire) && self.0.queue.is_empty() {
                    return Poll::Ready(None);
                }
                if !registered {
                    self.0.receiver.register(context.waker());
                }
            }
            Poll::Pending
        })
        .await
    }

    fn wake_senders(&self) {
        while let Some(sender) = self.0.senders.pop() {
            sender.wake();
        }
    }
}

impl<T> Drop for MailboxReceiver<T> {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::Release);
        self.wake_senders();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard_threads;
    use std::sync::Mutex;

    #[test]
    fn a_full_mailbox_delays_senders_and_loses_nothing() {
        let (sender, receiver) = mailbox::<u64>(4);
        let receiver = Mutex::new(Some(receiver));
        let threads = shard_threads(2, false, move |index| {
            let sender = sender.clone();
            let receiver = (index == 0).then(|| receiver.lock().expect("not poisoned").take()).flatten();
            async move {
                match receiver {
                    Some(mut receiver) => {
                        for expected in 0..10_000 {
                            assert_eq!(receiver.receive().await, Some(expected));
                        }
                        assert_eq!(receiver.receive().await, None);
                    }
                    None => {
                        for value in 0..10_000 {
                            sender.send(value).await.expect("the receiver lives");
                        }
                        sender.close();
                    }
                }
            }
        });
        threads.expect("threads start").join();
    }

    #[test]
    fn a_foreign_thread_waits_for_room_without_losing_anything() {
        let (sender, receiver) = mailbox::<u64>(2);
        let receiver = Mutex::new(Some(receiver));
        let threads = shard_threads(1, false, move |_| {
            let mut receiver = receiver.lock().expect("not poisoned").take().expect("one shard");
            async move {
                for expected in 0..1000 {
                    assert_eq!(receiver.receive().await, Some(expected));
                }
            }
        });
        (0..1000).for_each(|value| sender.send_blocking(value).expect("the receiver lives"));
        threads.expect("threads start").join();
        assert_eq!(sender.send_blocking(7), Err(7));
    }
}
