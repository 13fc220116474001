//! A session's beginning: its number, who it is, what it has to count and to tell, its first heartbeat.

use super::{counter, feed, heartbeat, quota};
use crate::keys::{Counter, Key};
use crate::records::Rules;
use crate::{MetaReply, MetaResult, RegisterSession};
use shoal_kv::Transaction;
use shoal_types::SessionId;

pub(super) fn run(transaction: &mut dyn Transaction, operation: &RegisterSession) -> MetaResult<MetaReply> {
    let session = SessionId(counter::take(transaction, Counter::NextSession, 1)?.start);
    let feed = feed::join(transaction, session, &operation.record)?;
    let rules = Rules { feed, ..quota::load_accounting(transaction)?.rules() };
    transaction.put(&Key::Session(session).encode(), &operation.record.encode(rules));
    heartbeat::beat(transaction, session, operation.now);
    Ok(MetaReply::Registered(session))
}
