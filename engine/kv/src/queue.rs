//! The queue between those who submit and an engine's threads: bounded, drained in batches, closed once.
//!
//! A full queue makes submitters wait (back-pressure, never a drop), except the engine's own threads: a `done` that
//! submits the next job would otherwise wait for itself. What is in the queue when it is closed is still served.

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

impl<T> JobQueue<T> {
    pub fn new(items_max: usize) -> Self {
        let state = State { items: VecDeque::new(), closed: false, takers_waiting: 0, givers_waiting: 0 };
        JobQueue { state: Mutex::new(state), room: Condvar::new(), work: Condvar::new(), items_max }
    }

    /// Gives the item back if the queue is closed.
    pub fn push(&self, item: T) -> Result<(), T> {
        self.push_with(item, !ENGINE_THREAD.get())
    }

    /// As `push`, and waits for room even on an engine's thread: for a next stage that never waits for this one.
    pub fn push_downstream(&self, item: T) -> Result<(), T> {
        self.push_with(item, true)
    }

    fn push_with(&self, item: T, may_wait: bool) -> Result<(), T> {
        let mut state = self.lock();
        while may_wait && state.items.len() >= self.items_max && !state.closed {
            state.givers_waiting += 1;
            state = self.room.wait(state).expect(POISONED);
            state.givers_waiting -= 1;
        }
        if state.closed {
            return Err(item);
        }
        state.items.push_back(item);
        if state.takers_waiting > 0 {
            self.work.notify_one();
        }
        Ok(())
    }

    /// Waits for work and moves up to `count_max` items to `batch`. `false`: closed and empty for ever.
    pub fn take(&self, batch: &mut Vec<T>, count_max: usize) -> bool {
        let mut state = self.lock();
        while state.items.is_empty() {
            if state.closed {
                return false;
            }
            state.takers_waiting += 1;
            state = self.work.wait(state).expect(POISONED);
            state.takers_waiting -= 1;
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
