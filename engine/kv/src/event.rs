//! Sleeping until another thread has made something true, without a lock: an event count over a futex.
//!
//! Two orders of steps, each with a full fence in its middle:
//!
//! * who would sleep: announce oneself in `sleepers` and note `rounds`, **then** look whether it is true already;
//! * who makes it true: do so, **then** look for sleepers, and if there are any move `rounds` and wake.
//!
//! At least one of the two sees the other. If the sleeper sees what was made true, it does not sleep. Otherwise it is seen
//! itself: then `rounds` moves after it was noted, and the kernel lets nobody sleep on a `rounds` that has moved, and
//! wakes those who do. Had it moved before it was noted, what moved it would have been seen as well.

use rustix::thread::futex::{self, Flags};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst, fence};

#[derive(Default)]
pub struct Event {
    rounds: AtomicU32,
    sleepers: AtomicU32,
}

impl Event {
    /// Sleeps until `ready`, which may change what it looks at in the moment it says yes. Who makes it so notifies.
    pub fn wait_until(&self, mut ready: impl FnMut() -> bool) {
        if ready() {
            return;
        }
        self.sleepers.fetch_add(1, SeqCst);
        loop {
            let round = self.rounds.load(SeqCst);
            fence(SeqCst);
            if ready() {
                break;
            }
            // Woken, interrupted, or not put to sleep because `rounds` has moved: in any case the next step is a look.
            let _ = futex::wait(&self.rounds, Flags::PRIVATE, round, None);
        }
        self.sleepers.fetch_sub(1, SeqCst);
    }

    /// To be called after something was made true that is enough for one sleeper.
    pub fn notify_one(&self) {
        self.notify(1);
    }

    pub fn notify_all(&self) {
        self.notify(i32::MAX as u32);
    }

    fn notify(&self, sleepers_max: u32) {
        fence(SeqCst);
        if self.sleepers.load(SeqCst) > 0 {
            self.rounds.fetch_add(1, SeqCst);
            let woken = futex::wake(&self.rounds, Flags::PRIVATE, sleepers_max);
            assert!(woken.is_ok(), "an aligned word of our own can be waited on");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Random;
    use crate::deadline::within;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    /// A look that takes its time to answer, so that what it looked at changes before the next step is made.
    fn dawdle(answer: bool, random: &mut Random) -> bool {
        (0..random.below(2000)).for_each(|_| std::hint::spin_loop());
        answer
    }

    /// Each of the two sleeps at every turn, so one wake-up lost among them all stops both.
    #[test]
    fn no_wake_up_is_lost_between_two_threads() {
        const TURNS: u64 = 100_000;
        within("two threads in turns", || {
            let shared = Arc::new((AtomicU64::new(0), [Event::default(), Event::default()]));
            let players = [0, 1].map(|player| {
                let shared = shared.clone();
                std::thread::spawn(move || {
                    let (turn, events) = &*shared;
                    let mut random = Random::new(player as u64);
                    for mine in (player as u64..TURNS).step_by(2) {
                        events[player].wait_until(|| dawdle(turn.load(SeqCst) == mine, &mut random));
                        turn.store(mine + 1, SeqCst);
                        events[1 - player].notify_one();
                    }
                })
            });
            players.into_iter().for_each(|player| player.join().unwrap());
        });
    }

    /// Many sleepers on one event, each token enough for one of them.
    #[test]
    fn no_token_lies_while_somebody_sleeps_for_one() {
        const THREADS: u64 = 4;
        const TOKENS: u64 = 20_000;
        within("many takers and givers", || {
            let shared = Arc::new((AtomicU64::new(0), Event::default()));
            let threads = (0..2 * THREADS).map(|number| {
                let shared = shared.clone();
                std::thread::spawn(move || {
                    let (tokens, event) = &*shared;
                    let mut random = Random::new(number);
                    for _ in 0..TOKENS {
                        if number % 2 == 0 {
                            tokens.fetch_add(1, SeqCst);
                            event.notify_one();
                        } else {
                            let take = || tokens.fetch_update(SeqCst, SeqCst, |there| there.checked_sub(1)).is_ok();
                            event.wait_until(|| dawdle(take(), &mut random));
                        }
                    }
                })
            });
            threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(shared.0.load(SeqCst), 0);
        });
    }
}
