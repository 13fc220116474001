//! Numbers handed out once: the volume's counters of the next inode, object and session.
//!
//! The counter is read and written, so that two who take numbers conflict and one of them runs again. Where the result of
//! a commit is unknown a range may be lost; it's never handed out twice.

use crate::MetaResult;
use crate::keys::{Counter, Key};
use shoal_kv::{KvError, Transaction};
use shoal_types::Errno;
use std::ops::Range;

/// `EINVAL` for none, `ENOSPC` when there are not so many left.
pub(super) fn take(transaction: &mut dyn Transaction, counter: Counter, count: u64) -> MetaResult<Range<u64>> {
    if count == 0 {
        return Err(Errno::EINVAL.into());
    }
    let key = Key::Counter(counter).encode();
    let start = decode(counter, transaction.get(&key)?.as_deref())?;
    let end = start.checked_add(count).ok_or(Errno::ENOSPC)?;
    transaction.put(&key, &end.to_le_bytes());
    Ok(start..end)
}

/// A counter that is missing is damage: formatting the volume wrote it, and to begin again would reuse numbers.
pub(crate) fn decode(counter: Counter, value: Option<&[u8]>) -> Result<u64, KvError> {
    let name = counter.name().escape_ascii();
    let value = value.ok_or_else(|| KvError::Damaged(format!("the counter '{name}' is missing")))?;
    let bytes = value.try_into();
    bytes
        .map(u64::from_le_bytes)
        .map_err(|_| KvError::Damaged(format!("the counter '{name}' holds {} bytes instead of 8", value.len())))
}
