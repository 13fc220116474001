//! The queue between those who submit and an engine's threads: bounded, drained in batches, closed once.
//!
//! A full queue makes submitters wait (back-pressure, never a drop), except the engine's own threads: a `done` that
//! submits the next job would otherwise wait for itself. What is in the queue when it is closed is still served.
//!
//! Who submits may also serve what it has queued by itself: `push_quietly` wakes nobody, `take_now` waits for nothing,
//! and `wake` calls the engine's thread if there is more to do after all.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};

pub struct JobQueue<T> {
    state: Mutex<State<T>>,
    room: Condvar,
    work: Condvar,
    items_max: usize,
}

struct State<T> {
    items: VecDeque<T>,
    closed: bool,
    /// A taker was called, perhaps for something else than items, and has not come yet.
    called: bool,
    /// Waiting threads are counted so that nobody pays for waking no one.
    takers_waiting: usize,
    givers_waiting: usize,
}

thread_local! {
    static ENGINE_THREAD: Cell<bool> = const { Cell::new(false) };
}

/// Marks the current thread as one that serves a queue: it never waits for room in one.
pub fn mark_engine_thread() {
    ENGINE_THREAD.set(true);
}

/// Whether the caller runs on an engine's thread, or inside an [`EngineScope`].
pub fn on_engine_thread() -> bool {
    ENGINE_THREAD.get()
}

/// While it lives, the current thread counts as one of the engine's.
pub struct EngineScope {
    before: bool,
}

impl EngineScope {
    pub fn enter() -> Self {
        EngineScope { before: ENGINE_THREAD.replace(true) }
    }
}

impl Drop for EngineScope {
    fn drop(&mut self) {
        ENGINE_THREAD.set(self.before);
    }
}

impl<T> JobQueue<T> {
    pub fn new(items_max: usize) -> Self {
        let state =
            State { items: VecDeque::new(), closed: false, called: false, takers_waiting: 0, givers_waiting: 0 };
        JobQueue { state: Mutex::new(state), room: Condvar::new(), work: Condvar::new(), items_max }
    }

    /// Gives the item back if the queue is closed.
    pub fn push(&self, item: T) -> Result<(), T> {
        self.push_with(item, !on_engine_thread(), true)
    }

    /// As `push`, for a caller who sees to it that the item is taken.
    pub fn push_quietly(&self, item: T) -> Result<(), T> {
        self.push_with(item, !on_engine_thread(), false)
    }

    /// As `push`, and waits for room even on an engine's thread: for a next stage that never waits for this one.
    pub fn push_downstream(&self, item: T) -> Result<(), T> {
        self.push_with(item, true, true)
    }

    fn push_with(&self, item: T, may_wait: bool, wake: bool) -> Result<(), T> {
        let mut state = self.lock();
        while may_wait && state.items.len() >= self.items_max && !state.closed {
            // Whoever was to take the items may count on us.
            state.called = true;
            self.work.notify_one();
            state.givers_waiting += 1;
            state = self.room.wait(state).expect(POISONED);
            state.givers_waiting -= 1;
        }
        if state.closed {
            return Err(item);
        }
        state.items.push_back(item);
        if wake && state.takers_waiting > 0 {
            self.work.notify_one();
        }
        Ok(())
    }

    /// Calls the thread that waits, or that will.
    pub fn wake(&self) {
        let mut state = self.lock();
        state.called = true;
        if state.takers_waiting > 0 {
            self.work.notify_one();
        }
    }

    /// Waits until there are items, or until `wake`. `false`: closed and empty for ever.
    pub fn wait(&self) -> bool {
        let mut state = self.lock();
        while state.items.is_empty() && !state.called {
            if state.closed {
                return false;
            }
            state = self.wait_for_work(state);
        }
        state.called = false;
        true
    }

    /// Moves up to `count_max` items to `batch`, as many as there are.
    pub fn take_now(&self, batch: &mut VecDeque<T>, count_max: usize) {
        let mut state = self.lock();
        let count = count_max.min(state.items.len());
        batch.extend(state.items.drain(..count));
        if state.givers_waiting > 0 {
            self.room.notify_all();
        }
    }

    pub fn is_empty(&self) -> bool {
        self.lock().items.is_empty()
    }

    /// Waits for work and moves up to `count_max` items to `batch`. `false`: closed and empty for ever.
    pub fn take(&self, batch: &mut Vec<T>, count_max: usize) -> bool {
        let mut state = self.lock();
        while state.items.is_empty() {
            if state.closed {
                return false;
            }
            state = self.wait_for_work(state);
        }
        let count = count_max.min(state.items.len());
        batch.extend(state.items.drain(..count));
        if state.givers_waiting > 0 {
            self.room.notify_all();
        }
        true
    }

    /// From now on nothing is accepted; what is queued is still taken.
    pub fn close(&self) {
        self.lock().closed = true;
        self.work.notify_all();
        self.room.notify_all();
    }

    fn wait_for_work<'a>(&self, mut state: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        state.takers_waiting += 1;
        state = self.work.wait(state).expect(POISONED);
        state.takers_waiting -= 1;
        state
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().expect(POISONED)
    }
}

const POISONED: &str = "no code under this lock can panic";

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    #[test]
    fn what_was_queued_before_closing_is_still_taken() {
        let queue = JobQueue::new(8);
        queue.push(1).unwrap();
        queue.close();
        assert_eq!(queue.push(2), Err(2));
        let mut batch = Vec::new();
        assert!(queue.take(&mut batch, 8));
        assert_eq!(batch, [1]);
        assert!(!queue.take(&mut batch, 8));
    }

    #[test]
    fn a_full_queue_holds_its_bound_and_loses_nothing() {
        let queue = Arc::new(JobQueue::new(4));
        let givers: Vec<_> = (0..4)
            .map(|_| {
                let queue = queue.clone();
                thread::spawn(move || (0..1000).for_each(|n| queue.push(n).unwrap()))
            })
            .collect();
        let mut all = Vec::new();
        while all.len() < 4000 {
            let mut batch = Vec::new();
            queue.take(&mut batch, 100);
            assert!(batch.len() <= 4);
            all.extend(batch);
        }
        givers.into_iter().for_each(|giver| giver.join().unwrap());
        assert_eq!(all.iter().sum::<i32>(), 4 * 999 * 500);
    }

    #[test]
    fn a_quiet_item_waits_for_a_call_and_a_full_queue_is_one() {
        let queue = Arc::new(JobQueue::new(1));
        let server = queue.clone();
        let taken = thread::spawn(move || {
            let mut batch = VecDeque::new();
            while server.wait() {
                server.take_now(&mut batch, 1);
            }
            batch
        });
        // The second one waits for room, which only the server makes.
        (0..100).for_each(|n| queue.push_quietly(n).unwrap());
        queue.wake();
        queue.close();
        assert_eq!(taken.join().unwrap(), (0..100).collect::<VecDeque<_>>());
        assert!(queue.is_empty());
    }

    #[test]
    fn a_call_that_comes_first_is_not_lost() {
        let queue = JobQueue::<()>::new(1);
        queue.wake();
        assert!(queue.wait());
        queue.close();
        assert!(!queue.wait());
    }

    #[test]
    fn an_engine_thread_never_waits_for_room() {
        let queue = Arc::new(JobQueue::new(1));
        let filler = queue.clone();
        thread::spawn(move || {
            mark_engine_thread();
            (0..10).for_each(|n| filler.push(n).unwrap());
        })
        .join()
        .unwrap();
        let mut batch = Vec::new();
        queue.take(&mut batch, 100);
        assert_eq!(batch.len(), 10);
    }
}
