//! Requests that wait for locks: who is told when something becomes free, and who would wait for ever.

use super::{session, set_lock};
use crate::keys::{self, Key};
use crate::records::{WaiterRecord, decode_waiter_of};
use crate::{CancelLockWait, MetaReply, MetaResult};
use shoal_kv::{Direction, Transaction};
use shoal_types::{Ino, LockSpace, SessionId};
use std::collections::BTreeSet;

/// A request is given up: it was interrupted, or can't be served.
pub(super) fn run(transaction: &mut dyn Transaction, operation: &CancelLockWait) -> MetaResult<MetaReply> {
    let CancelLockWait { ino, owner, number, session } = *operation;
    session::require(transaction, session)?;
    forget(transaction, ino, session, owner, number);
    Ok(MetaReply::Done)
}

pub(super) fn forget(transaction: &mut dyn Transaction, ino: Ino, session: SessionId, owner: u64, number: u64) {
    transaction.delete(&Key::Waiter(ino, session, number).encode());
    transaction.delete(&Key::WaiterOf(session, owner, number).encode());
}

/// Rings the bell of each session that has a fitting request waiting for this inode.
pub(super) fn ring(
    transaction: &mut dyn Transaction,
    ino: Ino,
    fits: impl Fn(SessionId, &WaiterRecord) -> bool,
) -> MetaResult<()> {
    let mut sessions = BTreeSet::new();
    let mut range = keys::waiters(ino);
    loop {
        let pairs = transaction.scan(&range, BATCH, Direction::Forward)?;
        for (key, value) in &pairs {
            let Some(Key::Waiter(_, session, _)) = Key::parse(key) else { unreachable!("the range holds these only") };
            if fits(session, &WaiterRecord::decode(value)?) {
                sessions.insert(session);
            }
        }
        match pairs.last() {
            Some((last, _)) if pairs.len() == BATCH => range = keys::behind(last, &range),
            _ => break,
        }
    }
    for session in sessions {
        transaction.add(&Key::Bell(session).encode(), 1);
    }
    Ok(())
}

/// Whether one of `blockers` waits, over however many others, for `asker`. As on Linux a process counts as waiting when any
/// of its threads does, and a very long chain counts as none.
pub(super) fn closes_a_circle(
    transaction: &mut dyn Transaction,
    asker: (SessionId, u64),
    blockers: Vec<(SessionId, u64)>,
) -> MetaResult<bool> {
    let (mut seen, mut next) = (BTreeSet::new(), blockers);
    while let Some(owner) = next.pop() {
        if owner == asker {
            return Ok(true);
        }
        if seen.len() == OWNERS_FOLLOWED_MAX {
            return Ok(false);
        }
        if seen.insert(owner) {
            for (ino, waiter) in waits_of(transaction, owner)? {
                next.extend(blockers_of(transaction, ino, owner, &waiter)?);
            }
        }
    }
    Ok(false)
}

/// The record locks that an owner waits for.
fn waits_of(
    transaction: &mut dyn Transaction,
    (session, owner): (SessionId, u64),
) -> MetaResult<Vec<(Ino, WaiterRecord)>> {
    let mut waits = Vec::new();
    for (key, value) in transaction.scan(&keys::waiters_of_owner(session, owner), BATCH, Direction::Forward)? {
        let Some(Key::WaiterOf(_, _, number)) = Key::parse(&key) else { unreachable!("the range holds these only") };
        let ino = decode_waiter_of(&value)?;
        if let Some(value) = transaction.get(&Key::Waiter(ino, session, number).encode())? {
            let waiter = WaiterRecord::decode(&value)?;
            waits.extend((waiter.space == LockSpace::Record).then_some((ino, waiter)));
        }
    }
    Ok(waits)
}

fn blockers_of(
    transaction: &mut dyn Transaction,
    ino: Ino,
    owner: (SessionId, u64),
    waiter: &WaiterRecord,
) -> MetaResult<Vec<(SessionId, u64)>> {
    let holders = set_lock::holders(transaction, ino, LockSpace::Record)?;
    let conflicts = holders.iter().filter(|holder| holder.record.ranges.conflict(waiter.range, waiter.mode).is_some());
    Ok(conflicts.map(|holder| (holder.session, holder.owner)).filter(|holder| *holder != owner).collect())
}

const BATCH: usize = 1000;
const OWNERS_FOLLOWED_MAX: usize = 256;
