//! A range of inode numbers for a session to name its new inodes with.

use super::{counter, session};
use crate::keys::Counter;
use crate::{LeaseInodes, MetaReply, MetaResult};
use shoal_kv::Transaction;

pub(super) fn run(transaction: &mut dyn Transaction, operation: &LeaseInodes) -> MetaResult<MetaReply> {
    session::require(transaction, operation.session)?;
    Ok(MetaReply::Leased(counter::take(transaction, Counter::NextInode, operation.count)?))
}
