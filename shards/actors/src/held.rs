//! Inodes without a name that the front end may still hold: as somebody's working directory, or by a descriptor of O_PATH.
//!
//! The kernel opens neither, it just doesn't forget the inode. It does so at once where nobody holds it, so a removed inode
//! stays in its queue until it's forgotten. One that isn't in good time is sustained, as if it were open, and released when
//! the kernel forgets it, which it does only after the last close.
//!
//! Lookups aren't counted. While no other mount lives, the kernel knows whatever it has removed. Otherwise the name may have
//! stood for an inode that it has never heard of and so won't forget: those are given up after `HELD_UNSURE_MAX`.

use crate::limits;
use shoal_types::Ino;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

pub(crate) struct HeldInodes {
    /// `None` where the front end doesn't hold inodes.
    held: Option<papaya::HashMap<Ino, Held>>,
}

struct Held {
    since: Instant,
    /// The kernel is known to know it.
    sure: bool,
    sustained: AtomicBool,
}

/// What becomes of a removed inode that nobody has open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hold {
    /// It goes.
    None,
    /// It may go in a moment.
    Fresh,
    /// It's kept.
    Lasting,
}

impl HeldInodes {
    pub fn new(holds: bool) -> Self {
        HeldInodes { held: holds.then(papaya::HashMap::new) }
    }

    /// The last name is gone. To be called before the front end learns so. `false` where it holds nothing.
    pub fn put(&self, ino: Ino, sure: bool) -> bool {
        let Some(held) = &self.held else { return false };
        let new = || Held { since: Instant::now(), sure, sustained: AtomicBool::new(false) };
        held.pin().get_or_insert_with(ino, new);
        true
    }

    /// `Some` with whether the store sustains it, where it was held.
    pub fn forget(&self, ino: Ino) -> Option<bool> {
        let held = self.held.as_ref().filter(|held| !held.is_empty())?;
        Some(held.pin().remove(&ino)?.sustained.load(SeqCst))
    }

    /// The store sustains it for us. `false` where it isn't held, and has to be released as soon as it's not open.
    pub fn note_sustained(&self, ino: Ino) -> bool {
        let Some(held) = &self.held else { return false };
        held.pin().get(&ino).is_some_and(|held| {
            held.sustained.store(true, SeqCst);
            true
        })
    }

    pub fn is_held(&self, ino: Ino) -> bool {
        self.held.as_ref().is_some_and(|held| held.pin().contains_key(&ino))
    }

    pub fn hold(&self, ino: Ino, now: Instant) -> Hold {
        let Some(held) = &self.held else { return Hold::None };
        match held.pin().get(&ino).map(|held| held.age(now)) {
            None => Hold::None,
            Some(age) if age < limits::HELD_FRESH => Hold::Fresh,
            Some(_) => Hold::Lasting,
        }
    }

    /// Those that are kept.
    pub fn lasting(&self, now: Instant) -> Vec<Ino> {
        self.select(|held| held.age(now) >= limits::HELD_FRESH)
    }

    /// Those that the kernel may know nothing of, once they have been held for too long.
    pub fn doubtful(&self, now: Instant) -> Vec<Ino> {
        self.select(|held| !held.sure && held.age(now) > limits::HELD_UNSURE_MAX)
    }

    fn select(&self, wanted: impl Fn(&Held) -> bool) -> Vec<Ino> {
        let Some(held) = &self.held else { return Vec::new() };
        held.pin().iter().filter(|(_, held)| wanted(held)).map(|(ino, _)| *ino).collect()
    }
}

impl Held {
    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INO: Ino = Ino(5);

    #[test]
    fn what_is_not_forgotten_in_good_time_is_kept_until_it_is() {
        let held = HeldInodes::new(true);
        assert_eq!(held.hold(INO, Instant::now()), Hold::None);
        assert!(held.put(INO, true));
        let removed = Instant::now();
        assert_eq!(held.hold(INO, removed), Hold::Fresh);
        assert!(held.lasting(removed).is_empty());
        let later = removed + limits::HELD_FRESH;
        assert_eq!((held.hold(INO, later), held.lasting(later)), (Hold::Lasting, vec![INO]));
        assert!(held.note_sustained(INO) && held.is_held(INO));
        assert_eq!((held.forget(INO), held.forget(INO)), (Some(true), None));
        assert!(!held.is_held(INO) && !held.note_sustained(INO));
    }

    #[test]
    fn only_what_the_kernel_may_not_know_is_given_up() {
        let held = HeldInodes::new(true);
        held.put(INO, true);
        held.put(Ino(6), false);
        let removed = Instant::now();
        assert!(held.doubtful(removed + limits::HELD_UNSURE_MAX / 2).is_empty());
        assert_eq!(held.doubtful(removed + limits::HELD_UNSURE_MAX * 2), [Ino(6)]);
    }

    #[test]
    fn a_front_end_that_holds_nothing_keeps_nothing() {
        let held = HeldInodes::new(false);
        assert!(!held.put(INO, true) && !held.is_held(INO));
        assert_eq!(held.hold(INO, Instant::now() + limits::HELD_FRESH), Hold::None);
    }
}
