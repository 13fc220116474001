//! Small files that wait in metadata to be packed. Their bytes are inline data as any other; what makes them staged is an
//! entry in the list of the session that wrote them last, by directory, so that neighbours are packed together.
//!
//! Invariant: the staged bytes of the volume are the sum of what all entries tell. An entry may outlive its file's bytes, if
//! those are cut or removed; the packer finds that and drops it.

use crate::MetaResult;
use crate::keys::Key;
use crate::records::{decode_settings, decode_staged, encode_staged};
use shoal_kv::{KvError, KvResult, Reader, Transaction};
use shoal_types::{Ino, SessionId};

/// The file's bytes are staged from now on, unless the volume has too many that are: then nothing is noted.
pub(super) fn enter(
    transaction: &mut dyn Transaction,
    (session, directory, ino): (SessionId, Ino, Ino),
    bytes: u32,
    total_max: u64,
) -> MetaResult<bool> {
    let key = Key::Staged(session, directory, ino).encode();
    let before = transaction.get(&key)?.map(|value| decode_staged(&value)).transpose()?.unwrap_or(0);
    let added = i64::from(bytes) - i64::from(before);
    // Read without a conflict: the bound is for the store's good, and a few files more do no harm.
    let total = staged_bytes(transaction.get_unchecked(&Key::StagedBytes.encode())?.as_deref())?;
    if added > 0 && total.saturating_add(added) > total_max.cast_signed() {
        return Ok(false);
    }
    if added != 0 {
        transaction.put(&key, &encode_staged(bytes));
        transaction.add(&Key::StagedBytes.encode(), added);
    }
    Ok(true)
}

/// The copy of a staged file, made by this transaction, is staged as well.
pub(super) fn enter_new(transaction: &mut dyn Transaction, session: SessionId, directory: Ino, ino: Ino, bytes: u32) {
    transaction.put(&Key::Staged(session, directory, ino).encode(), &encode_staged(bytes));
    transaction.add(&Key::StagedBytes.encode(), bytes.into());
}

pub(super) fn leave(transaction: &mut dyn Transaction, session: SessionId, directory: Ino, ino: Ino) -> MetaResult<()> {
    let key = Key::Staged(session, directory, ino).encode();
    if let Some(value) = transaction.get(&key)? {
        transaction.delete(&key);
        transaction.add(&Key::StagedBytes.encode(), -i64::from(decode_staged(&value)?));
    }
    Ok(())
}

/// Files with more inline bytes than this are staged; `None` where none are.
pub(super) fn threshold(transaction: &mut dyn Transaction) -> MetaResult<Option<u32>> {
    let Some(settings) = transaction.get(&Key::Settings.encode())? else { return Ok(None) };
    let settings = decode_settings(&settings)?;
    Ok((settings.staging.file_bytes_max > settings.inline_bytes_max).then_some(settings.inline_bytes_max))
}

/// The value under `Key::StagedBytes`.
pub(crate) fn staged_bytes(value: Option<&[u8]>) -> KvResult<i64> {
    let Some(value) = value else { return Ok(0) };
    let bytes = value.try_into();
    let wrong = || KvError::Damaged(format!("the staged bytes are {} bytes instead of 8", value.len()));
    bytes.map(i64::from_le_bytes).map_err(|_| wrong())
}

pub(crate) fn read_staged_bytes(reader: &mut dyn Reader) -> KvResult<i64> {
    staged_bytes(reader.get(&Key::StagedBytes.encode())?.as_deref())
}
