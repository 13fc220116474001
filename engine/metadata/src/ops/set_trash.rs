//! How long the trash keeps what is removed. All sessions act by it from this transaction on.

use super::{quota, trash};
use crate::{MetaReply, MetaResult, SetTrash};
use shoal_kv::Transaction;

pub(super) fn run(transaction: &mut dyn Transaction, operation: &SetTrash) -> MetaResult<MetaReply> {
    let mut accounting = quota::load_accounting(transaction)?;
    if operation.days > 0 {
        trash::make(transaction, accounting.rules(), operation.now)?;
    }
    accounting.trash_days = operation.days;
    quota::publish(transaction, accounting)?;
    Ok(MetaReply::Done)
}
