//! Requests whose clients no longer want to wait.
//!
//! A request that can be cut short listens; an INTERRUPT that names it sets its flag. The two may come in either order,
//! because they are read by different shards: an INTERRUPT that nobody listens for yet is remembered for a while.
//! Requests that answer at once never touch this. Unique numbers are never used again, so a stale memory does no harm.

use futures_util::task::AtomicWaker;
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;

/// One per mount, shared by its shards.
#[derive(Default)]
pub struct Interrupts(Mutex<State>);

#[derive(Default)]
struct State {
    listening: HashMap<u64, Arc<Flag>>,
    early: VecDeque<u64>,
}

#[derive(Default)]
struct Flag {
    set: AtomicBool,
    waker: AtomicWaker,
}

/// One request's ear; on any thread. One task may wait on it.
pub struct Interruption {
    interrupts: Arc<Interrupts>,
    unique: u64,
    flag: Arc<Flag>,
}

/// INTERRUPTs remembered that nobody listened for. Most name requests that have just been answered.
const EARLY_MAX: usize = 1024;

impl Interrupts {
    /// Listens for the interruption of this request until the `Interruption` is dropped.
    pub fn listen(self: &Arc<Self>, unique: u64) -> Interruption {
        let flag = Arc::new(Flag::default());
        let mut state = self.state();
        if state.early.contains(&unique) {
            flag.set.store(true, Ordering::Release);
        }
        state.listening.insert(unique, flag.clone());
        drop(state);
        Interruption { interrupts: self.clone(), unique, flag }
    }

    pub(crate) fn interrupt(&self, unique: u64) {
        let mut state = self.state();
        if let Some(flag) = state.listening.get(&unique) {
            flag.set.store(true, Ordering::Release);
            flag.waker.wake();
            return;
        }
        if state.early.len() == EARLY_MAX {
            state.early.pop_front();
        }
        state.early.push_back(unique);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no code panics while it holds this lock")
    }
}

impl Interruption {
    pub fn is_set(&self) -> bool {
        self.flag.set.load(Ordering::Acquire)
    }

    /// Resolves when the client no longer wants to wait; never otherwise. Answer EINTR then.
    pub async fn wait(&self) {
        poll_fn(|context| {
            self.flag.waker.register(context.waker());
            if self.is_set() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl Drop for Interruption {
    fn drop(&mut self) {
        self.interrupts.state().listening.remove(&self.unique);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    #[test]
    fn an_interrupt_reaches_its_request_in_either_order() {
        let interrupts = Arc::new(Interrupts::default());
        interrupts.interrupt(4);
        assert!(interrupts.listen(4).is_set());

        let (one, other) = (interrupts.listen(6), interrupts.listen(8));
        let mut waiting = pin!(one.wait());
        let mut context = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        interrupts.interrupt(6);
        assert!(waiting.as_mut().poll(&mut context).is_ready());
        assert!(!other.is_set());
    }

    #[test]
    fn memory_of_answered_requests_is_bounded() {
        let interrupts = Arc::new(Interrupts::default());
        drop(interrupts.listen(1));
        for unique in 0..10 * EARLY_MAX as u64 {
            interrupts.interrupt(unique);
        }
        let state = interrupts.state();
        assert_eq!((state.listening.len(), state.early.len()), (0, EARLY_MAX));
    }
}
