//! What becomes of an inode that has lost its last name.
//!
//! Somebody of this session has it open: the session sustains it. Otherwise it goes to the removal queue, from where a
//! session can still take it back that has it open, or whose front end holds it. Who calls this has made sure that nothing
//! lies below a removed directory.

use super::charges::Charges;
use super::quota;
use crate::MetaResult;
use crate::keys::{self, Key};
use crate::records::{Identity, encode_queued};
use shoal_kv::Transaction;
use shoal_types::{Ino, SessionId, Timestamp};

/// `identity` is as it shall stay, with no name left; `open_in` is the session that has it open. Tells whether the inode is
/// sustained now.
pub(super) fn orphan(
    transaction: &mut dyn Transaction,
    (ino, identity): (Ino, &Identity),
    open_in: Option<SessionId>,
    now: Timestamp,
) -> MetaResult<bool> {
    assert_eq!(identity.nlink, 0, "an inode that has a name is no orphan");
    if identity.quota == Some(ino) {
        quota::retire(transaction, ino)?;
    }
    // Also where the inode stays: rewriting the identity of a removed directory makes creates in it conflict.
    transaction.put(&Key::Identity(ino).encode(), &identity.encode());
    match open_in {
        Some(session) => sustain(transaction, ino, session),
        None => queue_removal(transaction, ino, now),
    }
    Ok(open_in.is_some())
}

/// The session keeps this nameless inode until it releases it or ends.
pub(super) fn sustain(transaction: &mut dyn Transaction, ino: Ino, session: SessionId) {
    transaction.put(&Key::Sustained(session, ino).encode(), SUSTAINED);
}

/// The inode waits for its removal; it notes its own place in the queue, so that it can be taken off again.
pub(super) fn queue_removal(transaction: &mut dyn Transaction, ino: Ino, now: Timestamp) {
    let time = now.as_nanos();
    transaction.put(&Key::Removal(time, ino).encode(), QUEUED);
    transaction.put(&Key::Queued(ino).encode(), &encode_queued(time));
}

/// A session keeps it no more. Another one may have kept it as well, and queued it already; if this session was silent for
/// as long as that took, the inode is gone.
pub(super) fn queue_released(transaction: &mut dyn Transaction, ino: Ino, now: Timestamp) -> MetaResult<()> {
    let queued = transaction.get(&Key::Queued(ino).encode())?.is_some();
    if !queued && transaction.get(&Key::Identity(ino).encode())?.is_some() {
        queue_removal(transaction, ino, now);
    }
    Ok(())
}

/// Everything about an inode at once. Content that lies in objects must have been given up before.
pub(super) fn delete_inode(
    transaction: &mut dyn Transaction,
    charges: &mut Charges,
    ino: Ino,
    identity: &Identity,
) -> MetaResult<()> {
    transaction.delete_range(&keys::inode(ino))?;
    charges.add(identity, -1, 0);
    Ok(())
}

/// Their keys say it all: a format byte alone, so that there can be more one day.
const SUSTAINED: &[u8] = &[1];
const QUEUED: &[u8] = &[1];
