//! Who maintains the volume: one session at a time. It keeps that until it ends, or is ended because it's dead.

use super::session;
use crate::keys::Key;
use crate::records::{decode_holder, encode_holder};
use crate::{MetaReply, MetaResult, TakeMaintenance};
use shoal_kv::Transaction;
use shoal_types::SessionId;

/// Two round trips where another session holds it, and nothing is written then.
pub(super) fn take(transaction: &mut dyn Transaction, operation: &TakeMaintenance) -> MetaResult<MetaReply> {
    let key = Key::Maintenance.encode();
    let own = Key::Session(operation.session).encode();
    let found = transaction.get_many(&[&own, &key])?;
    session::alive(found[0].as_deref())?;
    if let Some(value) = &found[1] {
        let holder = decode_holder(value)?;
        if holder == operation.session || transaction.get(&Key::Session(holder).encode())?.is_some() {
            return Ok(MetaReply::Holder(holder));
        }
    }
    transaction.put(&key, &encode_holder(operation.session));
    Ok(MetaReply::Holder(operation.session))
}

/// The session ends: whoever asks next holds it.
pub(super) fn give_up(transaction: &mut dyn Transaction, ended: SessionId) -> MetaResult<()> {
    let key = Key::Maintenance.encode();
    let Some(value) = transaction.get(&key)? else { return Ok(()) };
    if decode_holder(&value)? == ended {
        transaction.delete(&key);
    }
    Ok(())
}
