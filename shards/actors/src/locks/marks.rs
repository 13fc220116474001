//! Files whose record locks somebody on this mount has asked for.
//!
//! A process loses its record locks when it closes any descriptor of the file, so each close has to be told to us. Readers
//! are spared that round trip for all files but these. A bit for many files each: sharing one costs a needless message.

use shoal_types::{Ino, LockSpace};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const BITS: usize = 1 << 17;

pub(crate) struct LockMarks(Box<[AtomicU64]>);

impl LockMarks {
    pub fn new() -> Self {
        LockMarks((0..BITS / 64).map(|_| AtomicU64::new(0)).collect())
    }

    pub fn note(&self, ino: Ino, space: LockSpace) {
        let (word, bit) = self.place(ino);
        if space == LockSpace::Record && word.load(Relaxed) & bit == 0 {
            word.fetch_or(bit, Relaxed);
        }
    }

    pub fn has(&self, ino: Ino) -> bool {
        let (word, bit) = self.place(ino);
        word.load(Relaxed) & bit != 0
    }

    fn place(&self, ino: Ino) -> (&AtomicU64, u64) {
        let bit = (ino.mix() >> 32) as usize % BITS;
        (&self.0[bit / 64], 1 << (bit % 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_record_locks_leave_a_mark_and_only_on_their_file() {
        let marks = LockMarks::new();
        marks.note(Ino(5), LockSpace::Flock);
        assert!(!marks.has(Ino(5)));
        marks.note(Ino(5), LockSpace::Record);
        assert!(marks.has(Ino(5)));
        let others = (6..1006).filter(|ino| marks.has(Ino(*ino))).count();
        assert!(others < 10, "{others} of 1,000 share its bit");
    }
}
