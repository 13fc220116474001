//! A session's end, by itself or by another that misses its heartbeats.
//!
//! The first step takes the session's record away, and with it the right to write: everything else a session does reads
//! that record. The other keys go last, so that a session whose end was begun and not finished is still listed.

use super::{heartbeat, orphan};
use crate::keys::{self, Key};
use crate::{EndSession, MetaReply, MetaResult};
use shoal_kv::{Direction, Transaction};

pub(super) fn run(transaction: &mut dyn Transaction, operation: &EndSession) -> MetaResult<MetaReply> {
    let session = operation.session;
    if let Some(since) = operation.if_silent_since {
        let value = transaction.get(&Key::Heartbeat(session).encode())?;
        if heartbeat::last_heard(session, value.as_deref())? >= since {
            return Ok(MetaReply::Ended { done: true });
        }
    }
    // Read as well as deleted, so that of two who end the session one runs again and finds it ended.
    let record = Key::Session(session).encode();
    if transaction.get(&record)?.is_some() {
        transaction.delete(&record);
    }
    let sustained = transaction.scan(&keys::sustained(session), SUSTAINED_MAX, Direction::Forward)?;
    for (key, _) in &sustained {
        let Some(Key::Sustained(_, ino)) = Key::parse(key) else { unreachable!("the range holds these only") };
        transaction.delete(key);
        orphan::queue_removal(transaction, ino, operation.now);
    }
    let done = sustained.len() < SUSTAINED_MAX;
    if done {
        transaction.delete_range(&keys::session(session))?;
    }
    Ok(MetaReply::Ended { done })
}

/// Inodes put into the removal queue by one transaction.
const SUSTAINED_MAX: usize = 1000;
