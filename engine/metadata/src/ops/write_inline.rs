//! A small file's bytes, kept in metadata. The record is read and replaced, so two writers of one file conflict.
//!
//! The record may be shorter than the file: what is behind it is a hole. What is too long to stay is staged, if the volume
//! stages files: then it waits here to be packed.

use super::charges::{Charges, Fit};
use super::live_bytes::Books;
use super::{session, stage};
use crate::inode;
use crate::keys::{self, Accumulator, Key};
use crate::records::{Identity, decode_content, encode_content};
use crate::{MetaReply, MetaResult, WriteInline};
use shoal_kv::{Direction, Transaction};
use shoal_types::{Ino, InodeFlags, Timestamp, VolumeSettings};

pub(super) fn run(transaction: &mut dyn Transaction, operation: &WriteInline) -> MetaResult<MetaReply> {
    let mut charges = Charges::exempt(session::require(transaction, operation.session)?, operation.exempt);
    let ino = operation.ino;
    let inode = inode::load(transaction, ino)?;
    inode::require_regular(&inode.identity)?;
    inode.identity.refuse(InodeFlags::IMMUTABLE)?;
    let length = end(operation).max(inode.length);
    let length_max = operation.inline_max.max(operation.staging.file_bytes_max).min(VolumeSettings::INLINE_BYTES_MAX);
    if length > u64::from(length_max) || has_chunks(transaction, ino)? {
        return Ok(MetaReply::NotInline);
    }
    if length > u64::from(operation.inline_max) {
        let place = (operation.session, inode.identity.parent, ino);
        if !stage::enter(transaction, place, length as u32, operation.staging.total_bytes_max)? {
            return Ok(MetaReply::NotInline);
        }
    }
    patch(transaction, operation, &mut charges, &inode.identity)?;
    charges.settle(transaction, Fit::OneFlush)?;
    transaction.max(&Key::Accumulator(ino, Accumulator::Length).encode(), length);
    transaction.max(&Key::Accumulator(ino, Accumulator::Mtime).encode(), operation.mtime.as_nanos());
    Ok(MetaReply::Attributes(inode::load_unchecked(transaction, ino)?.attributes()))
}

/// The file is at least so long afterwards.
fn end(operation: &WriteInline) -> u64 {
    let ends = operation.patches.iter().map(|(offset, bytes)| offset.saturating_add(bytes.len() as u64));
    ends.fold(operation.length_min, u64::max)
}

/// Also a conflict with whoever gives the file its first slice.
fn has_chunks(transaction: &mut dyn Transaction, ino: Ino) -> MetaResult<bool> {
    Ok(!transaction.scan(&keys::chunks(ino), 1, Direction::Forward)?.is_empty())
}

/// `end` has been found to be small: every patch fits.
fn patch(
    transaction: &mut dyn Transaction,
    operation: &WriteInline,
    charges: &mut Charges,
    identity: &Identity,
) -> MetaResult<()> {
    let key = Key::Inline(operation.ino).encode();
    let mut content = match transaction.get(&key)? {
        Some(value) => decode_content(value)?,
        None => Vec::new(),
    };
    let old = content.len();
    for (offset, bytes) in &operation.patches {
        let start = *offset as usize;
        let end = start + bytes.len();
        content.resize(content.len().max(end), 0);
        content[start..end].copy_from_slice(bytes);
    }
    if !content.is_empty() {
        transaction.put(&key, &encode_content(&content));
    }
    let mut books = Books::new(operation.ino);
    books.add_inline(content.len() as i64 - old as i64);
    // No object loses anything here, so there is nothing to queue and no time for it.
    books.close(transaction, charges, identity, Timestamp::ZERO)
}
