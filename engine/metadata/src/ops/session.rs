//! Whether a session still lives: what it may do ends with its record. The record also tells what its operations have to
//! count.

use crate::MetaResult;
use crate::keys::Key;
use crate::records::Rules;
use shoal_kv::Transaction;
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
