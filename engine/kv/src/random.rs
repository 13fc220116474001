//! A small seeded source of chance: jitter, injected faults, test data. The same seed gives the same sequence for ever.
//! Never for secrets.

/// SplitMix64: one addition and three mixing steps for each number, and any seed is a good seed.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    pub fn new(seed: u64) -> Self {
        Random { state: seed }
    }

    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `0..bound`. The bias of the remainder does not matter for what this is used for.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "a choice among nothing");
        self.next_u64() % bound
    }

    /// True with probability `rate` (0.0 never, 1.0 always).
    pub fn chance(&mut self, rate: f64) -> bool {
        // 53 bits are what an f64 holds exactly, so that 1.0 is never missed.
        let fraction = (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        fraction < rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            [random.next_u64(), random.next_u64(), random.next_u64()]
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn rates_of_zero_and_one_are_never_and_always() {
        let mut random = Random::new(7);
        assert!((0..1000).all(|_| !random.chance(0.0)));
        assert!((0..1000).all(|_| random.chance(1.0)));
    }
}
