//! A session finds an inode in the removal queue that it has open: it takes it off, and keeps it until it has closed it.
//!
//! An inode that is not queued is left alone: it still has a name, or another session sustains it and will queue it, or
//! its removal has begun and can't be taken back.

use super::{orphan, session};
use crate::keys::Key;
use crate::records::decode_queued;
use crate::{MetaReply, MetaResult, Sustain};
use shoal_kv::Transaction;

pub(super) fn run(transaction: &mut dyn Transaction, operation: &Sustain) -> MetaResult<MetaReply> {
    session::require(transaction, operation.session)?;
    let mut kept = Vec::new();
    for ino in operation.inodes.iter().copied() {
        let place = Key::Queued(ino).encode();
        if let Some(queued) = transaction.get(&place)? {
            transaction.delete(&place);
            transaction.delete(&Key::Removal(decode_queued(&queued)?, ino).encode());
            orphan::sustain(transaction, ino, operation.session);
        } else if transaction.get(&Key::Sustained(operation.session, ino).encode())?.is_none() {
            continue;
        }
        kept.push(ino);
    }
    Ok(MetaReply::Sustained(kept))
}
