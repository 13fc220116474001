//! Locks of others: what has become of the transactions that hold them.

use crate::cluster::Cluster;
use crate::messages::{CheckTransaction, Lock, PUSHED, ResolveLocks};
use crate::placement::LOGICAL_BITS;
use shoal_kv_remote::Failure;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// By what it is known: when it began, and its primary lock, which decides about it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Transaction {
    pub start: u64,
    pub primary: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    Committed(u64),
    RolledBack,
    /// `held_back`: it can't commit at the reader's moment or before any more.
    Alive {
        held_back: bool,
    },
}

pub(crate) fn by_transaction(locks: Vec<Lock>) -> BTreeMap<Transaction, Vec<Vec<u8>>> {
    let mut transactions: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for Lock { primary, start, key } in locks {
        transactions.entry(Transaction { start, primary }).or_default().push(key);
    }
    transactions
}

/// Asks the primary. A transaction whose time is over by `now` is rolled back by that.
pub(crate) async fn fate(
    cluster: &Cluster,
    transaction: &Transaction,
    reader: u64,
    now: u64,
    deadline: Instant,
) -> Result<Fate, Failure> {
    let Transaction { start, primary } = transaction;
    let over = start + ((LOCK_TIME.as_millis() as u64) << LOGICAL_BITS) < now;
    let question = CheckTransaction {
        context: None,
        primary: primary.clone(),
        start: *start,
        reader,
        now,
        // Its primary may still be on the way, but not for longer than its locks are good for.
        roll_back_if_absent: over,
    };
    let answer = cluster.ask_one(primary, &question, deadline).await?;
    match answer.error {
        Some(error) if error.absent.is_some() => Ok(Fate::Alive { held_back: false }),
        Some(error) => Err(Failure::Later(format!("tikv: a transaction's fate: {}{}", error.retryable, error.abort))),
        None if answer.committed > 0 => Ok(Fate::Committed(answer.committed)),
        None if answer.lock_time == 0 => Ok(Fate::RolledBack),
        None => Ok(Fate::Alive { held_back: answer.action == PUSHED }),
    }
}

/// Makes values of the locks of a transaction that is committed, and nothing of those of one that is rolled back.
pub(crate) async fn resolve(
    cluster: &Cluster,
    transaction: &Transaction,
    fate: Fate,
    keys: Vec<Vec<u8>>,
    deadline: Instant,
) -> Result<(), Failure> {
    let committed = match fate {
        Fate::Committed(moment) => moment,
        Fate::RolledBack => 0,
        Fate::Alive { .. } => return Ok(()),
    };
    let question = |keys| ResolveLocks { context: None, start: transaction.start, committed, keys };
    for (_, answer) in cluster.ask_each(keys, Vec::as_slice, Vec::len, question, deadline).await? {
        if let Some(error) = answer.error {
            return Err(Failure::Later(format!("tikv: a lock stays: {}{}", error.retryable, error.abort)));
        }
    }
    Ok(())
}

/// A transaction that has not committed so long after it has begun may be rolled back by anybody.
pub(crate) const LOCK_TIME: Duration = Duration::from_secs(4);
