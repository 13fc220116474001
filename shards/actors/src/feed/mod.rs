//! What this mount knows from the change feed: that nobody else has changed a thing it remembers, or which.
//!
//! A thread reads the feed (`follow.rs`), raises the stamps of what others have changed, and tells the kernel. All that
//! this mount remembers by the feed is believed for `KERNEL_TIMEOUT_MAX` after the last word from it and not a moment
//! longer, by our caches and by the kernel (`kernel_view.rs`): a mount that is cut off serves nothing older.
//!
//! An engine with a foreign epoch needs no feed for our own caches, which are then exact. Its feed is read for the kernel's
//! sake, and only while other mounts live.

mod follow;
mod kernel_view;

pub(crate) use follow::Following;
use kernel_view::KernelView;

use crate::limits::KERNEL_TIMEOUT_MAX;
use shoal_metadata::feed::Stamp;
use shoal_types::Consistency;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

pub(crate) struct Feed {
    pub consistency: Consistency,
    pub kernel: KernelView,
    start: Instant,
    /// Since `start`, in nanoseconds, until when what is remembered may be believed.
    believed_until: AtomicU64,
    /// What was remembered under an earlier one may be wrong: events were missed.
    generation: AtomicU64,
    /// Grows with every event of others, after the stamps it raises. From 1 on.
    foreign_events: AtomicU64,
    /// Sessions have ended.
    pub sessions_changed: AtomicBool,
    place: Mutex<Place>,
    changed: Condvar,
}

#[derive(Default)]
struct Place {
    /// All events up to this one have raised their stamps.
    last: Option<Stamp>,
    /// Somebody has to read the feed.
    wanted: bool,
    stopping: bool,
}

impl Feed {
    pub fn new(consistency: Consistency, last: Option<Stamp>) -> Self {
        let start = Instant::now();
        Feed {
            consistency,
            kernel: KernelView::new(start),
            start,
            believed_until: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            foreign_events: AtomicU64::new(1),
            sessions_changed: AtomicBool::new(false),
            place: Mutex::new(Place { last, ..Place::default() }),
            changed: Condvar::new(),
        }
    }

    /// For how long what is remembered may be believed from now on; `None` for not at all.
    pub fn believed_for(&self) -> Option<Duration> {
        let until = Duration::from_nanos(self.believed_until.load(SeqCst));
        until.checked_sub(self.start.elapsed()).filter(|left| !left.is_zero())
    }

    /// As long as it is the same, only what has a raised stamp has changed, as far as one knows by the feed.
    pub fn generation(&self) -> Option<u64> {
        self.believed_for().map(|_| self.generation.load(SeqCst))
    }

    /// As long as it is the same nobody else has changed anything, as far as one knows by the feed.
    pub fn foreign_events(&self) -> Option<u64> {
        self.believed_for().map(|_| self.foreign_events.load(SeqCst))
    }

    pub fn last(&self) -> Option<Stamp> {
        self.place().last
    }

    /// Whether the thread shall read; it sleeps otherwise.
    pub fn want(&self, wanted: bool) {
        let mut place = self.place();
        if place.wanted != wanted {
            place.wanted = wanted;
            self.changed.notify_all();
        }
    }

    fn stop(&self) {
        self.place().stopping = true;
        self.changed.notify_all();
    }

    /// Everything that had been committed at `began` has raised its stamps.
    fn believe(&self, began: Instant) {
        let until = began.duration_since(self.start) + KERNEL_TIMEOUT_MAX;
        self.believed_until.store(until.as_nanos() as u64, SeqCst);
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().expect("no code panics while it holds this lock")
    }
}
