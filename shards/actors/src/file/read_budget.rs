//! What fetched bytes may take of memory on one shard: the oldest go first.
//!
//! A reader that is being answered may fetch beyond the bound (requests in flight bound that); fetching ahead may not.

use super::fetch::Fetched;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

pub(crate) struct ReadBudget {
    limit: usize,
    used: Cell<usize>,
    /// Of `used`, what is still on its way.
    pending: Cell<usize>,
    oldest_first: RefCell<VecDeque<Weak<Fetched>>>,
}

impl ReadBudget {
    pub fn new(limit: usize) -> Rc<Self> {
        Rc::new(ReadBudget { limit, used: Cell::new(0), pending: Cell::new(0), oldest_first: RefCell::default() })
    }

    /// Room for fetching `bytes` ahead: arrived bytes give way, those on their way don't.
    pub fn has_room_ahead(&self, bytes: usize) -> bool {
        self.pending.get() + bytes <= self.limit
    }

    pub fn begin(&self, bytes: usize) {
        self.used.set(self.used.get() + bytes);
        self.pending.set(self.pending.get() + bytes);
    }

    pub fn arrived(&self, bytes: usize) {
        self.pending.set(self.pending.get() - bytes);
    }

    pub fn end(&self, bytes: usize) {
        self.used.set(self.used.get() - bytes);
    }

    /// Takes a new fetch on the books, and makes the oldest that have arrived forgotten until all fit.
    pub fn remember(&self, fetched: &Rc<Fetched>) {
        let mut queue = self.oldest_first.borrow_mut();
        queue.push_back(Rc::downgrade(fetched));
        for _ in 1..queue.len() {
            if self.used.get() <= self.limit && queue.len() <= FETCHES_MAX {
                return;
            }
            let Some(oldest) = queue.pop_front() else { return };
            let Some(oldest) = oldest.upgrade() else { continue };
            match oldest.is_pending() {
                true => queue.push_back(Rc::downgrade(&oldest)),
                false => oldest.forget(),
            }
        }
    }
}

/// Fetches on the books, those included whose bytes are gone already.
const FETCHES_MAX: usize = 1 << 16;
