//! Turns between a transaction that is just committing and the readers who meet its locks.
//!
//! A reader that holds a transaction back makes it look again at all that it relies on, and a key that is read all the time
//! would never be written. So only the first reader of a client holds it back at once. After that they do so together,
//! at moments that lie twice as far apart each time, and wait until then, or until the transaction has ended.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The transactions that a client's readers have met, by when they began.
#[derive(Default)]
pub(crate) struct Patience {
    met: Mutex<HashMap<u64, Turn>>,
}

struct Turn {
    /// When readers may hold it back again.
    next: Instant,
    pause: Duration,
}

impl Patience {
    /// From when on a reader may hold this transaction back.
    pub fn turn(&self, transaction: u64, now: Instant) -> Instant {
        let mut met = self.met.lock().expect("no panic under this lock");
        if let Some(turn) = met.get(&transaction) {
            return turn.next;
        }
        if met.len() >= MET_MAX {
            // Longer than any has left to commit.
            met.retain(|_, turn| now < turn.next + FORGOTTEN_AFTER);
        }
        met.insert(transaction, Turn { next: now + PAUSE_FIRST, pause: PAUSE_FIRST });
        now
    }

    /// A reader that was given this turn takes it.
    pub fn take(&self, transaction: u64, turn: Instant, now: Instant) {
        let mut met = self.met.lock().expect("no panic under this lock");
        if let Some(found) = met.get_mut(&transaction)
            && found.next <= turn
        {
            found.pause *= 2;
            found.next = now + found.pause;
        }
    }
}

const PAUSE_FIRST: Duration = Duration::from_millis(20);
const MET_MAX: usize = 4096;
const FORGOTTEN_AFTER: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reader_needs_no_patience_and_the_others_take_turns_further_and_further_apart() {
        let (patience, begin) = (Patience::default(), Instant::now());
        let at = |millis| begin + Duration::from_millis(millis);
        assert_eq!(patience.turn(7, at(0)), at(0));
        assert_eq!([patience.turn(7, at(1)), patience.turn(7, at(19))], [at(20); 2], "both at once");
        assert_eq!(patience.turn(8, at(19)), at(19), "another transaction");
        patience.take(7, at(20), at(20));
        assert_eq!(patience.turn(7, at(20)), at(60));
        patience.take(7, at(20), at(22));
        assert_eq!(patience.turn(7, at(22)), at(60), "the second of a turn does not put off the next");
        patience.take(7, at(60), at(70));
        assert_eq!(patience.turn(7, at(71)), at(150));
    }

    #[test]
    fn transactions_of_long_ago_are_forgotten() {
        let (patience, begin) = (Patience::default(), Instant::now());
        for transaction in 0..MET_MAX as u64 {
            assert_eq!(patience.turn(transaction, begin), begin);
        }
        let later = begin + 2 * FORGOTTEN_AFTER;
        assert_eq!(patience.turn(u64::MAX, later), later);
        assert_eq!(patience.met.lock().unwrap().len(), 1);
    }
}
