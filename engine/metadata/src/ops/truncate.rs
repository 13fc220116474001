//! A file's new length. What lies beyond it is cut off, not covered: growing again shows zeros and the space is free.
//!
//! A file of many chunks is cut from its end, some chunks a transaction, and its length goes down with them: it's a whole
//! and shorter file after each step. The identity is rewritten, with which every write conflicts; so no write lands
//! behind a cut unseen, and lists and length can be set although writers only ever add to them.

use super::charges::Charges;
use super::live_bytes::Books;
use super::{chunks, inline_data, session, slice_list};
use crate::inode;
use crate::keys::{Accumulator, Key};
use crate::records::{Identity, decode_slices};
use crate::{MetaReply, MetaResult, Truncate, Truncated};
use shoal_kv::Transaction;
use shoal_types::{CHUNK_BYTES, Errno, FILE_BYTES_MAX, InodeFlags};

pub(super) fn run(transaction: &mut dyn Transaction, operation: &Truncate) -> MetaResult<MetaReply> {
    let mut charges = Charges::new(session::require(transaction, operation.session)?);
    let mut inode = inode::load(transaction, operation.ino)?;
    inode::require_regular(&inode.identity)?;
    inode.identity.refuse(InodeFlags::PROTECTION)?;
    if operation.length > FILE_BYTES_MAX {
        return Err(Errno::EFBIG.into());
    }
    let mut length = operation.length;
    if length < inode.length {
        length = cut(transaction, operation, &mut charges, &inode.identity)?.min(inode.length);
        inode.identity.truncation_epoch += 1;
    }
    // Without an accumulator the identity's modification time holds, also where it's earlier than the last.
    inode.identity.mtime = operation.now;
    inode.identity.ctime = operation.now;
    charges.write(transaction)?;
    transaction.put(&Key::Identity(operation.ino).encode(), &inode.identity.encode());
    transaction.delete(&Key::Accumulator(operation.ino, Accumulator::Mtime).encode());
    transaction.put(&Key::Accumulator(operation.ino, Accumulator::Length).encode(), &length.to_le_bytes());
    let attributes = inode::load_unchecked(transaction, operation.ino)?.attributes();
    Ok(MetaReply::Truncated(Truncated { attributes, done: length == operation.length }))
}

/// Takes away what lies beyond the length, from the end, as much as one transaction may. Tells the length reached.
fn cut(
    transaction: &mut dyn Transaction,
    operation: &Truncate,
    charges: &mut Charges,
    identity: &Identity,
) -> MetaResult<u64> {
    let mut books = Books::new(operation.ino);
    let mut reached = operation.length;
    let first_beyond = operation.length.div_ceil(CHUNK_BYTES);
    if let Some(lowest) = chunks::drop_last(transaction, &mut books, operation.ino, first_beyond)? {
        reached = lowest * CHUNK_BYTES;
    }
    if reached == operation.length {
        cut_boundary_chunk(transaction, &mut books, operation)?;
        inline_data::clear(transaction, &mut books, operation.ino, &(operation.length..u64::MAX))?;
    }
    books.close(transaction, charges, identity, operation.now)?;
    Ok(reached)
}

fn cut_boundary_chunk(transaction: &mut dyn Transaction, books: &mut Books, operation: &Truncate) -> MetaResult<()> {
    let end = (operation.length % CHUNK_BYTES) as u32;
    let chunk = operation.length / CHUNK_BYTES;
    if end == 0 {
        return Ok(());
    }
    if let Some(value) = transaction.get(&Key::Chunk(operation.ino, chunk).encode())? {
        let list = decode_slices(&value)?;
        let kept = slice_list::cut(&list, end);
        if kept != list {
            books.rewrite(transaction, chunk, &list, &kept);
        }
    }
    Ok(())
}
