//! Copying by reference: the target's lists get slices of the objects that the source's lists name. No byte moves.
//!
//! The objects' live bytes grow by what the new slices name, in the same transaction, so an object lives until the last
//! file lets go of it. A step reads the lists of a bounded number of chunks that exist and takes as many bytes as those
//! tell about; holes between chunks are skipped, however large.

use super::charges::{Charges, Fit};
use super::chunks::{CHUNKS_MAX, SLICES_MAX};
use super::fallocate::within_chunk;
use super::live_bytes::Books;
use super::{inline_data, session, slice_list};
use crate::inode;
use crate::keys::{self, Accumulator, Key};
use crate::records::{decode_content, decode_slices};
use crate::{Copied, CopyRange, MetaReply, MetaResult};
use shoal_kv::{Direction, KvResult, Transaction};
use shoal_types::{CHUNK_BYTES, Errno, FILE_BYTES_MAX, Ino, InodeFlags, Slice};
use std::collections::BTreeMap;
use std::ops::Range;

pub(super) fn run(transaction: &mut dyn Transaction, operation: &CopyRange) -> MetaResult<MetaReply> {
    let CopyRange { source, source_offset, target, target_offset, session, now, .. } = *operation;
    let mut charges = Charges::new(session::require(transaction, session)?);
    inode::require_regular(&inode::identity(transaction, source)?)?;
    let identity = inode::identity(transaction, target)?;
    inode::require_regular(&identity)?;
    identity.refuse(InodeFlags::IMMUTABLE)?;
    let mut count = operation.length.min(inode::length(transaction, source)?.saturating_sub(source_offset));
    check(operation, count)?;
    let inline = inline_length(transaction, source)?;
    if count > 0 && source_offset < inline {
        return Ok(MetaReply::CopyBytes(count.min(inline - source_offset)));
    }
    if count > 0 {
        let sources = read_sources(transaction, operation, &mut count)?;
        let mut targets = read_targets(transaction, operation, &mut count)?;
        let mut books = Books::new(target);
        let replaced = target_offset..target_offset + count;
        inline_data::clear(transaction, &mut books, target, &replaced)?;
        for (chunk, (old, new)) in &mut targets {
            *new = slice_list::without(old, &within_chunk(*chunk, replaced.clone()));
        }
        for (offset, slice) in shown(&sources, source_offset..source_offset + count) {
            place(&mut targets, target_offset + (offset - source_offset), slice);
        }
        for (chunk, (old, new)) in targets.iter().filter(|(_, (old, new))| old != new) {
            slice_list::require_room(new)?;
            books.rewrite(transaction, *chunk, old, new);
        }
        books.close(transaction, &mut charges, &identity, now)?;
        charges.settle(transaction, Fit::Whole)?;
        transaction.max(&Key::Accumulator(target, Accumulator::Length).encode(), replaced.end);
        transaction.max(&Key::Accumulator(target, Accumulator::Mtime).encode(), now.as_nanos());
    }
    let attributes = inode::load_unchecked(transaction, target)?.attributes();
    Ok(MetaReply::Copied(Copied { attributes, count }))
}

fn check(operation: &CopyRange, count: u64) -> MetaResult<()> {
    let CopyRange { source, source_offset, target, target_offset, .. } = *operation;
    if target_offset.checked_add(count).is_none_or(|end| end > FILE_BYTES_MAX) {
        return Err(Errno::EFBIG.into());
    }
    if source == target && source_offset.abs_diff(target_offset) < count {
        return Err(Errno::EINVAL.into());
    }
    Ok(())
}

fn inline_length(transaction: &mut dyn Transaction, ino: Ino) -> MetaResult<u64> {
    let value = transaction.get(&Key::Inline(ino).encode())?;
    Ok(value.map(decode_content).transpose()?.map_or(0, |content| content.len() as u64))
}

/// The source's lists that tell about the bytes to copy; of those, `count` becomes what they tell about.
fn read_sources(
    transaction: &mut dyn Transaction,
    operation: &CopyRange,
    count: &mut u64,
) -> MetaResult<Vec<(u64, Vec<Slice>)>> {
    let start = operation.source_offset;
    let mut lists = read_lists(transaction, operation.source, start..start + *count)?;
    let mut slices = 0;
    let taken = lists.iter().take_while(|(_, list)| {
        slices += list.len();
        slices <= SLICES_MAX
    });
    let taken = taken.count().max(1);
    if taken < lists.len() || lists.len() == CHUNKS_MAX {
        lists.truncate(taken);
        let (last, _) = lists.last().expect("one is taken at least");
        *count = (*count).min((last + 1) * CHUNK_BYTES - start);
    }
    Ok(lists)
}

type Rewritten = BTreeMap<u64, (Vec<Slice>, Vec<Slice>)>;

/// The target's lists that are there where the copy goes, as they are and (nothing yet) as they shall be.
fn read_targets(transaction: &mut dyn Transaction, operation: &CopyRange, count: &mut u64) -> MetaResult<Rewritten> {
    let start = operation.target_offset;
    let lists = read_lists(transaction, operation.target, start..start + *count)?;
    if let Some((last, _)) = lists.last().filter(|_| lists.len() == CHUNKS_MAX) {
        *count = (*count).min((last + 1) * CHUNK_BYTES - start);
    }
    Ok(lists.into_iter().map(|(chunk, list)| (chunk, (list, Vec::new()))).collect())
}

fn read_lists(transaction: &mut dyn Transaction, ino: Ino, range: Range<u64>) -> KvResult<Vec<(u64, Vec<Slice>)>> {
    let touched = keys::chunks_within(ino, range.start / CHUNK_BYTES, range.end.div_ceil(CHUNK_BYTES));
    let pairs = transaction.scan(&touched, CHUNKS_MAX, Direction::Forward)?;
    let decoded = pairs.iter().map(|(key, value)| {
        let Some(Key::Chunk(_, chunk)) = Key::parse(key) else { unreachable!("the range holds chunks only") };
        Ok((chunk, decode_slices(value)?))
    });
    decoded.collect()
}

/// What the source shows in `range`: offset in the file, and slice.
fn shown(sources: &[(u64, Vec<Slice>)], range: Range<u64>) -> Vec<(u64, Slice)> {
    let of_chunk = |(chunk, list): &(u64, Vec<Slice>)| {
        let start = chunk * CHUNK_BYTES;
        let slices = match start < range.end {
            true => slice_list::shown(list, &within_chunk(*chunk, range.clone())),
            false => Vec::new(),
        };
        slices.into_iter().map(move |slice| (start + u64::from(slice.position), slice))
    };
    sources.iter().flat_map(of_chunk).collect()
}

/// Puts what `slice` shows at `offset` of the target: a slice, or two where a chunk ends between.
fn place(targets: &mut Rewritten, offset: u64, slice: Slice) {
    let (chunk, position) = (offset / CHUNK_BYTES, (offset % CHUNK_BYTES) as u32);
    let length = slice.length.min(CHUNK_BYTES as u32 - position);
    targets.entry(chunk).or_default().1.push(Slice { position, length, ..slice });
    if length < slice.length {
        let rest =
            Slice { position: 0, length: slice.length - length, object_offset: slice.object_offset + length, ..slice };
        targets.entry(chunk + 1).or_default().1.push(rest);
    }
}
