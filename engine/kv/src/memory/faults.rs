//! Injected faults, drawn from a seed: conflicts, commits with an unknown result, delays.

use crate::Random;
use std::sync::Mutex;
use std::time::Duration;

/// Rates are probabilities for each attempt to commit (delays: for each attempt).
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    pub seed: u64,
    /// The commit is refused and the job run again.
    pub conflict_rate: f64,
    /// The commit is applied or not, with even chances; either way the job is run again with `maybe_committed`.
    pub unknown_rate: f64,
    /// The attempt begins this much later, in real time.
    pub delay_rate: f64,
    pub delay: Duration,
}

pub(super) enum CommitFate {
    Fine,
    Conflict,
    LostBefore,
    LostAfter,
}

pub(super) struct FaultSource {
    faults: Faults,
    random: Mutex<Random>,
}

impl FaultSource {
    pub fn new(faults: Faults, client: u64) -> Self {
        FaultSource { faults, random: Mutex::new(Random::new(faults.seed.wrapping_add(client << 48))) }
    }

    /// Always three draws, so that one rate does not shift the fate of later commits by another.
    pub fn next_commit(&self) -> CommitFate {
        let mut random = self.random.lock().expect("no panic under this lock");
        let conflict = random.chance(self.faults.conflict_rate);
        let unknown = random.chance(self.faults.unknown_rate);
        let applied = random.chance(0.5);
        match (conflict, unknown, applied) {
            (true, _, _) => CommitFate::Conflict,
            (false, false, _) => CommitFate::Fine,
            (false, true, false) => CommitFate::LostBefore,
            (false, true, true) => CommitFate::LostAfter,
        }
    }

    pub fn delay(&self) {
        let delayed = self.random.lock().expect("no panic under this lock").chance(self.faults.delay_rate);
        if delayed {
            std::thread::sleep(self.faults.delay);
        }
    }
}
