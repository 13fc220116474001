//! Whether a session still lives: what it may do ends with its record. The record also tells what its operations have to
//! count.

use crate::MetaResult;
use crate::keys::{self, Key};
use crate::records::Rules;
use shoal_kv::{Direction, KvError, Transaction};
use shoal_types::{Errno, SessionId};

/// `ESTALE` for a session that has ended; the transaction conflicts with its end.
pub(super) fn require(transaction: &mut dyn Transaction, session: SessionId) -> MetaResult<Rules> {
    let record = transaction.get(&Key::Session(session).encode())?;
    alive(record.as_deref())
}

/// The same from the record's bytes, for who reads it along with other keys.
pub(super) fn alive(record: Option<&[u8]>) -> MetaResult<Rules> {
    match record {
        Some(record) => Ok(Rules::decode(record)?),
        None => Err(Errno::ESTALE.into()),
    }
}

/// Changes the rules at the beginning of all sessions' records. Every operation reads its session's record, so each runs
/// wholly by the old rules or wholly by the new ones.
pub(super) fn rewrite_rules(transaction: &mut dyn Transaction, change: impl Fn(Rules) -> Rules) -> MetaResult<()> {
    let mut range = keys::tag(b's');
    while let Some((key, value)) = transaction.scan(&range, 1, Direction::Forward)?.pop() {
        let session = Key::parse(&key).and_then(|key| key.session());
        let session = session.ok_or_else(|| KvError::Damaged(format!("{} is no session's key", key.escape_ascii())))?;
        if key == Key::Session(session).encode() {
            transaction.put(&key, &change(Rules::decode(&value)?).replace(&value)?);
        }
        range.start = keys::session(session).end;
    }
    Ok(())
}
