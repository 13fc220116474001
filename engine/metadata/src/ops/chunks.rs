//! Taking chunks away from a file's end, a bounded number in a transaction.

use super::live_bytes::Books;
use crate::MetaResult;
use crate::keys::{self, Key};
use crate::records::decode_slices;
use shoal_kv::{Direction, Transaction};
use shoal_types::Ino;

/// Deletes the last chunks of the file, of those from `first` on. `Some`: there may be more, and what is gone begins with
/// this chunk. `None`: all are gone. Conflicts with whoever adds to what it looked at.
pub(super) fn drop_last(
    transaction: &mut dyn Transaction,
    books: &mut Books,
    ino: Ino,
    first: u64,
) -> MetaResult<Option<u64>> {
    let range = keys::chunks_from(ino, first);
    let pairs = transaction.scan(&range, CHUNKS_MAX, Direction::Backward)?;
    let mut slices = 0;
    let mut lowest = None;
    for (key, value) in &pairs {
        let Some(Key::Chunk(_, chunk)) = Key::parse(key) else { unreachable!("the range holds chunks only") };
        let list = decode_slices(value)?;
        slices += list.len();
        if slices > SLICES_MAX && lowest.is_some() {
            return Ok(lowest);
        }
        books.rewrite(transaction, chunk, &list, &[]);
        lowest = Some(chunk);
    }
    Ok(lowest.filter(|_| pairs.len() == CHUNKS_MAX))
}

/// Bounds on one transaction: what is read (a list has up to 100 kB), and objects touched.
pub(super) const CHUNKS_MAX: usize = 16;
pub(super) const SLICES_MAX: usize = 4096;
