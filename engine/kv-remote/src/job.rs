//! One job from its first run to its end: the body, the commit, and what has become of a commit whose answer was lost.

use crate::client::Client;
use crate::pool::Pooled;
use crate::server::{Commit, CommitEnd, Connection, Failure, Server};
use crate::snapshot::Snapshot;
use crate::transaction::RemoteTransaction;
use crate::workers::Runner;
use shoal_kv::retry::{SystemClock, retry};
use shoal_kv::{Attempt, Job, KvError, KvResult, Random, Transaction, Verdict, run_body};
use std::sync::atomic::Ordering;

/// A commit whose answer was lost. Nothing else is done for its job before its slot is closed, so it can't come about
/// behind the back of a later attempt.
struct Unanswered {
    slot: u64,
    number: u64,
    why: String,
}

impl<S: Server> Runner for Client<S> {
    fn run(&self, job: &mut dyn Job, clock: &SystemClock, jitter: &mut Random) -> KvResult<Verdict> {
        let mut unanswered = None;
        let mut runs = 0;
        let outcome = retry(&self.options.retry, clock, jitter, |_| {
            if let Some(end) = self.resolve(&mut unanswered)? {
                return Ok(end);
            }
            // Not this loop's count and flag: what was unknown is known here before the body runs again.
            let attempt = Attempt { number: runs, maybe_committed: false };
            runs += 1;
            self.attempt(job, attempt, &mut unanswered)
        });
        if let Some(Unanswered { slot, .. }) = unanswered {
            self.pool.orphan(slot);
        }
        outcome
    }
}

impl<S: Server> Client<S> {
    fn attempt(&self, job: &mut dyn Job, attempt: Attempt, unanswered: &mut Option<Unanswered>) -> KvResult<Verdict> {
        let mut pooled = self.pool.take()?;
        let mut transaction = RemoteTransaction::new(Snapshot::new(&mut pooled.connection, &self.round_trips));
        let result = run_body(job, &mut transaction as &mut dyn Transaction, attempt);
        let (trouble, usable) = transaction.trouble();
        let finished = transaction.finish();
        if !usable {
            self.pool.lose(pooled);
            return Err(trouble.expect("a connection is lost for a reason"));
        }
        let (verdict, (buffer, evidence)) = match (trouble, result, finished) {
            (Some(error), ..) | (None, Err(error), _) | (None, Ok(_), Err(error)) => {
                self.pool.give_back(pooled);
                return Err(error);
            }
            (None, Ok(verdict), Ok(finished)) => (verdict, finished),
        };
        if verdict == Verdict::Abort || buffer.is_empty() {
            // Nothing changes, and what was read was true together: nothing to commit.
            self.pool.give_back(pooled);
            return Ok(verdict);
        }
        pooled.commits += 1;
        let Pooled { connection, commits: number, .. } = &mut pooled;
        let (slot, number) = (connection.slot(), *number);
        let writes = &buffer.into_parts();
        self.round_trips.fetch_add(1, Ordering::Relaxed);
        match connection.commit(&Commit { slot, number, evidence: &evidence, writes }) {
            Ok(CommitEnd::Done) => {
                self.pool.give_back(pooled);
                Ok(verdict)
            }
            Ok(CommitEnd::Moved) => {
                self.conflicts.fetch_add(1, Ordering::Relaxed);
                self.pool.give_back(pooled);
                Err(KvError::Conflict)
            }
            // The server has lost it, or somebody has tidied up there. The next connection has another.
            Ok(CommitEnd::NoSlot) => Err(KvError::Unavailable("the server has forgotten this connection".into())),
            Err(Failure::Lost(why)) => {
                self.pool.drop_idle();
                *unanswered = Some(Unanswered { slot, number, why: why.clone() });
                Err(KvError::UnknownResult(why))
            }
            Err(failure) => {
                self.pool.give_back(pooled);
                Err(failure.into_error())
            }
        }
    }

    /// Finds out what has become of a commit without an answer. `Some`: it has happened.
    fn resolve(&self, unanswered: &mut Option<Unanswered>) -> KvResult<Option<Verdict>> {
        let Some(Unanswered { slot, number, why }) = &unanswered else { return Ok(None) };
        let unknown = |error: KvError| KvError::UnknownResult(format!("{why}; and then: {error}"));
        let mut pooled = self.pool.take().map_err(unknown)?;
        self.round_trips.fetch_add(1, Ordering::Relaxed);
        let last = match pooled.connection.close_slot(*slot) {
            Ok(last) => last,
            Err(failure) => {
                match failure {
                    Failure::Lost(_) => self.pool.lose(pooled),
                    Failure::Later(_) | Failure::Refused(_) => self.pool.give_back(pooled),
                }
                return Err(unknown(failure.into_error()));
            }
        };
        self.pool.give_back(pooled);
        let happened = match last {
            Some(last) => last == *number,
            // Slots are kept for days. `Other` ends the attempts.
            None => return Err(KvError::Other(format!("{why}; and the server has forgotten the connection"))),
        };
        *unanswered = None;
        Ok(happened.then_some(Verdict::Commit))
    }
}
