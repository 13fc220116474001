//! A byte budget of one shard: what write buffers may hold before writers have to wait.

use crate::local_event::LocalEvent;
use std::cell::Cell;

pub(crate) struct Budget {
    limit: usize,
    used: Cell<usize>,
    peak: Cell<usize>,
    released: LocalEvent,
}

impl Budget {
    pub fn new(limit: usize) -> Self {
        Budget { limit, used: Cell::new(0), peak: Cell::new(0), released: LocalEvent::default() }
    }

    /// Whether `bytes` more would fit now. A single request larger than the whole budget fits an empty one.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.used.get() == 0 || self.used.get() + bytes <= self.limit
    }

    /// Takes `bytes` if they fit now.
    pub fn try_acquire(&self, bytes: usize) -> bool {
        let fits = self.has_room(bytes);
        if fits {
            self.used.set(self.used.get() + bytes);
            self.peak.set(self.peak.get().max(self.used.get()));
        }
        fits
    }

    /// Waits until `bytes` would fit; others may be faster to take them.
    pub async fn wait_for_room(&self, bytes: usize) {
        self.released.wait_until(|| self.has_room(bytes)).await;
    }

    pub fn release(&self, bytes: usize) {
        assert!(bytes <= self.used.get(), "only what was acquired is released");
        self.used.set(self.used.get() - bytes);
        self.released.notify();
    }

    /// The most that was ever used.
    pub fn peak(&self) -> usize {
        self.peak.get()
    }
}
