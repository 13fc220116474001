//! fallocate(2): bytes give way to a hole, the length goes up.
//!
//! As truncation does it, lists are cut and not covered, so that the room is free at once. A hole of many chunks is made
//! from its beginning, some chunks a transaction. Only chunks that have slices are looked at: the size of a hole costs
//! nothing. Length and time are maxima as they are for writes, so only writers of the same chunks conflict.

use super::charges::Charges;
use super::chunks::{CHUNKS_MAX, SLICES_MAX};
use super::live_bytes::Books;
use super::{inline_data, session, slice_list};
use crate::inode;
use crate::keys::{self, Accumulator, Key};
use crate::records::decode_slices;
use crate::{Fallocate, Fallocated, MetaReply, MetaResult};
use shoal_kv::{Direction, Transaction};
use shoal_types::{CHUNK_BYTES, Errno, FILE_BYTES_MAX, InodeFlags};
use std::ops::Range;

pub(super) fn run(transaction: &mut dyn Transaction, operation: &Fallocate) -> MetaResult<MetaReply> {
    let Fallocate { ino, start, end, length_min, session, now } = *operation;
    let mut charges = Charges::new(session::require(transaction, session)?);
    let identity = inode::identity(transaction, ino)?;
    inode::require_regular(&identity)?;
    identity.refuse(if start < end { InodeFlags::PROTECTION } else { InodeFlags::IMMUTABLE })?;
    if end.max(length_min) > FILE_BYTES_MAX {
        return Err(Errno::EFBIG.into());
    }
    let mut reached = end;
    if start < end {
        let mut books = Books::new(ino);
        inline_data::clear(transaction, &mut books, ino, &(start..end))?;
        reached = punch(transaction, &mut books, operation)?;
        books.close(transaction, &mut charges, &identity, now)?;
        charges.write(transaction)?;
    }
    if length_min > 0 {
        transaction.max(&Key::Accumulator(ino, Accumulator::Length).encode(), length_min);
    }
    transaction.max(&Key::Accumulator(ino, Accumulator::Mtime).encode(), now.as_nanos());
    let attributes = inode::load_unchecked(transaction, ino)?.attributes();
    Ok(MetaReply::Fallocated(Fallocated { attributes, reached }))
}

/// Takes away what the lists show of the hole, from its start, as much as one transaction may. Tells where it ends so far.
fn punch(transaction: &mut dyn Transaction, books: &mut Books, operation: &Fallocate) -> MetaResult<u64> {
    let Fallocate { ino, start, end, .. } = *operation;
    let touched = keys::chunks_within(ino, start / CHUNK_BYTES, end.div_ceil(CHUNK_BYTES));
    let pairs = transaction.scan(&touched, CHUNKS_MAX, Direction::Forward)?;
    let mut slices = 0;
    let mut reached = end;
    for (at, (key, value)) in pairs.iter().enumerate() {
        let Some(Key::Chunk(_, chunk)) = Key::parse(key) else { unreachable!("the range holds chunks only") };
        let list = decode_slices(value)?;
        slices += list.len();
        if at > 0 && slices > SLICES_MAX {
            return Ok(chunk * CHUNK_BYTES);
        }
        let left = slice_list::without(&list, &within_chunk(chunk, start..end));
        if left != list {
            slice_list::require_room(&left)?;
            books.rewrite(transaction, chunk, &list, &left);
        }
        reached = (chunk + 1) * CHUNK_BYTES;
    }
    Ok(if pairs.len() == CHUNKS_MAX { reached.min(end) } else { end })
}

/// The part of a file's bytes that lies within a chunk, as positions in it. They have some in common.
pub(super) fn within_chunk(chunk: u64, range: Range<u64>) -> Range<u32> {
    let start = chunk * CHUNK_BYTES;
    let position = |offset: u64| offset.saturating_sub(start).min(CHUNK_BYTES) as u32;
    position(range.start)..position(range.end)
}
