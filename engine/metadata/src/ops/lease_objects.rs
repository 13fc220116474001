//! A range of object numbers for a session, and the note that it may be storing objects under them.

use super::{counter, session};
use crate::keys::{Counter, Key};
use crate::records::encode_lease;
use crate::{LeaseObjects, MetaReply, MetaResult};
use shoal_kv::Transaction;

pub(super) fn run(transaction: &mut dyn Transaction, operation: &LeaseObjects) -> MetaResult<MetaReply> {
    session::require(transaction, operation.session)?;
    let leased = counter::take(transaction, Counter::NextObject, operation.count)?;
    let key = Key::ObjectLease(operation.session, leased.start).encode();
    transaction.put(&key, &encode_lease(leased.end));
    Ok(MetaReply::Leased(leased))
}
