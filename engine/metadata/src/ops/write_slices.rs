//! What has been stored in objects becomes part of the file.
//!
//! Nothing here is read that another write changes: lists are appended to, length and time are maxima, counts are sums.
//! So any number of mounts can write one file, and only a truncation conflicts with them.
//!
//! The exception is a list that nears the largest value a store takes. Then it's read and written anew without what later
//! slices cover; such writes of one chunk conflict. It's a stopgap: compaction keeps lists much shorter.

use super::charges::{Charges, Fit};
use super::live_bytes::Books;
use super::{heartbeat, session, slice_list};
use crate::inode;
use crate::keys::{Accumulator, Key};
use crate::records::{decode_slices, encode_slices, is_sound};
use crate::{MetaError, MetaReply, MetaResult, WriteSlices};
use shoal_kv::{Transaction, limits};
use shoal_types::{CHUNK_BYTES, Errno, FILE_BYTES_MAX, InodeFlags, Slice, Timestamp};

pub(super) fn run(transaction: &mut dyn Transaction, operation: &WriteSlices) -> MetaResult<MetaReply> {
    let rules = session::require(transaction, operation.session)?;
    let ino = operation.ino;
    let identity = inode::identity(transaction, ino)?;
    inode::require_regular(&identity)?;
    identity.refuse(InodeFlags::IMMUTABLE)?;
    check(operation)?;
    // Beyond a limit, what these slices cover is given back first: writing over what is there needs no more room.
    let mut charges = Charges::exempt(rules, operation.exempt);
    charges.add(&identity, 0, operation.allocated);
    let list_bytes_long = match fits(transaction, &mut charges)? {
        true => LIST_BYTES_LONG,
        false => 0,
    };
    let mut charges = Charges::exempt(rules, operation.exempt);
    let mut books = Books::new(ino);
    for (chunk, slices) in &operation.chunks {
        append(transaction, &mut books, operation, (*chunk, slices), list_bytes_long)?;
    }
    let dropped_at = match books.may_end_objects() {
        true => recent_time(transaction, operation)?,
        false => operation.mtime,
    };
    books.close(transaction, &mut charges, &identity, dropped_at)?;
    charges.settle(transaction, Fit::OneFlush)?;
    transaction.max(&Key::Accumulator(ino, Accumulator::Length).encode(), operation.length);
    transaction.max(&Key::Accumulator(ino, Accumulator::Mtime).encode(), operation.mtime.as_nanos());
    Ok(MetaReply::Attributes(inode::load_unchecked(transaction, ino)?.attributes()))
}

fn fits(transaction: &mut dyn Transaction, charges: &mut Charges) -> MetaResult<bool> {
    match charges.check(transaction, Fit::Whole) {
        Err(MetaError::Refused(_)) => Ok(false),
        result => result.map(|()| true),
    }
}

/// One bad slice would make its whole list unreadable, and one beyond the length would show up when the file grows.
fn check(operation: &WriteSlices) -> MetaResult<()> {
    if operation.length > FILE_BYTES_MAX {
        return Err(Errno::EFBIG.into());
    }
    let mut allocated = 0;
    for (chunk, slices) in &operation.chunks {
        let start = chunk.saturating_mul(CHUNK_BYTES);
        let fits = |slice: &Slice| is_sound(slice) && start.saturating_add(u64::from(slice.end())) <= operation.length;
        if !slices.iter().all(fits) {
            return Err(Errno::EINVAL.into());
        }
        allocated += slice_list::allocated(slices);
    }
    match allocated == operation.allocated {
        true => Ok(()),
        false => Err(Errno::EINVAL.into()),
    }
}

fn append(
    transaction: &mut dyn Transaction,
    books: &mut Books,
    operation: &WriteSlices,
    (chunk, slices): (u64, &[Slice]),
    list_bytes_long: usize,
) -> MetaResult<()> {
    if slices.is_empty() {
        return Ok(());
    }
    let key = Key::Chunk(operation.ino, chunk).encode();
    let added = encode_slices(slices);
    // Only its length matters, and only roughly: no conflict.
    let listed = transaction.get_unchecked(&key)?.map_or(0, |value| value.len());
    if listed + added.len() <= list_bytes_long {
        books.add(slices);
        transaction.append(&key, &added);
        return Ok(());
    }
    let value = transaction.get(&key)?.unwrap_or_default();
    let old = decode_slices(&value)?;
    let new = slice_list::without_covered(&[&old, slices].concat());
    slice_list::require_room(&new)?;
    books.pass_over(slices);
    books.rewrite(transaction, chunk, &old, &new);
    Ok(())
}

/// A write can be committed long after its time. An object dropped now may still be in use by readers, so it's queued at
/// the latest time the session is known to have lived at.
fn recent_time(transaction: &mut dyn Transaction, operation: &WriteSlices) -> MetaResult<Timestamp> {
    let value = transaction.get_unchecked(&Key::Heartbeat(operation.session).encode())?;
    Ok(heartbeat::last_heard(operation.session, value.as_deref())?.max(operation.mtime))
}

/// From here on a list is tidied. As much again is room for writes that commit between the look and the commit.
const LIST_BYTES_LONG: usize = limits::VALUE_BYTES_MAX / 2;
