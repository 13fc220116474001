//! A session's sign of life: nanoseconds since the epoch as a MAX accumulator, so that it never goes back.

use super::session;
use crate::keys::Key;
use crate::{Heartbeat, MetaReply, MetaResult};
use shoal_kv::{KvError, Transaction};
use shoal_types::{SessionId, Timestamp};

pub(super) fn run(transaction: &mut dyn Transaction, operation: &Heartbeat) -> MetaResult<MetaReply> {
    session::require(transaction, operation.session)?;
    beat(transaction, operation.session, operation.now);
    Ok(MetaReply::Done)
}

pub(super) fn beat(transaction: &mut dyn Transaction, session: SessionId, now: Timestamp) {
    transaction.max(&Key::Heartbeat(session).encode(), now.as_nanos());
}

/// When the session was last heard of, from the value under `Key::Heartbeat`; 1970 where there is none.
pub(crate) fn last_heard(session: SessionId, value: Option<&[u8]>) -> Result<Timestamp, KvError> {
    let Some(value) = value else { return Ok(Timestamp::ZERO) };
    let bytes = value.try_into().map_err(|_| {
        KvError::Damaged(format!("the heartbeat of session {session} has {} bytes instead of 8", value.len()))
    })?;
    Ok(Timestamp::from_nanos(u64::from_le_bytes(bytes)))
}
