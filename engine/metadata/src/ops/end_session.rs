//! A session's end, by itself or by another that misses its heartbeats.
//!
//! The first step takes the session's record away, and with it the right to write: everything else a session does reads
//! that record. The other keys go last, so that a session whose end was begun and not finished is still listed.

use super::{feed, heartbeat, lock_waits, maintenance, orphan};
use crate::keys::{self, Key};
use crate::records::{SessionRecord, decode_waiter_of};
use crate::{EndSession, MetaReply, MetaResult};
use shoal_kv::{Direction, Transaction};
use shoal_types::{Ino, SessionId};
use std::collections::BTreeSet;

pub(super) fn run(transaction: &mut dyn Transaction, operation: &EndSession) -> MetaResult<MetaReply> {
    let session = operation.session;
    if let Some(since) = operation.if_silent_since {
        let value = transaction.get(&Key::Heartbeat(session).encode())?;
        if heartbeat::last_heard(session, value.as_deref())? >= since {
            return Ok(MetaReply::Ended { done: true });
        }
    }
    // Read as well as deleted, so that of two who end the session one runs again and finds it ended.
    let record = Key::Session(session).encode();
    if let Some(value) = transaction.get(&record)? {
        transaction.delete(&record);
        feed::leave(transaction, session, &SessionRecord::decode(&value)?)?;
        maintenance::give_up(transaction, session)?;
    }
    let waiters_done = forget_waiters(transaction, session)?;
    let locks_done = give_up_locks(transaction, session)?;
    let sustained = transaction.scan(&keys::sustained(session), KEYS_MAX, Direction::Forward)?;
    for (key, _) in &sustained {
        let Some(Key::Sustained(_, ino)) = Key::parse(key) else { unreachable!("the range holds these only") };
        transaction.delete(key);
        orphan::queue_released(transaction, ino, operation.now)?;
    }
    let done = waiters_done && locks_done && sustained.len() < KEYS_MAX;
    if done {
        transaction.delete_range(&keys::session(session))?;
    }
    Ok(MetaReply::Ended { done })
}

fn forget_waiters(transaction: &mut dyn Transaction, session: SessionId) -> MetaResult<bool> {
    let waiters = transaction.scan(&keys::waiters_of(session), KEYS_MAX, Direction::Forward)?;
    for (key, value) in &waiters {
        let Some(Key::WaiterOf(_, owner, number)) = Key::parse(key) else { unreachable!("the range holds these only") };
        lock_waits::forget(transaction, decode_waiter_of(value)?, session, owner, number);
    }
    Ok(waiters.len() < KEYS_MAX)
}

/// Whoever waits for one of these inodes is told.
fn give_up_locks(transaction: &mut dyn Transaction, session: SessionId) -> MetaResult<bool> {
    let locks = transaction.scan(&keys::locks_of(session), KEYS_MAX, Direction::Forward)?;
    let mut inodes: BTreeSet<Ino> = BTreeSet::new();
    for (key, _) in &locks {
        let Some(Key::LockOf(_, ino, space, owner)) = Key::parse(key) else {
            unreachable!("the range holds these only")
        };
        transaction.delete(key);
        transaction.delete(&Key::Lock(ino, space, session, owner).encode());
        inodes.insert(ino);
    }
    for ino in inodes {
        lock_waits::ring(transaction, ino, |waiting, _| waiting != session)?;
    }
    Ok(locks.len() < KEYS_MAX)
}

/// Keys of each kind that one transaction takes away.
const KEYS_MAX: usize = 1000;
