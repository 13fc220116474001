//! Compaction's commit: the beginning of a list gives way to slices that show the same bytes.
//!
//! Slices appended since the list was read stay behind the new ones and cover them, as they covered the old ones.

use super::charges::Charges;
use super::live_bytes::Books;
use super::{session, slice_list};
use crate::inode;
use crate::keys::Key;
use crate::records::{decode_slices, is_sound};
use crate::{MetaReply, MetaResult, ReplaceSlices};
use shoal_kv::Transaction;
use shoal_types::Errno;

pub(super) fn run(transaction: &mut dyn Transaction, operation: &ReplaceSlices) -> MetaResult<MetaReply> {
    let mut charges = Charges::new(session::require(transaction, operation.session)?);
    let identity = inode::identity(transaction, operation.ino)?;
    inode::require_regular(&identity)?;
    if !operation.new.iter().all(is_sound) {
        return Err(Errno::EINVAL.into());
    }
    let value = transaction.get(&Key::Chunk(operation.ino, operation.chunk).encode())?.unwrap_or_default();
    let list = decode_slices(&value)?;
    let Some(since) = list.strip_prefix(operation.old.as_slice()) else {
        return Ok(MetaReply::Replaced(false));
    };
    let new = [&operation.new, since].concat();
    slice_list::require_room(&new)?;
    let mut books = Books::new(operation.ino);
    books.rewrite(transaction, operation.chunk, &list, &new);
    books.close(transaction, &mut charges, &identity, operation.delete_at)?;
    charges.write(transaction)?;
    Ok(MetaReply::Replaced(true))
}
