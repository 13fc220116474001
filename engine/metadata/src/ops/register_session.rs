//! A session's beginning: its number, who it is, its first heartbeat.

use super::{counter, heartbeat};
use crate::keys::{Counter, Key};
use crate::{MetaReply, MetaResult, RegisterSession};
use shoal_kv::Transaction;
use shoal_types::SessionId;

pub(super) fn run(transaction: &mut dyn Transaction, operation: &RegisterSession) -> MetaResult<MetaReply> {
    let session = SessionId(counter::take(transaction, Counter::NextSession, 1)?.start);
    transaction.put(&Key::Session(session).encode(), &operation.record.encode());
    heartbeat::beat(transaction, session, operation.now);
    Ok(MetaReply::Registered(session))
}
