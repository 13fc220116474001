//! Inodes that the front end knows, and those without a name that it may still hold: as somebody's working directory, or by
//! a descriptor of O_PATH.
//!
//! The kernel opens neither, it just doesn't forget the inode. It does so at once where nobody holds it, so a removed inode
//! stays in its queue until it's forgotten. One that isn't in good time is sustained, as if it were open, and released when
//! the kernel forgets it, which it does only after the last close.
//!
//! Lookups are counted, because the kernel may forget an inode and ask for it anew, and what it says of the first time may
//! come after all it does in the second: FORGETs have a queue of their own (`fuse_dev_do_read` in fs/fuse/dev.c). An inode
//! whose count is 0 is unknown: no FORGET will come for it.

use crate::limits;
use papaya::{HashMap, Operation};
use shoal_types::Ino;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// `None` where the front end holds no inodes.
pub(crate) struct HeldInodes(Option<Known>);

#[derive(Default)]
struct Known {
    /// How often the front end has been told of it and hasn't forgotten that, with [`NAMELESS`] beside it in one word, so
    /// that one alone takes the last of it. A word that has become [`FORGOTTEN`] stays so and is on its way out of the map.
    lookups: HashMap<Ino, AtomicU64>,
    /// At least those that are marked `NAMELESS`.
    nameless: HashMap<Ino, Held>,
    /// Whose names are being taken, and how many at once.
    removals: HashMap<Ino, usize>,
}

/// A name is being taken from an inode: until this is dropped, nobody else gives it up.
pub(crate) struct Removal<'a> {
    known: Option<&'a Known>,
    ino: Ino,
}

const NAMELESS: u64 = 1 << 63;
const FORGOTTEN: u64 = 0;

struct Held {
    since: Instant,
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
        HeldInodes(holds.then(Known::default))
    }

    /// The front end is told of an inode. To be called before it is.
    pub fn note_lookup(&self, ino: Ino) {
        let Some(known) = &self.0 else { return };
        let lookups = known.lookups.pin();
        while lookups.get(&ino).and_then(|word| change(word, |word| word + 1)).is_none() {
            lookups.remove_if(&ino, is_forgotten).ok();
            if lookups.try_insert(ino, AtomicU64::new(1)).is_ok() {
                return;
            }
        }
    }

    /// To be called before a transaction that may take the last name of the inode, and dropped when `put` has been told: in
    /// between it's in the queue of what is to be removed, where maintenance would find it with no mark.
    pub fn begin_removal(&self, ino: Ino) -> Removal<'_> {
        let known = self.0.as_ref();
        if let Some(known) = known {
            known.removals.pin().update_or_insert(ino, |count| count + 1, 1);
        }
        Removal { known, ino }
    }

    /// The last name is gone. To be called before the front end learns so. `false` where it doesn't know the inode.
    pub fn put(&self, ino: Ino) -> bool {
        let Some(known) = &self.0 else { return false };
        let nameless = known.nameless.pin();
        nameless.get_or_insert_with(ino, || Held { since: Instant::now(), sustained: AtomicBool::new(false) });
        // Whoever takes the mark from here on takes it out of `nameless` too.
        let lookups = known.lookups.pin();
        let marked = lookups.get(&ino).and_then(|word| change(word, |word| word | NAMELESS)).is_some();
        if !marked {
            nameless.remove(&ino);
        }
        marked
    }

    /// The front end takes back that it has been told so often. `Some` with whether the store sustains the inode, where
    /// that was all that held it.
    pub fn forget(&self, ino: Ino, lookups: u64) -> Option<bool> {
        let known = self.0.as_ref()?;
        let counts = known.lookups.pin();
        let before = change(counts.get(&ino)?, |word| without(word, lookups))?;
        if without(before, lookups) != FORGOTTEN {
            return None;
        }
        // Somebody who is told of it anew may have come before us.
        counts.remove_if(&ino, is_forgotten).ok();
        let was_nameless = before & NAMELESS != 0;
        was_nameless.then(|| Some(known.nameless.pin().remove(&ino)?.sustained.load(SeqCst)))?
    }

    /// The store sustains it for us. `false` where it isn't held, and has to be released as soon as it's not open.
    pub fn note_sustained(&self, ino: Ino) -> bool {
        let Some(known) = &self.0 else { return false };
        known.nameless.pin().get(&ino).is_some_and(|held| {
            held.sustained.store(true, SeqCst);
            true
        })
    }

    pub fn is_held(&self, ino: Ino) -> bool {
        self.0.as_ref().is_some_and(|known| known.nameless.pin().contains_key(&ino))
    }

    pub fn hold(&self, ino: Ino, now: Instant) -> Hold {
        let Some(known) = &self.0 else { return Hold::None };
        // Before the marks are looked at: one that has ended in between would be seen in neither.
        if known.removals.pin().contains_key(&ino) {
            return Hold::Fresh;
        }
        match known.nameless.pin().get(&ino).map(|held| held.age(now)) {
            None => Hold::None,
            Some(age) if age < limits::HELD_FRESH => Hold::Fresh,
            Some(_) => Hold::Lasting,
        }
    }

    /// Those that are kept.
    pub fn lasting(&self, now: Instant) -> Vec<Ino> {
        let Some(known) = &self.0 else { return Vec::new() };
        let nameless = known.nameless.pin();
        nameless.iter().filter(|(_, held)| held.age(now) >= limits::HELD_FRESH).map(|(ino, _)| *ino).collect()
    }
}

impl Drop for Removal<'_> {
    fn drop(&mut self) {
        let Some(known) = self.known else { return };
        known.removals.pin().compute(self.ino, |entry| match entry {
            Some((_, count)) if *count > 1 => Operation::Insert(count - 1),
            Some(_) => Operation::Remove,
            None => Operation::Abort(()),
        });
    }
}

/// The word before the change; `None` where it has been forgotten.
fn change(word: &AtomicU64, to: impl Fn(u64) -> u64) -> Option<u64> {
    word.fetch_update(SeqCst, SeqCst, |word| (word != FORGOTTEN).then(|| to(word))).ok()
}

fn without(word: u64, lookups: u64) -> u64 {
    match (word & !NAMELESS).saturating_sub(lookups) {
        0 => FORGOTTEN,
        rest => rest | word & NAMELESS,
    }
}

fn is_forgotten(_: &Ino, word: &AtomicU64) -> bool {
    word.load(SeqCst) == FORGOTTEN
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
        held.note_lookup(INO);
        assert_eq!(held.hold(INO, Instant::now()), Hold::None);
        assert!(held.put(INO));
        let removed = Instant::now();
        assert_eq!(held.hold(INO, removed), Hold::Fresh);
        assert!(held.lasting(removed).is_empty());
        let later = removed + limits::HELD_FRESH;
        assert_eq!((held.hold(INO, later), held.lasting(later)), (Hold::Lasting, vec![INO]));
        assert!(held.note_sustained(INO) && held.is_held(INO));
        assert_eq!((held.forget(INO, 1), held.forget(INO, 1)), (Some(true), None));
        assert!(!held.is_held(INO) && !held.note_sustained(INO));
    }

    #[test]
    fn what_the_kernel_forgets_of_an_earlier_time_gives_up_nothing_of_the_later_one() {
        let held = HeldInodes::new(true);
        (0..3).for_each(|_| held.note_lookup(INO));
        assert!(held.put(INO));
        assert_eq!(held.forget(INO, 2), None);
        assert!(held.is_held(INO));
        assert_eq!(held.forget(INO, 1), Some(false));
        assert!(!held.is_held(INO));
    }

    #[test]
    fn what_the_kernel_does_not_know_is_not_held_for_it() {
        let held = HeldInodes::new(true);
        assert!(!held.put(INO) && !held.is_held(INO));
        held.note_lookup(INO);
        assert_eq!(held.forget(INO, 1), None);
        assert!(!held.put(INO) && !held.is_held(INO));
    }

    #[test]
    fn nobody_gives_up_what_is_being_removed_before_it_is_known_who_holds_it() {
        let held = HeldInodes::new(true);
        held.note_lookup(INO);
        let (first, second) = (held.begin_removal(INO), held.begin_removal(INO));
        drop(first);
        let long_after = Instant::now() + limits::HELD_FRESH * 2;
        assert_eq!(held.hold(INO, long_after), Hold::Fresh);
        held.put(INO);
        drop(second);
        assert_eq!(held.hold(INO, long_after), Hold::Lasting);
        drop(held.begin_removal(Ino(6)));
        assert_eq!(held.hold(Ino(6), long_after), Hold::None);
    }

    #[test]
    fn of_many_threads_one_takes_the_last_of_it() {
        const THREADS: u64 = 4;
        for number in 0..2000 {
            let (held, ino) = (HeldInodes::new(true), Ino(number));
            (0..THREADS).for_each(|_| held.note_lookup(ino));
            assert!(held.put(ino));
            let taken: usize = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| held.forget(ino, 1).is_some())).collect();
                threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
            });
            assert_eq!((taken, held.is_held(ino)), (1, false));
        }
    }

    #[test]
    fn a_front_end_that_holds_nothing_keeps_nothing() {
        let held = HeldInodes::new(false);
        held.note_lookup(INO);
        assert!(!held.put(INO) && !held.is_held(INO));
        assert_eq!(held.hold(INO, Instant::now() + limits::HELD_FRESH), Hold::None);
    }
}
