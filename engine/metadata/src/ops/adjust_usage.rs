//! Puts right an account whose usage was found to be wrong: by how much, so that it does not matter what is counted
//! meanwhile.

use super::charges::usage_key;
use super::session;
use crate::keys::UsageField;
use crate::{AdjustUsage, MetaReply, MetaResult};
use shoal_kv::Transaction;

pub(super) fn run(transaction: &mut dyn Transaction, operation: &AdjustUsage) -> MetaResult<MetaReply> {
    let AdjustUsage { account, bytes, inodes, session } = *operation;
    session::require(transaction, session)?;
    for (field, amount) in [(UsageField::Bytes, bytes), (UsageField::Inodes, inodes)] {
        if amount != 0 {
            transaction.add(&usage_key(account, field), amount);
        }
    }
    Ok(MetaReply::Done)
}
