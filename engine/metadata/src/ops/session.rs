//! Whether a session still lives: what it may do ends with its record.

use crate::MetaResult;
use crate::keys::Key;
use shoal_kv::Transaction;
use shoal_types::{Errno, SessionId};

/// `ESTALE` for a session that has ended; the transaction conflicts with its end.
pub(super) fn require(transaction: &mut dyn Transaction, session: SessionId) -> MetaResult<()> {
    let record = transaction.get(&Key::Session(session).encode())?;
    alive(record.as_deref())
}

/// The same from the record's bytes, for who reads it along with other keys.
pub(super) fn alive(record: Option<&[u8]>) -> MetaResult<()> {
    match record {
        Some(_) => Ok(()),
        None => Err(Errno::ESTALE.into()),
    }
}
