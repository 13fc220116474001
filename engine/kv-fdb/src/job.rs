//! One job from its first run to its end: the body, the commit, and what has become of a commit whose result is unknown.

use crate::c::{Conflicts, Operation};
use crate::client::Client;
use crate::commit::{Commit, CommitEnd};
use crate::keys::stamped;
use crate::reads::Reads;
use shoal_kv::retry::{SystemClock, retry};
use shoal_kv::{Attempt, BufferedTransaction, Job, KvError, KvResult, Random, Transaction, Verdict, run_body};
use shoal_kv_remote::Runner;
use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::Ordering;

/// A key that one worker at a time writes with each commit.
pub(crate) struct Slot {
    /// In the cluster.
    pub key: Vec<u8>,
    /// Of the last commit that was tried.
    pub number: u64,
}

/// A commit whose result is unknown. Nothing else is done for its job before it's known, so it can't come about behind the
/// back of a later attempt.
struct Unanswered {
    slot: Slot,
    why: String,
}

impl Runner for Client {
    fn run(&self, job: &mut dyn Job, clock: &SystemClock, jitter: &mut Random) -> KvResult<Verdict> {
        let (mut unanswered, mut runs) = (None, 0);
        retry(&self.options.retry, clock, jitter, |_| {
            if let Some(end) = self.resolve(&mut unanswered)? {
                return Ok(end);
            }
            // Not this loop's count and flag: what was unknown is known here before the body runs again.
            let attempt = Attempt { number: runs, maybe_committed: false };
            runs += 1;
            self.attempt(job, attempt, &mut unanswered)
        })
    }
}

impl Client {
    fn attempt(&self, job: &mut dyn Job, attempt: Attempt, unanswered: &mut Option<Unanswered>) -> KvResult<Verdict> {
        // Before the transaction has its version: the slot's last commit must not be news to it.
        let mut slot = self.slots.pop().unwrap_or_else(|| self.new_slot());
        slot.number += 1;
        match self.attempt_with(&slot, job, attempt) {
            Ok(verdict) => {
                self.slots.push(slot);
                Ok(verdict)
            }
            Err(CommitEnd::Refused(error)) => {
                self.slots.push(slot);
                Err(error)
            }
            Err(CommitEnd::Unknown(why)) => {
                *unanswered = Some(Unanswered { slot, why: why.clone() });
                Err(KvError::UnknownResult(why))
            }
        }
    }

    fn attempt_with(&self, slot: &Slot, job: &mut dyn Job, attempt: Attempt) -> Result<Verdict, CommitEnd> {
        let (transaction, trouble) = (self.transaction()?, RefCell::default());
        let mut buffered = BufferedTransaction::tracking(Reads::new(self, &transaction, &trouble));
        let result = run_body(job, &mut buffered as &mut dyn Transaction, attempt);
        let finished = buffered.finish();
        if let Some(error) = trouble.take() {
            return Err(error.into());
        }
        let (verdict, (mut reads, buffer, read)) = (result?, finished?);
        if verdict == Verdict::Abort || buffer.is_empty() {
            // Nothing changes, and what was read was true together: nothing to commit.
            return Ok(verdict);
        }
        let ended = Commit { read: &read, writes: &buffer.into_parts(), slot }.run(&mut reads);
        if let Err(CommitEnd::Refused(KvError::Conflict)) = ended {
            self.conflicts.fetch_add(1, Ordering::Relaxed);
        }
        ended.map(|()| verdict)
    }

    /// Finds out what has become of a commit whose result is unknown. `Some`: it has happened.
    ///
    /// Every commit conflicts with all other writes to its slot. So one that is not in the slot, and is still on its way,
    /// can't happen any more once the slot has been written by somebody else.
    fn resolve(&self, unanswered: &mut Option<Unanswered>) -> KvResult<Option<Verdict>> {
        let Some(Unanswered { slot, why }) = &unanswered else { return Ok(None) };
        let happened =
            self.happened(slot).map_err(|error| KvError::UnknownResult(format!("{why}; and then: {error}")))?;
        let Unanswered { slot, .. } = unanswered.take().expect("it was just there");
        self.slots.push(slot);
        Ok(happened.then_some(Verdict::Commit))
    }

    fn happened(&self, slot: &Slot) -> KvResult<bool> {
        let transaction = self.transaction()?;
        let found = transaction.get(&slot.key);
        self.round_trips.fetch_add(1, Ordering::Relaxed);
        self.wait(&found)?;
        let value = found.value().map_err(|code| self.error(code))?;
        let last =
            value.as_deref().and_then(|value| value.first_chunk()).map_or(0, |number| u64::from_le_bytes(*number));
        if last == slot.number {
            return Ok(true);
        }
        transaction.add_conflict(Conflicts::Read, &slot.key).map_err(|code| self.error(code))?;
        transaction.apply(Operation::SetVersionstampedValue, &slot.key, &stamped(&last.to_le_bytes()));
        self.round_trips.fetch_add(1, Ordering::Relaxed);
        // Where this one's result is unknown too, the next look begins anew.
        self.commit_small(&transaction)?;
        Ok(false)
    }

    fn new_slot(&self) -> Slot {
        let half = || RandomState::new().hash_one("slot").to_le_bytes();
        let mut id = [0; 16];
        id[..8].copy_from_slice(&half());
        id[8..].copy_from_slice(&half());
        Slot { key: self.keys.slot(&id), number: 0 }
    }
}
