//! The one retry loop: jittered back-off, a bound on time, and a memory of commits whose result is unknown.
//!
//! `maybe_committed` is sticky. A client library of a well-known store forgets it between attempts and so applies
//! guarded increments twice; here it also outlives a later conflict, and an end in error after it is reported as
//! `UnknownResult`, because an earlier run may have happened all the same.
//! Time and chance come in as arguments, so that the same loop runs in simulation.

use crate::{Attempt, KvError, KvResult, Random};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// The first back-off is up to this long, each further one up to twice as long.
    pub delay_first: Duration,
    pub delay_max: Duration,
    /// No new attempt begins after this much time.
    pub total_max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy {
            delay_first: Duration::from_micros(500),
            delay_max: Duration::from_millis(100),
            total_max: Duration::from_secs(10),
        }
    }
}

/// Where the loop gets its time from.
pub trait Clock: Send + Sync {
    /// Since an arbitrary beginning.
    fn now(&self) -> Duration;
    fn sleep(&self, duration: Duration);
}

/// Runs `attempt` until it ends in anything but `Conflict`, `Unavailable` or `UnknownResult`, or the time is over.
pub fn retry<T>(
    policy: &RetryPolicy,
    clock: &dyn Clock,
    random: &mut Random,
    mut attempt: impl FnMut(Attempt) -> KvResult<T>,
) -> KvResult<T> {
    let deadline = clock.now() + policy.total_max;
    let mut state = Attempt { number: 0, maybe_committed: false };
    let mut delay = policy.delay_first;
    loop {
        let error = match attempt(state) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        state.maybe_committed |= matches!(error, KvError::UnknownResult(_));
        let again = matches!(error, KvError::Conflict | KvError::Unavailable(_) | KvError::UnknownResult(_));
        let pause = Duration::from_nanos(random.below(delay.as_nanos().max(1) as u64));
        if !again || clock.now() + pause >= deadline {
            return Err(last_word(error, state));
        }
        clock.sleep(pause);
        delay = (delay * 2).min(policy.delay_max);
        state.number += 1;
    }
}

fn last_word(error: KvError, state: Attempt) -> KvError {
    match error {
        KvError::UnknownResult(_) => error,
        error if state.maybe_committed => {
            KvError::UnknownResult(format!("an earlier attempt may have committed; the last one failed: {error}"))
        }
        error => error,
    }
}

/// Real time.
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

/// Time that passes only by sleeping: runs at once, and the same way every time.
#[derive(Default)]
pub struct VirtualClock {
    nanos: AtomicU64,
}

impl Clock for VirtualClock {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }

    fn sleep(&self, duration: Duration) {
        self.nanos.fetch_add(duration.as_nanos() as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(mut outcomes: Vec<KvResult<()>>) -> (KvResult<()>, Vec<Attempt>) {
        outcomes.reverse();
        let mut attempts = Vec::new();
        let result = retry(&RetryPolicy::default(), &VirtualClock::default(), &mut Random::new(1), |attempt| {
            attempts.push(attempt);
            outcomes.pop().unwrap_or(Err(KvError::Conflict))
        });
        (result, attempts)
    }

    fn unknown() -> KvResult<()> {
        Err(KvError::UnknownResult("lost".into()))
    }

    #[test]
    fn maybe_committed_outlives_later_conflicts() {
        let (result, attempts) = run(vec![Err(KvError::Conflict), unknown(), Err(KvError::Conflict), Ok(())]);
        assert_eq!(result, Ok(()));
        let flags: Vec<_> = attempts.iter().map(|attempt| (attempt.number, attempt.maybe_committed)).collect();
        assert_eq!(flags, [(0, false), (1, false), (2, true), (3, true)]);
    }

    #[test]
    fn endless_conflicts_end_in_conflict_within_the_bound() {
        let clock = VirtualClock::default();
        let policy = RetryPolicy::default();
        let result = retry::<()>(&policy, &clock, &mut Random::new(3), |_| Err(KvError::Conflict));
        assert_eq!(result, Err(KvError::Conflict));
        assert!(clock.now() < policy.total_max && clock.now() > policy.total_max / 2);
    }

    #[test]
    fn a_store_that_is_away_for_a_while_is_waited_for() {
        let away = || Err(KvError::Unavailable("it restarts".into()));
        let (result, attempts) = run(vec![away(), away(), Ok(())]);
        assert_eq!((result, attempts.len()), (Ok(()), 3));
        assert!(attempts.iter().all(|attempt| !attempt.maybe_committed));
    }

    #[test]
    fn endless_conflicts_after_an_unknown_result_end_in_unknown() {
        assert!(matches!(run(vec![unknown()]).0, Err(KvError::UnknownResult(_))));
    }

    #[test]
    fn another_error_ends_it_at_once_and_stays_unknown_after_an_unknown_result() {
        let full = || Err(KvError::NoSpace("disk".into()));
        let (result, attempts) = run(vec![full()]);
        assert_eq!((result, attempts.len()), (full(), 1));
        assert!(matches!(run(vec![unknown(), full()]).0, Err(KvError::UnknownResult(_))));
    }
}
