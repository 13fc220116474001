//! The last close of an inode without a name: nothing keeps it any more.

use super::{orphan, session};
use crate::keys::Key;
use crate::{MetaReply, MetaResult, Release};
use shoal_kv::Transaction;

pub(super) fn run(transaction: &mut dyn Transaction, operation: &Release) -> MetaResult<MetaReply> {
    session::require(transaction, operation.session)?;
    let sustained = Key::Sustained(operation.session, operation.ino).encode();
    if transaction.get(&sustained)?.is_some() {
        transaction.delete(&sustained);
        orphan::queue_released(transaction, operation.ino, operation.now)?;
    }
    Ok(MetaReply::Done)
}
