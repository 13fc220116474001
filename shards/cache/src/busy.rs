//! Units whose bytes on disk are on the move: a write in flight, or a hole being punched.
//!
//! Two operations on the same units are never in flight together, because their order would be the kernel's choice and
//! an older write could land on newer bytes. Whoever comes second gives up; it is only a cache.

use shoal_types::Ino;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

/// Shared by a part and the janitor thread, which ends its punches here.
#[derive(Default)]
pub(crate) struct Busy(Mutex<HashMap<(Ino, u64), u64>>);

impl Busy {
    /// Marks the units, unless one of them is marked already.
    pub fn begin(&self, ino: Ino, block: u64, units: u64) -> bool {
        let mut busy = self.lock();
        let marked = busy.entry((ino, block)).or_default();
        let free = *marked & units == 0;
        if free {
            *marked |= units;
        }
        free
    }

    /// Only after the operation has ended in the kernel. A store that is dropped halfway never gets here: its write may
    /// still be in flight, so its units stay marked and are not cached again in this run.
    pub fn end(&self, ino: Ino, block: u64, units: u64) {
        let mut busy = self.lock();
        let marked = busy.get_mut(&(ino, block)).expect("ended operations have begun");
        *marked &= !units;
        if *marked == 0 {
            busy.remove(&(ino, block));
        }
    }

    pub fn is_busy(&self, ino: Ino, block: u64) -> bool {
        self.lock().contains_key(&(ino, block))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Ino, u64), u64>> {
        self.0.lock().expect("nothing panics under this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_operation_on_a_unit_waits_its_turn_and_others_do_not() {
        let busy = Busy::default();
        assert!(busy.begin(Ino(1), 0, 0b011));
        assert!(!busy.begin(Ino(1), 0, 0b110));
        assert!(busy.begin(Ino(1), 0, 0b100));
        assert!(busy.begin(Ino(1), 1, 0b011));
        busy.end(Ino(1), 0, 0b011);
        assert!(busy.is_busy(Ino(1), 0));
        busy.end(Ino(1), 0, 0b100);
        assert!(!busy.is_busy(Ino(1), 0));
        assert!(busy.begin(Ino(1), 0, u64::MAX));
    }
}
