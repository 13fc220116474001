//! The queue between those who submit and an engine's threads: bounded, drained in batches, closed once, without a lock.
//!
//! A full queue makes submitters wait (back-pressure, never a drop), except the engine's own threads: a `done` that
//! submits the next job would otherwise wait for itself. What is in the queue when it is closed is still served.
//!
//! Who submits may also serve what it has queued by itself: `push_quietly` wakes nobody, `take_now` waits for nothing,
//! and `wake` calls the engine's thread if there is more to do after all.
//!
//! An item is admitted first, by one exchange that finds the queue open and with room, and pushed afterwards. So the
//! bound holds, and whoever finds the queue closed and no item admitted knows that none will come.

use crate::event::Event;
use crossbeam_queue::SegQueue;
use std::cell::Cell;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize, fence};

pub struct JobQueue<T> {
    items: SegQueue<T>,
    /// `ITEM` for each item admitted and not taken yet, and `CLOSED`.
    state: AtomicUsize,
    items_max: usize,
    /// A taker was called, perhaps for something else than items, and has not come yet.
    called: AtomicBool,
    work: Event,
    room: Event,
}

const CLOSED: usize = 1;
const ITEM: usize = 2;

enum Admission {
    Admitted,
    Full,
    Closed,
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
        JobQueue {
            items: SegQueue::new(),
            state: AtomicUsize::new(0),
            items_max,
            called: AtomicBool::new(false),
            work: Event::default(),
            room: Event::default(),
        }
    }

    /// Gives the item back if the queue is closed.
    pub fn push(&self, item: T) -> Result<(), T> {
        self.push_with(item, !on_engine_thread())?;
        self.work.notify_one();
        Ok(())
    }

    /// As `push`, for a caller who sees to it that the item is taken: whoever looks at the queue after the caller's next
    /// step finds it.
    pub fn push_quietly(&self, item: T) -> Result<(), T> {
        self.push_with(item, !on_engine_thread())?;
        fence(SeqCst);
        Ok(())
    }

    /// As `push`, and waits for room even on an engine's thread: for a next stage that never waits for this one.
    pub fn push_downstream(&self, item: T) -> Result<(), T> {
        self.push_with(item, true)?;
        self.work.notify_one();
        Ok(())
    }

    fn push_with(&self, item: T, may_wait: bool) -> Result<(), T> {
        let items_max = if may_wait { self.items_max } else { usize::MAX };
        loop {
            match self.admit(items_max) {
                Admission::Admitted => break,
                Admission::Closed => return Err(item),
                Admission::Full => {
                    // Whoever was to take the items may count on us.
                    self.wake();
                    self.room.wait_until(|| self.is_closed() || self.admitted() < items_max);
                }
            }
        }
        self.items.push(item);
        Ok(())
    }

    fn admit(&self, items_max: usize) -> Admission {
        let room = |state| (state & CLOSED == 0 && state / ITEM < items_max).then(|| state + ITEM);
        match self.state.fetch_update(SeqCst, SeqCst, room) {
            Ok(_) => Admission::Admitted,
            Err(state) if state & CLOSED != 0 => Admission::Closed,
            Err(_) => Admission::Full,
        }
    }

    /// Calls a thread that waits, or that will.
    pub fn wake(&self) {
        self.called.store(true, SeqCst);
        self.work.notify_one();
    }

    /// Waits until there are items, or until `wake`. `false`: closed and empty for ever.
    pub fn wait(&self) -> bool {
        self.wait_for_items_or(|| self.called.swap(false, SeqCst))
    }

    /// Moves up to `count_max` items to `batch`, as many as there are.
    pub fn take_now(&self, batch: &mut impl Extend<T>, count_max: usize) {
        let mut taken = 0;
        // Not longer than the queue is now, however fast others push.
        let count_max = count_max.min(self.admitted());
        batch.extend(std::iter::from_fn(|| self.items.pop()).take(count_max).inspect(|_| taken += 1));
        if taken > 0 {
            self.state.fetch_sub(taken * ITEM, SeqCst);
            self.room.notify_all();
        }
    }

    pub fn is_empty(&self) -> bool {
        fence(SeqCst);
        self.items.is_empty()
    }

    /// Waits for work and moves up to `count_max` items to `batch`. `false`: closed and empty for ever.
    pub fn take(&self, batch: &mut Vec<T>, count_max: usize) -> bool {
        let before = batch.len();
        // Another taker may be faster.
        while batch.len() == before {
            if !self.wait_for_items_or(|| false) {
                return false;
            }
            self.take_now(batch, count_max);
        }
        true
    }

    /// From now on nothing is accepted; what is queued is still taken.
    pub fn close(&self) {
        self.state.fetch_or(CLOSED, SeqCst);
        self.work.notify_all();
        self.room.notify_all();
    }

    /// `false`: closed and empty for ever.
    fn wait_for_items_or(&self, mut other: impl FnMut() -> bool) -> bool {
        loop {
            let mut found = false;
            self.work.wait_until(|| {
                found = other() || !self.is_empty();
                found || self.is_closed()
            });
            if found || self.admitted() == 0 {
                return found;
            }
            // Closed, and somebody who was admitted is about to push.
            std::thread::yield_now();
        }
    }

    fn admitted(&self) -> usize {
        self.state.load(SeqCst) / ITEM
    }

    fn is_closed(&self) -> bool {
        self.state.load(SeqCst) & CLOSED != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deadline::within;
    use std::collections::VecDeque;
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

    /// Givers, takers and the end meet in every order: each item that was accepted is taken by one, and all end.
    #[test]
    fn every_accepted_item_is_taken_once_however_the_end_comes() {
        within("many queues", || {
            for round in 0..2000 {
                let queue = Arc::new(JobQueue::new(1 + round % 5));
                let givers = [0; 3].map(|_| {
                    let queue = queue.clone();
                    thread::spawn(move || (1..100).take_while(|n| queue.push(*n).is_ok()).sum::<i32>())
                });
                let takers = [0; 2].map(|_| {
                    let queue = queue.clone();
                    thread::spawn(move || {
                        let (mut batch, mut sum) = (Vec::new(), 0);
                        while queue.take(&mut batch, 3) {
                            sum += batch.drain(..).sum::<i32>();
                        }
                        sum
                    })
                });
                if round % 2 == 0 {
                    thread::yield_now();
                    queue.close();
                }
                let given: i32 = givers.into_iter().map(|giver| giver.join().unwrap()).sum();
                queue.close();
                let taken: i32 = takers.into_iter().map(|taker| taker.join().unwrap()).sum();
                assert_eq!(given, taken);
            }
        });
    }
}
