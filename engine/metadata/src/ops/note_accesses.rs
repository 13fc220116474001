//! Access times of many inodes at once. Of each inode only its existence is read, so that readers and writers of one
//! file or directory don't conflict.

use super::session;
use crate::keys::{Accumulator, Key};
use crate::{MetaReply, MetaResult, NoteAccesses};
use shoal_kv::Transaction;

pub(super) fn run(transaction: &mut dyn Transaction, operation: &NoteAccesses) -> MetaResult<MetaReply> {
    session::require(transaction, operation.session)?;
    let keys: Vec<Vec<u8>> = operation.accesses.iter().map(|(ino, _)| Key::Identity(*ino).encode()).collect();
    let identities = transaction.get_many(&keys.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
    for ((ino, time), identity) in operation.accesses.iter().zip(identities) {
        // A record of an inode that is gone would stay for ever.
        if identity.is_some() {
            transaction.max(&Key::Accumulator(*ino, Accumulator::Atime).encode(), time.as_nanos());
        }
    }
    Ok(MetaReply::Done)
}
