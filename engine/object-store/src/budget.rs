//! How many extra requests a store is asked: a share of the ordinary ones, a reserve for bursts, and a trickle.
//!
//! Retries and hedges help against single failures. Against a store that fails altogether they make things worse, so they
//! are paid for: each success earns a part of one, and each one costs a whole. The trickle is what finds out that the
//! store is back.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use tokio::time::Instant;

/// Lock-free; on any thread.
pub(crate) struct Budget {
    /// In thousandths of a request.
    tokens: AtomicI64,
    earned: i64,
    reserve: i64,
    per_second: u64,
    since: Instant,
    trickled_ms: AtomicU64,
}

const ONE: i64 = 1000;

impl Budget {
    /// `earned` is the share of a request that each success earns.
    pub fn new(earned: f64, reserve: u32, per_second: u32) -> Self {
        let reserve = i64::from(reserve) * ONE;
        Budget {
            tokens: AtomicI64::new(reserve),
            earned: (earned * ONE as f64) as i64,
            reserve,
            per_second: per_second.into(),
            since: Instant::now(),
            trickled_ms: AtomicU64::new(0),
        }
    }

    /// For a request that succeeded.
    pub fn earn(&self) {
        self.add(self.earned);
    }

    /// Whether one more request may be asked. It is paid for then.
    pub fn take(&self) -> bool {
        let now = self.since.elapsed().as_millis() as u64;
        let before = self.trickled_ms.fetch_max(now, Ordering::Relaxed);
        self.add((now.saturating_sub(before) * self.per_second) as i64 * ONE / 1000);
        let pay = |tokens: i64| (tokens >= ONE).then_some(tokens - ONE);
        self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, pay).is_ok()
    }

    fn add(&self, tokens: i64) {
        // The usual case costs one look: nothing fails, and the reserve is full.
        if tokens == 0 || self.tokens.load(Ordering::Relaxed) >= self.reserve {
            return;
        }
        let filled = |held: i64| Some((held + tokens).min(self.reserve));
        let _ = self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, filled);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn extra_requests_are_a_share_of_successes_a_reserve_and_a_trickle() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let budget = Budget::new(0.25, 3, 2);
            let all = || (0..100).filter(|_| budget.take()).count();
            assert_eq!(all(), 3);
            (0..8).for_each(|_| budget.earn());
            assert_eq!(all(), 2);
            tokio::time::advance(Duration::from_secs(1)).await;
            assert_eq!(all(), 2);
            tokio::time::advance(Duration::from_secs(3600)).await;
            assert_eq!(all(), 3);
        });
    }
}
