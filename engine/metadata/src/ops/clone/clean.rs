//! What a clone leaves behind, once it's finished, given up, or its session gone.

use super::super::orphan;
use super::{load, save};
use crate::inode;
use crate::keys::{self, Key};
use crate::records::{CloneRecord, CloneState, Identity};
use crate::{CleanClone, MetaReply, MetaResult};
use shoal_kv::{Direction, Transaction};
use shoal_types::{Ino, Timestamp};

pub(in super::super) fn clean(transaction: &mut dyn Transaction, operation: &CleanClone) -> MetaResult<MetaReply> {
    let CleanClone { clone, session, queue_at } = *operation;
    let Some(mut record) = load(transaction, clone)? else { return Ok(MetaReply::Ended { done: true }) };
    if record.state == CloneState::Filling {
        // Read, so that a step of the clone and the end of its session conflict with this.
        let alive = transaction.get(&Key::Session(record.session).encode())?.is_some();
        if alive && record.session != session {
            return Ok(MetaReply::Ended { done: true });
        }
        record = CloneRecord { state: CloneState::Abandoned, ..record };
        save(transaction, clone, &record);
    }
    let notes = transaction.scan(&keys::clone_notes(clone), NOTES_MAX, Direction::Forward)?;
    notes.iter().for_each(|(key, _)| transaction.delete(key));
    let done = notes.len() < NOTES_MAX;
    if done {
        if record.state == CloneState::Abandoned {
            drop_root(transaction, clone, queue_at)?;
        }
        transaction.delete(&Key::Clone(clone).encode());
    }
    Ok(MetaReply::Ended { done })
}

/// The record has stood for the root's name, and goes. In the queue, a tree is taken apart step by step.
fn drop_root(transaction: &mut dyn Transaction, root: Ino, queue_at: Timestamp) -> MetaResult<()> {
    let identity = inode::identity(transaction, root)?;
    transaction.put(&Key::Identity(root).encode(), &Identity { nlink: 0, ..identity }.encode());
    orphan::queue_removal(transaction, root, queue_at);
    Ok(())
}

/// Taken away by one transaction.
const NOTES_MAX: usize = 1000;
