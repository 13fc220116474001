//! Locking, converting and giving up bytes of a file, as flock(2) and fcntl(2) do on a local file system.
//!
//! A lock is a record under its inode, one for each owner, and all owners are looked at in the transaction that changes
//! one: so locks hold between all sessions. A request that finds the bytes taken may leave a record of its own. It is the
//! edge of the wait-for graph by which record locks find deadlocks, and it tells whoever gives something up which
//! sessions' bells to ring. Waiters of the session itself are its own business.

use super::{lock_waits, session};
use crate::keys::{self, Key};
use crate::records::{LockRecord, WaiterRecord, encode_waiter_of};
use crate::{LockOutcome, LockWait, MetaReply, MetaResult, SetLock};
use shoal_kv::{Direction, Reader, Transaction};
use shoal_types::{Errno, Ino, LockMode, LockRange, LockSpace, SessionId};

pub(super) fn run(transaction: &mut dyn Transaction, operation: &SetLock) -> MetaResult<MetaReply> {
    let outcome = match operation.mode {
        Some(mode) => lock(transaction, operation, mode)?,
        None => unlock(transaction, operation)?,
    };
    Ok(MetaReply::Lock(outcome))
}

fn unlock(transaction: &mut dyn Transaction, operation: &SetLock) -> MetaResult<LockOutcome> {
    let SetLock { ino, space, session, owner, range, .. } = *operation;
    let keys = [Key::Session(session).encode(), Key::Lock(ino, space, session, owner).encode()];
    let values = transaction.get_many(&keys.each_ref().map(Vec::as_slice))?;
    session::alive(values[0].as_deref())?;
    let own = values[1].as_deref().map(LockRecord::decode).transpose()?;
    change(transaction, operation, own, range, None)?;
    Ok(LockOutcome::Done)
}

fn lock(transaction: &mut dyn Transaction, operation: &SetLock, mode: LockMode) -> MetaResult<LockOutcome> {
    let SetLock { ino, space, session, owner, range, .. } = *operation;
    let waits = is_registered(transaction, operation)?;
    let holders = holders(transaction, ino, space)?;
    let (own, others): (Vec<_>, Vec<_>) =
        holders.into_iter().partition(|holder| (holder.session, holder.owner) == (session, owner));
    let own = own.into_iter().next().map(|holder| holder.record);
    let blockers: Vec<_> =
        others.iter().filter(|holder| holder.record.ranges.conflict(range, mode).is_some()).collect();
    if blockers.is_empty() {
        change(transaction, operation, own, range, Some(mode))?;
        if let Some(wait) = operation.wait.filter(|_| waits) {
            lock_waits::forget(transaction, ino, session, owner, wait.number);
        }
        return Ok(LockOutcome::Done);
    }
    if space == LockSpace::Flock {
        // Linux converts by giving up first: what was held is lost also when the new mode can't be had at once.
        change(transaction, operation, own, LockRange::WHOLE, None)?;
    }
    let abroad = blockers.iter().any(|holder| holder.session != session);
    let Some(wait) = operation.wait else { return Ok(LockOutcome::Blocked { abroad }) };
    let blockers = blockers.iter().map(|holder| (holder.session, holder.owner)).collect();
    let detect = wait.detect_deadlock && space == LockSpace::Record;
    if detect && lock_waits::closes_a_circle(transaction, (session, owner), blockers)? {
        if waits {
            lock_waits::forget(transaction, ino, session, owner, wait.number);
        }
        return Ok(LockOutcome::Deadlock);
    }
    if !waits {
        register(transaction, operation, wait, mode);
    }
    Ok(LockOutcome::Blocked { abroad })
}

/// Brings the owner's record from `own` to what it is with this change, and tells others what has become free.
fn change(
    transaction: &mut dyn Transaction,
    operation: &SetLock,
    own: Option<LockRecord>,
    range: LockRange,
    mode: Option<LockMode>,
) -> MetaResult<()> {
    let SetLock { ino, space, session, owner, .. } = *operation;
    // Who gives something up need not say who holds the rest.
    let pid = own.as_ref().filter(|_| mode.is_none()).map_or(operation.pid, |own| own.pid);
    let before = own.map(|record| record.ranges).unwrap_or_default();
    let mut after = before.clone();
    after.set(range, mode);
    if after == before {
        return Ok(());
    }
    if after.len() > RANGES_MAX {
        return Err(Errno::ENOLCK.into());
    }
    let (held, listed) =
        (Key::Lock(ino, space, session, owner).encode(), Key::LockOf(session, ino, space, owner).encode());
    match after.is_empty() {
        true => {
            transaction.delete(&held);
            transaction.delete(&listed);
        }
        false => {
            transaction.put(&held, &LockRecord { pid, ranges: after }.encode());
            if before.is_empty() {
                transaction.put(&listed, LISTED);
            }
        }
    }
    if before.gives_up(range, mode) {
        lock_waits::ring(transaction, ino, |waiter_session, waiter| {
            waiter_session != session && waiter.space == space && waiter.range.overlaps(range)
        })?;
    }
    Ok(())
}

/// What an owner has locked.
pub(crate) struct Holder {
    pub session: SessionId,
    pub owner: u64,
    pub record: LockRecord,
}

/// All of an inode. `ENOLCK` where there are too many to be looked at in one transaction.
pub(crate) fn holders(reader: &mut dyn Reader, ino: Ino, space: LockSpace) -> MetaResult<Vec<Holder>> {
    let pairs = reader.scan(&keys::locks(ino, space), OWNERS_MAX + 1, Direction::Forward)?;
    if pairs.len() > OWNERS_MAX {
        return Err(Errno::ENOLCK.into());
    }
    let holder = |(key, value): &(Vec<u8>, Vec<u8>)| {
        let Some(Key::Lock(_, _, session, owner)) = Key::parse(key) else { unreachable!("the range holds these only") };
        Ok(Holder { session, owner, record: LockRecord::decode(value)? })
    };
    pairs.iter().map(holder).collect()
}

/// `ESTALE` for a session that has ended, `ENOENT` for an inode that is gone. Otherwise whether this is a request that has
/// waited before.
fn is_registered(transaction: &mut dyn Transaction, operation: &SetLock) -> MetaResult<bool> {
    let SetLock { ino, session, wait, .. } = *operation;
    let mut keys = vec![Key::Session(session).encode(), Key::Identity(ino).encode()];
    keys.extend(wait.map(|wait| Key::Waiter(ino, session, wait.number).encode()));
    let values = transaction.get_many(&keys.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
    session::alive(values[0].as_deref())?;
    if values[1].is_none() {
        return Err(Errno::ENOENT.into());
    }
    Ok(values.get(2).is_some_and(Option::is_some))
}

fn register(transaction: &mut dyn Transaction, operation: &SetLock, wait: LockWait, mode: LockMode) {
    let SetLock { ino, space, session, owner, range, .. } = *operation;
    let record = WaiterRecord { space, owner, range, mode };
    transaction.put(&Key::Waiter(ino, session, wait.number).encode(), &record.encode());
    transaction.put(&Key::WaiterOf(session, owner, wait.number).encode(), &encode_waiter_of(ino));
}

/// A format byte alone: the key says it all.
const LISTED: &[u8] = &[1];
/// Ranges of one owner in one file: what a value can hold, and more than programs use.
const RANGES_MAX: usize = 4096;
/// Owners that have one file locked at once.
const OWNERS_MAX: usize = 10_000;
