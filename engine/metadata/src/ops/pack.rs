//! Staged bytes give way to slices of a pack that holds them.
//!
//! What the pack has of a file must be what the file has inline, byte for byte; if it was changed meanwhile, it stays as it
//! is, staged, and that part of the pack is dead. The slice becomes the bottom of the list, where the inline bytes were: a
//! file that has grown keeps what lies above.

use super::charges::Charges;
use super::live_bytes::Books;
use super::pack_notes::{self, NewPack};
use super::{session, slice_list, stage};
use crate::inode;
use crate::keys::Key;
use crate::records::{decode_content, decode_slices};
use crate::{MetaError, MetaReply, MetaResult, Pack, PackedFile};
use shoal_kv::Transaction;
use shoal_types::{Errno, ObjectKind, Slice};

pub(super) fn run(transaction: &mut dyn Transaction, operation: &Pack) -> MetaResult<MetaReply> {
    let mut charges = Charges::new(session::require(transaction, operation.session)?);
    if !pack_notes::can_grow(transaction, operation.object, operation.first)? {
        return Ok(MetaReply::Done);
    }
    let mut files = Vec::new();
    for file in &operation.files {
        let outcome = pack(transaction, &mut charges, operation, file)?;
        if outcome == Outcome::Packed {
            files.push((file.offset, file.ino));
        }
        if outcome != Outcome::Changed {
            stage::leave(transaction, operation.staged_by, file.directory, file.ino)?;
        }
    }
    charges.write(transaction)?;
    let Pack { object, object_length: length, last, .. } = *operation;
    NewPack { object, length, files, last }.note(transaction, operation.now)?;
    Ok(MetaReply::Done)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Packed,
    /// Nothing of it is staged any more.
    NotStaged,
    /// It stays staged.
    Changed,
}

fn pack(
    transaction: &mut dyn Transaction,
    charges: &mut Charges,
    operation: &Pack,
    file: &PackedFile,
) -> MetaResult<Outcome> {
    let identity = match inode::identity(transaction, file.ino) {
        Err(MetaError::Refused(Errno::ENOENT)) => return Ok(Outcome::NotStaged),
        identity => identity?,
    };
    let key = Key::Inline(file.ino).encode();
    let Some(content) = transaction.get(&key)?.map(decode_content).transpose()? else {
        return Ok(Outcome::NotStaged);
    };
    if content.len() <= operation.inline_max as usize {
        // It was cut, and may stay where it is.
        return Ok(Outcome::NotStaged);
    }
    if content != file.bytes {
        return Ok(Outcome::Changed);
    }
    let chunk = Key::Chunk(file.ino, 0).encode();
    let old = decode_slices(&transaction.get(&chunk)?.unwrap_or_default())?;
    let bottom = Slice {
        position: 0,
        length: content.len() as u32,
        object: operation.object,
        object_offset: file.offset,
        object_length: operation.object_length,
        kind: ObjectKind::Pack,
    };
    let new = [&[bottom], &old[..]].concat();
    if slice_list::require_room(&new).is_err() {
        // It's rewritten soon, and then there is room.
        return Ok(Outcome::Changed);
    }
    transaction.delete(&key);
    let mut books = Books::new(file.ino);
    books.add_inline(-(content.len() as i64));
    books.rewrite(transaction, 0, &old, &new);
    books.close(transaction, charges, &identity, operation.now)?;
    Ok(Outcome::Packed)
}
