//! A seeded source of chance for jitter and injected faults, without a lock. Never for secrets.

use std::sync::atomic::{AtomicU64, Ordering};

/// SplitMix64 over a shared counter: one seed gives one sequence, whoever draws from it.
pub(crate) struct Chance {
    state: AtomicU64,
}

impl Chance {
    pub fn new(seed: u64) -> Self {
        Chance { state: AtomicU64::new(seed) }
    }

    pub fn next(&self) -> u64 {
        let step = 0x9e37_79b9_7f4a_7c15_u64;
        let mut mixed = self.state.fetch_add(step, Ordering::Relaxed).wrapping_add(step);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&self, bound: u64) -> u64 {
        assert!(bound > 0, "a choice among nothing");
        self.next() % bound
    }

    /// True with probability `rate`: never at 0.0, always at 1.0.
    pub fn happens(&self, rate: f64) -> bool {
        // 53 bits are what an f64 holds exactly, so that 1.0 is never missed.
        ((self.next() >> 11) as f64) < rate * (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence_and_rates_hold() {
        let draw = |seed| {
            let chance = Chance::new(seed);
            [chance.next(), chance.next(), chance.next()]
        };
        assert_eq!(draw(5), draw(5));
        assert_ne!(draw(5), draw(6));
        let chance = Chance::new(1);
        assert!((0..1000).all(|_| chance.happens(1.0) && !chance.happens(0.0)));
        let hits = (0..10_000).filter(|_| chance.happens(0.05)).count();
        assert!((400..600).contains(&hits), "{hits}");
    }
}
