//! The end of an object's life: it's gone from the store, so the deletion queue need not remember it. A mount that may have
//! it in its write-back folder still is told.

use crate::keys::Key;
use crate::{ForgetObjects, MetaReply, MetaResult, writeback};
use shoal_kv::Transaction;
use shoal_types::ObjectId;

pub(super) fn run(transaction: &mut dyn Transaction, operation: &ForgetObjects) -> MetaResult<MetaReply> {
    for (queued_at, object) in &operation.entries {
        transaction.delete(&Key::Deletion(*queued_at, *object).encode());
    }
    let objects: Vec<ObjectId> = operation.entries.iter().map(|(_, object)| *object).collect();
    writeback::note_deleted(transaction, &objects)?;
    Ok(MetaReply::Done)
}
