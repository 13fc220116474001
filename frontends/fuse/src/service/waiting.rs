//! Requests that may be interrupted while somebody else is at work on them.
//!
//! Nearly every read is answered within microseconds, and must not pay for the few that wait for a slow object store.
//! So nobody listens for interrupts at first. A task of the shard, which lives only while requests wait, passes over
//! them a few times a second: what is still unanswered the second time begins to listen, and is answered EINTR when its
//! client has given up. An INTERRUPT that comes before is remembered by [`Interrupts`]. What was being done for the
//! request goes on, and its outcome is dropped.
//!
//! The kernel interrupts only reads that a client waits for by itself, such as those of a page fault. A killed reader of
//! readahead just goes away. Asynchronous direct I/O, and with ASYNC_DIO all direct I/O, is waited for in any case: there
//! the store's deadlines are the bound.

use crate::interrupts::{Interruption, Interrupts};
use crate::transport::{Reply, ReplyBody};
use shoal_types::Errno;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// A client that was killed waits at most about twice as long as this.
const INTERVAL: Duration = Duration::from_millis(100);

/// One shard's waiting requests.
pub(super) struct Waiting {
    interrupts: Arc<Interrupts>,
    requests: RefCell<Vec<Request>>,
    watched: Cell<bool>,
}

struct Request {
    unique: u64,
    /// Gone once it's answered.
    answer: Weak<dyn Interruptible>,
    seen: Seen,
}

enum Seen {
    Never,
    Once,
    Listening(Interruption),
}

/// The one right to answer a request. Dropping it unused answers EIO, as dropping a reply does.
pub(super) struct Answer<R>(Arc<Slot<R>>);

/// Empty once answered. The lock is this request's own: only its answer and its interruption ever meet there.
struct Slot<R>(Mutex<Option<R>>);

trait Interruptible {
    fn interrupt(&self);
}

impl Waiting {
    pub fn new(interrupts: Arc<Interrupts>) -> Rc<Self> {
        Rc::new(Waiting { interrupts, requests: RefCell::default(), watched: Cell::new(false) })
    }

    /// Makes `reply` interruptible until it's answered. On the shard's thread.
    pub fn enter<R: Reply>(self: &Rc<Self>, unique: u64, reply: R) -> Answer<R> {
        let slot = Arc::new(Slot(Mutex::new(Some(reply))));
        let answer: Weak<dyn Interruptible> = Arc::<Slot<R>>::downgrade(&slot);
        self.requests.borrow_mut().push(Request { unique, answer, seen: Seen::Never });
        if !self.watched.replace(true) {
            shoal_runtime::spawn(self.clone().watch());
        }
        Answer(slot)
    }

    async fn watch(self: Rc<Self>) {
        while !self.requests.borrow().is_empty() {
            shoal_runtime::sleep(INTERVAL).await;
            self.requests.borrow_mut().retain_mut(|request| request.look_after(&self.interrupts));
        }
        self.watched.set(false);
    }
}

impl Request {
    /// False once there is nothing left to look after.
    fn look_after(&mut self, interrupts: &Arc<Interrupts>) -> bool {
        let Some(answer) = self.answer.upgrade() else { return false };
        match &self.seen {
            Seen::Never => self.seen = Seen::Once,
            Seen::Once => self.seen = Seen::Listening(interrupts.listen(self.unique)),
            Seen::Listening(_) => {}
        }
        match &self.seen {
            Seen::Listening(interruption) if interruption.is_set() => {
                answer.interrupt();
                false
            }
            _ => true,
        }
    }
}

impl<R: Reply> Answer<R> {
    pub fn send(self, result: Result<ReplyBody<'_>, Errno>) {
        if let Some(reply) = self.0.take() {
            reply.send(result);
        }
    }
}

impl<R> Slot<R> {
    fn take(&self) -> Option<R> {
        self.0.lock().expect("nobody panics while taking a value").take()
    }
}

impl<R: Reply> Interruptible for Slot<R> {
    fn interrupt(&self) {
        if let Some(reply) = self.take() {
            reply.send(Err(Errno::EINTR));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_runtime::{AlignedBuffer, shard_threads};
    use std::sync::mpsc::{Receiver, Sender, channel};

    struct Recorder(Sender<Result<(), Errno>>);

    impl Reply for Recorder {
        fn data_buffer(&mut self, bytes: usize) -> AlignedBuffer {
            AlignedBuffer::with_capacity(bytes)
        }

        fn send(self, result: Result<ReplyBody<'_>, Errno>) {
            self.0.send(result.map(|_| ())).expect("the test listens");
        }

        fn discard(self) {}
    }

    /// Runs `test` on a shard, and then until no request waits any more; gives the answers in order.
    fn answers(
        test: impl Fn(&Rc<Waiting>, &Interrupts, Recorder) + Send + Sync + 'static,
    ) -> Receiver<Result<(), Errno>> {
        let (sender, receiver) = channel();
        let test = Arc::new(test);
        let threads = shard_threads(1, false, move |_| {
            let (test, reply) = (test.clone(), Recorder(sender.clone()));
            async move {
                let interrupts = Arc::new(Interrupts::default());
                let waiting = Waiting::new(interrupts.clone());
                test(&waiting, &interrupts, reply);
                while waiting.watched.get() {
                    shoal_runtime::sleep(INTERVAL).await;
                }
                assert!(waiting.requests.borrow().is_empty());
            }
        });
        threads.expect("started").join();
        receiver
    }

    #[test]
    fn an_interrupted_request_answers_eintr_once_and_its_result_is_dropped() {
        let late = Arc::new(Mutex::new(None));
        let kept = late.clone();
        let answers = answers(move |waiting, interrupts, reply| {
            *kept.lock().unwrap() = Some(waiting.enter(7, reply));
            interrupts.interrupt(7);
        });
        late.lock().unwrap().take().unwrap().send(Ok(ReplyBody::Empty));
        assert_eq!(answers.try_iter().collect::<Vec<_>>(), [Err(Errno::EINTR)]);
    }

    #[test]
    fn an_answered_request_is_left_alone() {
        let answers = answers(|waiting, interrupts, reply| {
            interrupts.interrupt(7);
            waiting.enter(7, reply).send(Ok(ReplyBody::Empty));
        });
        assert_eq!(answers.try_iter().collect::<Vec<_>>(), [Ok(())]);
    }

    #[test]
    fn a_request_whose_worker_is_gone_is_forgotten() {
        let answers = answers(|waiting, _, reply| drop(waiting.enter(7, reply)));
        assert_eq!(answers.try_iter().count(), 0, "the transport's reply answers EIO when it's dropped");
    }
}
