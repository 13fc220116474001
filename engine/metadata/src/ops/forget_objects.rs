//! The end of an object's life: it's gone from the store, so the deletion queue need not remember it.

use crate::keys::Key;
use crate::{ForgetObjects, MetaReply, MetaResult};
use shoal_kv::Transaction;

pub(super) fn run(transaction: &mut dyn Transaction, operation: &ForgetObjects) -> MetaResult<MetaReply> {
    for (queued_at, object) in &operation.entries {
        transaction.delete(&Key::Deletion(*queued_at, *object).encode());
    }
    Ok(MetaReply::Done)
}
