//! The removal of an inode that has no name and that nobody keeps.
//!
//! Each step frees what it has read in the same transaction, so a step that runs twice frees nothing twice. The first
//! notes with the inode that it has begun: from then on nobody can sustain it. A write that comes late
//! either commits before the last step, which then runs again and sees it, or finds no inode.

use super::charges::{self, Charges};
use super::live_bytes::Books;
use super::{chunks, orphan, quota, remove_tree};
use crate::inode::{self, Inode};
use crate::keys::Key;
use crate::records::{BEGUN, Identity, decode_queued, encode_queued};
use crate::{Emptied, MetaError, MetaReply, MetaResult, RemoveInode};
use shoal_kv::Transaction;
use shoal_types::Errno;

pub(super) fn run(transaction: &mut dyn Transaction, operation: &RemoveInode) -> MetaResult<MetaReply> {
    let ino = operation.ino;
    let entry = Key::Removal(operation.queued_at, ino).encode();
    if transaction.get(&entry)?.is_none() {
        return Ok(MetaReply::Ended { done: true });
    }
    let Some(inode) = find(transaction, operation)? else {
        transaction.delete(&entry);
        return Ok(MetaReply::Ended { done: true });
    };
    transaction.put(&Key::Queued(ino).encode(), &encode_queued(BEGUN));
    if inode.identity.is_directory() {
        return take_apart(transaction, operation, &inode.identity, &entry);
    }
    let mut books = Books::new(ino);
    let done = chunks::drop_last(transaction, &mut books, ino, 0)?.is_none();
    if done {
        // What is still allocated then is inline.
        books.add_inline(-(inode.allocated + books.allocated()));
    }
    let mut charges = Charges::new(charges::rules_without_session(transaction, &inode.identity)?);
    books.close(transaction, &mut charges, &inode.identity, operation.delete_at)?;
    if done {
        orphan::delete_inode(transaction, &mut charges, ino, &inode.identity)?;
        transaction.delete(&entry);
    }
    charges.write(transaction)?;
    Ok(MetaReply::Ended { done })
}

/// A directory that was removed with what is in it.
fn take_apart(
    transaction: &mut dyn Transaction,
    operation: &RemoveInode,
    identity: &Identity,
    entry: &[u8],
) -> MetaResult<MetaReply> {
    let RemoveInode { ino, delete_at, .. } = *operation;
    let mut charges = Charges::new(quota::load_accounting(transaction)?.rules());
    let (inodes, more) = remove_tree::take_apart(transaction, ino, delete_at)?;
    if !more {
        orphan::delete_inode(transaction, &mut charges, ino, identity)?;
        transaction.delete(entry);
    }
    charges.write(transaction)?;
    Ok(MetaReply::Emptied(Emptied { done: !more, inodes }))
}

/// The inode, if this entry of the queue is right about it. One that has a name, does not exist, or is queued at another
/// time must not be removed on account of this entry, however that came about.
fn find(transaction: &mut dyn Transaction, operation: &RemoveInode) -> MetaResult<Option<Inode>> {
    let inode = match inode::load(transaction, operation.ino) {
        Err(MetaError::Refused(Errno::ENOENT)) => return Ok(None),
        found => found?,
    };
    let queued = transaction.get(&Key::Queued(operation.ino).encode())?;
    let elsewhere = match queued {
        Some(queued) => ![operation.queued_at, BEGUN].contains(&decode_queued(&queued)?),
        None => false,
    };
    Ok((inode.identity.nlink == 0 && !elsewhere).then_some(inode))
}
