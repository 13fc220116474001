//! One block of an open cache file in memory: what any shard may read, and what only the owner changes.
//!
//! Reading is a sequence lock whose "write side" is the disk. The order that makes it right:
//!
//! * the owner first clears `ready`, then raises `version`, and only then lets bytes on disk change;
//! * a reader first loads `version`, then `ready`, then reads the disk, then loads `version` again.
//!
//! A reader that saw the raised version also sees `ready` cleared (or set again for new, finished bytes). One that saw
//! the old version finds it raised afterwards if any byte may have changed under its read. Raising the version before
//! clearing would leave a gap: new version, old `ready`.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};

#[derive(Default)]
pub(crate) struct BlockState {
    version: AtomicU32,
    /// The index entry has been looked at; before that `valid` and `identity` mean nothing.
    loaded: AtomicBool,
    /// `identity` is the block's present one.
    identified: AtomicBool,
    /// Read again after it had been read before; the clock's hand takes it back.
    referenced: AtomicBool,
    last_unit: AtomicU8,
    /// Units that any shard may read: valid, verified, and of the present identity.
    ready: AtomicU64,
    valid: AtomicU64,
    verified: AtomicU64,
    identity: AtomicU64,
    touched: AtomicU64,
}

const NO_UNIT: u8 = u8::MAX;

/// For readers on any shard.
impl BlockState {
    /// The version to compare with after the read, if all `units` may be read.
    pub fn begin_read(&self, units: u64) -> Option<u32> {
        let version = self.version.load(SeqCst);
        (self.ready.load(SeqCst) & units == units).then_some(version)
    }

    /// Whether the bytes read since `begin_read` are what they were then.
    pub fn end_read(&self, version: u32) -> bool {
        self.version.load(SeqCst) == version
    }

    /// Valid units, or `None` while the index has not been looked at.
    pub fn valid(&self) -> Option<u64> {
        self.loaded.load(SeqCst).then(|| self.valid.load(SeqCst))
    }

    /// Counts a read that begins in `unit`. Reads that go on within the same unit are one; a unit met again after
    /// another one makes the block referenced. So one sequential pass is never enough. A referenced block costs
    /// nothing more here; lost races between readers cost nothing but precision.
    pub fn touch(&self, unit: u32) {
        if self.referenced.load(Relaxed) || self.last_unit.load(Relaxed) == unit as u8 {
            return;
        }
        let before = self.touched.fetch_or(1 << unit, Relaxed);
        self.last_unit.store(unit as u8, Relaxed);
        if before & 1 << unit != 0 {
            self.referenced.store(true, Relaxed);
        }
    }
}

/// For the owner alone.
impl BlockState {
    pub fn is_loaded(&self) -> bool {
        self.loaded.load(SeqCst)
    }

    /// Takes over what the index tells; nothing of it is verified.
    pub fn load(&self, identity: u64, valid: u64) {
        assert!(!self.is_loaded(), "an entry is taken over once");
        self.identity.store(identity, SeqCst);
        self.valid.store(valid, SeqCst);
        self.last_unit.store(NO_UNIT, Relaxed);
        self.loaded.store(true, SeqCst);
    }

    pub fn version(&self) -> u32 {
        self.version.load(SeqCst)
    }

    pub fn identity(&self) -> Option<u64> {
        self.identified.load(SeqCst).then(|| self.identity.load(SeqCst))
    }

    pub fn verified(&self) -> u64 {
        self.verified.load(SeqCst)
    }

    pub fn ready(&self) -> u64 {
        self.ready.load(SeqCst)
    }

    /// Makes `identity` the present one; units of another are dropped.
    pub fn identify(&self, identity: u64) {
        assert!(self.is_loaded(), "the entry is taken over before it is compared");
        if self.identity.load(SeqCst) != identity {
            self.drop_units(u64::MAX);
            self.identity.store(identity, SeqCst);
        }
        self.identified.store(true, SeqCst);
        self.publish();
    }

    /// Nobody may read until the owner has identified the block again.
    pub fn forget_identity(&self) {
        self.identified.store(false, SeqCst);
        self.ready.store(0, SeqCst);
        self.version.fetch_add(1, SeqCst);
    }

    /// After this the units' bytes on disk may change.
    pub fn drop_units(&self, units: u64) {
        self.ready.fetch_and(!units, SeqCst);
        self.version.fetch_add(1, SeqCst);
        self.valid.fetch_and(!units, SeqCst);
        self.verified.fetch_and(!units, SeqCst);
    }

    /// The units' bytes on disk are whole and right.
    pub fn approve(&self, units: u64) {
        self.valid.fetch_or(units, SeqCst);
        self.verified.fetch_or(units, SeqCst);
        self.publish();
    }

    fn publish(&self) {
        if self.identified.load(SeqCst) {
            self.ready.store(self.valid.load(SeqCst) & self.verified.load(SeqCst), SeqCst);
        }
    }

    pub fn take_referenced(&self) -> bool {
        if !self.referenced.load(Relaxed) {
            return false;
        }
        self.touched.store(0, Relaxed);
        self.last_unit.store(NO_UNIT, Relaxed);
        self.referenced.swap(false, Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(identity: u64, units: u64) -> BlockState {
        let state = BlockState::default();
        state.load(0, 0);
        state.identify(identity);
        state.approve(units);
        state
    }

    #[test]
    fn a_read_across_a_drop_is_refused_even_if_the_units_are_back() {
        let state = filled(1, 0b11);
        let version = state.begin_read(0b11).expect("ready");
        state.identify(2);
        assert_eq!(state.begin_read(0b01), None);
        state.approve(0b11);
        assert!(!state.end_read(version));
        assert!(state.begin_read(0b11).is_some_and(|version| state.end_read(version)));
    }

    #[test]
    fn units_of_an_earlier_run_are_valid_but_not_ready_before_they_are_verified() {
        let state = BlockState::default();
        state.load(5, 0b111);
        state.identify(5);
        assert_eq!((state.valid(), state.begin_read(1)), (Some(0b111), None));
        state.approve(1);
        assert!(state.begin_read(1).is_some() && state.begin_read(2).is_none());
    }

    #[test]
    fn a_forgotten_identity_hides_units_until_the_same_one_comes_back() {
        let state = filled(1, 0b1);
        state.forget_identity();
        assert_eq!(state.begin_read(1), None);
        state.identify(1);
        assert!(state.begin_read(1).is_some());
    }

    #[test]
    fn one_sequential_pass_leaves_no_reference_and_a_second_one_does() {
        let state = filled(1, u64::MAX);
        for read in 0..256 {
            state.touch(read / 4);
        }
        assert!(!state.take_referenced());
        state.touch(0);
        assert!(state.take_referenced());
        assert!(!state.take_referenced());
    }
}
