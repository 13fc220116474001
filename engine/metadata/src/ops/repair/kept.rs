//! What queues, locks and clones keep.

use super::{Places, Repair};
use crate::inode;
use crate::keys::{self, Key};
use crate::ops::{live_bytes, orphan, pack_notes, trash};
use crate::{MetaError, MetaResult};
use shoal_kv::Transaction;
use shoal_types::{Errno, Ino, LockSpace, ObjectId, Timestamp};

/// The inode is queued once, if it is to be removed, and notes where.
pub(super) fn queue_anew(
    transaction: &mut dyn Transaction,
    ino: Ino,
    places: &Places,
    now: Timestamp,
) -> MetaResult<Repair> {
    for time in &places.removals {
        transaction.delete(&Key::Removal(*time, ino).encode());
    }
    let named = match inode::identity(transaction, ino) {
        Err(MetaError::Refused(Errno::ENOENT)) => return Ok(Repair::Done("it is off the queue")),
        identity => trash::has_name(&identity?),
    };
    transaction.delete(&Key::Queued(ino).encode());
    if named {
        return Ok(Repair::Done("it is off the queue"));
    }
    orphan::queue_removal(transaction, ino, now);
    Ok(Repair::Done("it is queued once"))
}

/// What files refer to is not deleted.
pub(super) fn unqueue_object(
    transaction: &mut dyn Transaction,
    object: ObjectId,
    places: &Places,
) -> MetaResult<Repair> {
    let key = Key::Object(object).encode();
    if live_bytes::live_bytes(object, transaction.get(&key)?.as_deref())? <= 0 {
        return Ok(Repair::NotNeeded);
    }
    for time in &places.deletions {
        transaction.delete(&Key::Deletion(*time, object).encode());
    }
    Ok(Repair::Done("it is off the queue"))
}

/// What is noted of a pack that nothing refers to.
pub(super) fn drop_pack_notes(transaction: &mut dyn Transaction, object: ObjectId) -> MetaResult<Repair> {
    let live = transaction.get(&Key::Object(object).encode())?;
    if live_bytes::live_bytes(object, live.as_deref())? > 0 {
        return Ok(Repair::NotNeeded);
    }
    pack_notes::end(transaction, object)?;
    Ok(Repair::Done("they are removed"))
}

/// Locks belong to sessions, and none lives.
pub(super) fn drop_locks(transaction: &mut dyn Transaction, ino: Ino) -> MetaResult<Repair> {
    for space in [LockSpace::Flock, LockSpace::Record] {
        transaction.delete_range(&keys::locks(ino, space))?;
    }
    transaction.delete_range(&keys::waiters(ino))?;
    Ok(Repair::Done("nothing is locked"))
}

/// Of a clone whose root is not what it should be nothing can come.
pub(super) fn drop_clone(transaction: &mut dyn Transaction, clone: Ino) -> MetaResult<Repair> {
    transaction.delete_range(&keys::clone(clone))?;
    Ok(Repair::Done("its notes are removed"))
}
