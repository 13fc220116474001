//! Taking bytes away from a file's inline data.

use super::live_bytes::Books;
use crate::MetaResult;
use crate::keys::Key;
use crate::records::{decode_content, encode_content};
use shoal_kv::Transaction;
use shoal_types::Ino;
use std::ops::Range;

/// Zeros in `range`; where it reaches to the end of the data, the data ends before it.
pub(super) fn clear(
    transaction: &mut dyn Transaction,
    books: &mut Books,
    ino: Ino,
    range: &Range<u64>,
) -> MetaResult<()> {
    let key = Key::Inline(ino).encode();
    let Some(value) = transaction.get(&key)? else { return Ok(()) };
    let mut content = decode_content(value)?;
    let length = content.len();
    let within = |offset: u64| usize::try_from(offset).map_or(length, |offset| offset.min(length));
    let (start, end) = (within(range.start), within(range.end));
    if start >= end {
        return Ok(());
    }
    match end == length {
        true => content.truncate(start),
        false => content[start..end].fill(0),
    }
    books.add_inline(content.len() as i64 - length as i64);
    match content.is_empty() {
        true => transaction.delete(&key),
        false => transaction.put(&key, &encode_content(&content)),
    }
    Ok(())
}
