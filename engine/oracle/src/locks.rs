//! Advisory locks: who has which byte, who waits, and who would wait for ever.
//!
//! Every successful change is remembered for ever, and what an owner holds of a byte is what its last change of that byte
//! says. Slow, and hard to get wrong. Locks belong to open files, which the tree knows nothing of, so they stand apart.

use shoal_types::{Ino, LockMode, LockRange, LockSpace};
use std::collections::BTreeSet;

/// The locks of a whole file system. Owners are numbers that the caller gives.
#[derive(Clone, Debug, Default)]
pub struct LockTable {
    changes: Vec<(LockRequest, Option<LockMode>)>,
    waiting: Vec<(LockRequest, LockMode)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LockRequest {
    pub ino: Ino,
    pub space: LockSpace,
    pub owner: u64,
    pub range: LockRange,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LockAnswer {
    Granted,
    Blocked,
    Deadlock,
}

impl LockTable {
    /// Locks or converts without waiting. A flock that is converted is given up first, and stays so where the new mode
    /// can't be had; a record lock then stays what it was.
    pub fn lock(&mut self, request: LockRequest, mode: LockMode) -> LockAnswer {
        if self.blockers(request, mode).is_empty() {
            self.changes.push((request, Some(mode)));
            return LockAnswer::Granted;
        }
        if request.space == LockSpace::Flock {
            self.unlock(request);
        }
        LockAnswer::Blocked
    }

    /// As `lock`; the request waits where it's blocked, until it's asked again and granted, or cancelled.
    pub fn lock_or_wait(&mut self, request: LockRequest, mode: LockMode) -> LockAnswer {
        let waiting = (request, mode);
        self.waiting.retain(|other| *other != waiting);
        match self.lock(request, mode) {
            LockAnswer::Blocked if self.closes_a_circle(request, mode) => LockAnswer::Deadlock,
            LockAnswer::Blocked => {
                self.waiting.push(waiting);
                LockAnswer::Blocked
            }
            other => other,
        }
    }

    pub fn cancel(&mut self, request: LockRequest, mode: LockMode) {
        self.waiting.retain(|other| *other != (request, mode));
    }

    pub fn unlock(&mut self, request: LockRequest) {
        self.changes.push((request, None));
    }

    /// The owner is gone, with all that it held and waited for.
    pub fn release(&mut self, owner: u64) {
        self.changes.retain(|(change, _)| change.owner != owner);
        self.waiting.retain(|(waiting, _)| waiting.owner != owner);
    }

    pub fn waiting(&self) -> &[(LockRequest, LockMode)] {
        &self.waiting
    }

    /// The mode in which an owner holds a byte.
    pub fn held(&self, ino: Ino, space: LockSpace, owner: u64, byte: u64) -> Option<LockMode> {
        let of = |change: &LockRequest| (change.ino, change.space, change.owner) == (ino, space, owner);
        let covers = |change: &LockRequest| (change.range.start..=change.range.end).contains(&byte);
        self.changes.iter().rfind(|(change, _)| of(change) && covers(change)).and_then(|(_, mode)| *mode)
    }

    /// Whether an owner holds any byte.
    pub fn holds(&self, ino: Ino, space: LockSpace, owner: u64) -> bool {
        let starts = self.changes.iter().map(|(change, _)| change.range.start);
        let ends = self.changes.iter().map(|(change, _)| change.range.end.saturating_add(1));
        starts.chain(ends).any(|byte| self.held(ino, space, owner, byte).is_some())
    }

    /// Other owners that hold a byte of the range in a way that excludes this mode.
    pub fn blockers(&self, request: LockRequest, mode: LockMode) -> BTreeSet<u64> {
        let LockRequest { ino, space, owner, range } = request;
        // What is held changes only where a change begins or has ended.
        let edges =
            self.changes.iter().flat_map(|(change, _)| [change.range.start, change.range.end.saturating_add(1)]);
        let bytes: BTreeSet<u64> =
            edges.chain([range.start]).filter(|byte| (range.start..=range.end).contains(byte)).collect();
        let owners: BTreeSet<u64> = self.changes.iter().map(|(change, _)| change.owner).collect();
        let excludes = |other: u64| {
            bytes.iter().any(|byte| self.held(ino, space, other, *byte).is_some_and(|held| held.excludes(mode)))
        };
        owners.into_iter().filter(|other| *other != owner && excludes(*other)).collect()
    }

    fn closes_a_circle(&self, request: LockRequest, mode: LockMode) -> bool {
        let mut waited_for = self.blockers(request, mode);
        loop {
            let waits = self.waiting.iter().filter(|(waiting, _)| waited_for.contains(&waiting.owner));
            let further: BTreeSet<u64> = waits
                .filter(|(waiting, _)| waiting.space == LockSpace::Record)
                .flat_map(|(waiting, mode)| self.blockers(*waiting, *mode))
                .collect();
            if further.is_subset(&waited_for) {
                return request.space == LockSpace::Record && waited_for.contains(&request.owner);
            }
            waited_for.extend(further);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use LockAnswer::*;
    use LockMode::*;

    fn record(owner: u64, start: u64, end: u64) -> LockRequest {
        LockRequest { ino: Ino(2), space: LockSpace::Record, owner, range: LockRange { start, end } }
    }

    fn flock(owner: u64) -> LockRequest {
        LockRequest { ino: Ino(2), space: LockSpace::Flock, owner, range: LockRange::WHOLE }
    }

    #[test]
    fn readers_share_and_a_writer_excludes_everybody() {
        let mut locks = LockTable::default();
        assert_eq!(locks.lock(record(1, 0, 9), Shared), Granted);
        assert_eq!(locks.lock(record(2, 5, 9), Shared), Granted);
        assert_eq!(locks.lock(record(3, 9, 9), Exclusive), Blocked);
        assert_eq!(locks.lock(record(3, 10, 10), Exclusive), Granted);
        assert_eq!(locks.lock(flock(3), Exclusive), Granted, "the other kind of lock");
        locks.unlock(record(1, 0, 7));
        assert!(locks.holds(Ino(2), LockSpace::Record, 1), "bytes 8 and 9");
        locks.unlock(record(1, 8, 9));
        assert!(!locks.holds(Ino(2), LockSpace::Record, 1));
    }

    #[test]
    fn a_conversion_that_is_blocked_loses_a_flock_and_keeps_a_record_lock() {
        let mut locks = LockTable::default();
        for owner in [1, 2] {
            assert_eq!(locks.lock(flock(owner), Shared), Granted);
            assert_eq!(locks.lock(record(owner, 0, 0), Shared), Granted);
        }
        assert_eq!(locks.lock(flock(1), Exclusive), Blocked);
        assert_eq!(locks.held(Ino(2), LockSpace::Flock, 1, 0), None);
        assert_eq!(locks.lock(record(1, 0, 0), Exclusive), Blocked);
        assert_eq!(locks.held(Ino(2), LockSpace::Record, 1, 0), Some(Shared));
    }

    #[test]
    fn two_who_wait_for_each_other_are_a_deadlock_and_one_who_gives_up_is_none() {
        let mut locks = LockTable::default();
        for owner in [1, 2] {
            assert_eq!(locks.lock(record(owner, owner, owner), Exclusive), Granted);
        }
        assert_eq!(locks.lock_or_wait(record(1, 2, 2), Exclusive), Blocked);
        assert_eq!(locks.lock_or_wait(record(2, 1, 1), Exclusive), Deadlock);
        locks.cancel(record(1, 2, 2), Exclusive);
        assert_eq!(locks.lock_or_wait(record(2, 1, 1), Exclusive), Blocked);
        locks.release(1);
        assert_eq!(locks.lock_or_wait(record(2, 1, 1), Exclusive), Granted);
        assert!(locks.waiting().is_empty());
    }
}
