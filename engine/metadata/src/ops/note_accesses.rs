//! Access times of many inodes at once. Of each inode only its identity is read, so that readers and writers of one
//! file or directory don't conflict.

use super::session;
use crate::keys::{Accumulator, Key};
use crate::records::Identity;
use crate::{MetaReply, MetaResult, NoteAccesses};
use shoal_kv::Transaction;
use shoal_types::InodeFlags;

pub(super) fn run(transaction: &mut dyn Transaction, operation: &NoteAccesses) -> MetaResult<MetaReply> {
    session::require(transaction, operation.session)?;
    let keys: Vec<Vec<u8>> = operation.accesses.iter().map(|(ino, _)| Key::Identity(*ino).encode()).collect();
    let identities = transaction.get_many(&keys.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
    for ((ino, time), identity) in operation.accesses.iter().zip(identities) {
        // A record of an inode that is gone would stay for ever.
        let Some(identity) = identity else { continue };
        if !Identity::decode(&identity)?.flags.has(InodeFlags::NO_ACCESS_TIME) {
            transaction.max(&Key::Accumulator(*ino, Accumulator::Atime).encode(), time.as_nanos());
        }
    }
    Ok(MetaReply::Done)
}
