//! Slices of packs of which little is left give way to slices of a new one that has the same bytes.
//!
//! A list is not held against what it was when the bytes were read: an object's bytes never change, so a slice of the old
//! pack may give way wherever it stands, and one that has come since and shows other bytes stays. Nothing that a file
//! shows or is charged for changes.

use super::live_bytes::Objects;
use super::pack_notes::{self, NewPack};
use super::session;
use crate::keys::Key;
use crate::records::{decode_slices, encode_slices};
use crate::{MetaReply, MetaResult, MovedPart, Repack};
use shoal_kv::Transaction;
use shoal_types::{Errno, Ino, ObjectKind, Slice};

pub(super) fn run(transaction: &mut dyn Transaction, operation: &Repack) -> MetaResult<MetaReply> {
    session::require(transaction, operation.session)?;
    let Repack { object, object_length, last, now, .. } = *operation;
    if !operation.parts.iter().all(|part| part.length > 0 && ends_within(part, object_length)) {
        return Err(Errno::EINVAL.into());
    }
    if !pack_notes::can_grow(transaction, object, operation.first)? {
        return Ok(MetaReply::Done);
    }
    let keys: Vec<Vec<u8>> = operation.files.iter().map(|ino| Key::Chunk(*ino, 0).encode()).collect();
    let values = transaction.get_many(&keys.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
    let mut objects = Objects::default();
    let mut files: Vec<(u32, Ino)> = Vec::new();
    for ((ino, key), value) in operation.files.iter().zip(&keys).zip(values) {
        let old = decode_slices(&value.unwrap_or_default())?;
        let new: Vec<Slice> = old.iter().map(|slice| moved(operation, slice)).collect();
        let Some(place) = new.iter().zip(&old).find(|(new, old)| new != old).map(|(new, _)| new.object_offset) else {
            continue;
        };
        objects.count(&old, -1);
        objects.count(&new, 1);
        transaction.put(key, &encode_slices(&new));
        files.push((place, *ino));
    }
    objects.close(transaction, now)?;
    NewPack { object, length: object_length, files, last }.note(transaction, now)?;
    Ok(MetaReply::Done)
}

fn ends_within(part: &MovedPart, object_length: u32) -> bool {
    part.to_offset.checked_add(part.length).is_some_and(|end| end <= object_length)
}

/// What stands in the slice's place.
fn moved(operation: &Repack, slice: &Slice) -> Slice {
    let holds = |part: &&MovedPart| {
        let within = slice.object_offset.checked_sub(part.from_offset);
        part.from == slice.object
            && within.is_some_and(|at| u64::from(at) + u64::from(slice.length) <= part.length.into())
    };
    let part = operation.parts.iter().find(holds).filter(|_| slice.kind == ObjectKind::Pack);
    match part {
        Some(part) => Slice {
            object: operation.object,
            object_offset: part.to_offset + (slice.object_offset - part.from_offset),
            object_length: operation.object_length,
            ..*slice
        },
        None => *slice,
    }
}
