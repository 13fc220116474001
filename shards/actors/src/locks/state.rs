//! What an inode's owner knows of its locks: those of this mount, and the requests that wait.

use super::LockRequest;
use crate::Shard;
use crate::local_event::{LocalEvent, LocalMutex};
use shoal_metadata::{LockOutcome, LockRanges, LockWait};
use shoal_types::{FsResult, Ino, LockMode, LockSpace};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

#[derive(Default)]
pub(crate) struct InodeLocks {
    /// Held while one request is decided.
    pub(super) busy: LocalMutex,
    /// By kind and owner.
    held: RefCell<HashMap<(LockSpace, u64), Held>>,
    /// By number, and so in the order in which they came.
    waiters: RefCell<BTreeMap<u64, Rc<Waiter>>>,
    /// Grows when something may have become free.
    pub(super) freed: Cell<u64>,
    /// `freed` has grown, a waiter was told to give up, or has left.
    pub(super) changed: LocalEvent,
}

/// What one owner holds.
#[derive(Default)]
struct Held {
    /// Empty only where nobody can tell what became of a request: then the store has to be asked to free it.
    ranges: LockRanges,
    /// The open file descriptions it was asked for through. None: to be given up.
    handles: Vec<u64>,
}

/// A request that may wait.
pub(crate) struct Waiter {
    request: LockRequest,
    pub wait: LockWait,
    /// Its program was interrupted.
    pub given_up: Cell<bool>,
    /// It may have a record in metadata.
    pub recorded: Cell<bool>,
}

impl InodeLocks {
    pub fn enter(&self, request: LockRequest, wait: LockWait) -> Rc<Waiter> {
        let waiter = Rc::new(Waiter { request, wait, given_up: Cell::new(false), recorded: Cell::new(false) });
        self.waiters.borrow_mut().insert(wait.number, waiter.clone());
        waiter
    }

    pub fn leave(&self, waiter: &Waiter) {
        self.waiters.borrow_mut().remove(&waiter.wait.number);
        self.changed.notify();
    }

    /// Whether a reader that came new has found a writer waiting.
    pub fn writer_is_ahead(&self, waiter: &Waiter) -> bool {
        let own = waiter.request;
        let is_ahead = |other: &LockRequest| {
            other.mode == Some(LockMode::Exclusive)
                && (other.space == own.space && other.owner != own.owner)
                && other.range.overlaps(own.range)
        };
        let came_new = own.mode == Some(LockMode::Shared) && !self.holds_anything(&own);
        came_new && self.waiters.borrow().range(..waiter.wait.number).any(|(_, other)| is_ahead(&other.request))
    }

    /// Whether another owner of this mount keeps the request from being served.
    pub fn conflict_here(&self, request: &LockRequest) -> bool {
        self.is_in_the_way(request, |_| true)
    }

    /// Whether one that does is about to give up what it holds.
    pub fn is_being_freed_for(&self, request: &LockRequest) -> bool {
        self.is_in_the_way(request, |held| held.handles.is_empty())
    }

    fn is_in_the_way(&self, request: &LockRequest, which: impl Fn(&Held) -> bool) -> bool {
        let Some(mode) = request.mode else { return false };
        self.held.borrow().iter().any(|((space, owner), held)| {
            let is_other = *space == request.space && *owner != request.owner;
            is_other && which(held) && held.ranges.conflict(request.range, mode).is_some()
        })
    }

    pub fn holds_anything(&self, request: &LockRequest) -> bool {
        self.held.borrow().contains_key(&(request.space, request.owner))
    }

    /// Whether exclusive use of something ends with this request.
    pub fn ends_exclusion(&self, request: &LockRequest) -> bool {
        let held = self.held.borrow();
        let own = held.get(&(request.space, request.owner));
        own.is_some_and(|held| held.ranges.ends_exclusion(request.range, request.mode))
    }

    /// With `busy` held.
    pub fn note_outcome(&self, request: &LockRequest, waiter: Option<&Waiter>, result: &FsResult<LockOutcome>) {
        match result {
            Ok(LockOutcome::Done) => self.note_done(request),
            Ok(LockOutcome::Blocked { .. } | LockOutcome::Deadlock) if request.space == LockSpace::Flock => {
                self.note_owner_free(request.space, request.owner);
            }
            Ok(LockOutcome::Blocked { .. } | LockOutcome::Deadlock) => {}
            // Nobody can tell whether it was served: at the latest the end of its handle has to see to it.
            Err(_) => self.note_handle(request),
        }
        if let Some(waiter) = waiter {
            waiter.recorded.set(matches!(result, Ok(LockOutcome::Blocked { .. }) | Err(_)));
        }
    }

    fn note_done(&self, request: &LockRequest) {
        self.note_handle(request);
        let mut all = self.held.borrow_mut();
        let key = (request.space, request.owner);
        let Some(held) = all.get_mut(&key) else { return };
        let freed = held.ranges.gives_up(request.range, request.mode);
        held.ranges.set(request.range, request.mode);
        if held.ranges.is_empty() {
            all.remove(&key);
        }
        drop(all);
        if freed {
            self.note_freed();
        }
    }

    fn note_handle(&self, request: &LockRequest) {
        if request.mode.is_none() {
            return;
        }
        let mut all = self.held.borrow_mut();
        let held = all.entry((request.space, request.owner)).or_default();
        if !held.handles.contains(&request.handle) {
            held.handles.push(request.handle);
        }
    }

    fn note_owner_free(&self, space: LockSpace, owner: u64) {
        if self.held.borrow_mut().remove(&(space, owner)).is_some() {
            self.note_freed();
        }
    }

    pub fn note_freed(&self) {
        self.freed.set(self.freed.get() + 1);
        self.changed.notify();
    }

    pub fn give_up(&self, number: u64) {
        if let Some(waiter) = self.waiters.borrow().get(&number) {
            waiter.given_up.set(true);
            self.changed.notify();
        }
    }

    /// The process has closed the file once: what it holds of it is to be given up. `false`: it holds nothing.
    pub fn process_left(&self, owner: u64) -> bool {
        let mut all = self.held.borrow_mut();
        let held = all.get_mut(&(LockSpace::Record, owner));
        held.map(|held| held.handles.clear()).is_some()
    }

    /// The open file description is gone. Owners that held something through it alone are to give it up.
    pub fn handle_left(&self, handle: u64) -> Vec<(LockSpace, u64)> {
        let mut all = self.held.borrow_mut();
        all.values_mut().for_each(|held| held.handles.retain(|other| *other != handle));
        all.iter().filter(|(_, held)| held.handles.is_empty()).map(|(owner, _)| *owner).collect()
    }

    /// Whether an owner still has to give up what it holds. With `busy` held.
    pub fn is_to_be_given_up(&self, space: LockSpace, owner: u64) -> bool {
        self.held.borrow().get(&(space, owner)).is_some_and(|held| held.handles.is_empty())
    }

    pub fn anybody_waits(&self) -> bool {
        !self.waiters.borrow().is_empty()
    }
}

impl Shard {
    /// The locks of an inode that this shard owns; made where there are none yet.
    pub(super) fn locks_of(&self, ino: Ino) -> Rc<InodeLocks> {
        assert!(self.owns(ino), "only the owner decides about locks");
        self.locks.borrow_mut().entry(ino).or_default().clone()
    }

    /// To be called by who has used them and may have left nothing.
    pub(super) fn forget_idle_locks(&self, ino: Ino, locks: Rc<InodeLocks>) {
        // The table's and the caller's: another task that has them at hand forgets them when it's done.
        let last = Rc::strong_count(&locks) == 2;
        if last && locks.held.borrow().is_empty() && locks.waiters.borrow().is_empty() {
            self.locks.borrow_mut().remove(&ino);
        }
    }
}
