//! A chunk's slice list: 28 bytes an entry, oldest first. Writers append without reading, so every entry bears its own
//! format.
//!
//! ```text
//! 0  format (1)    1  kind    2  zero (2)    4  position (4)    8  length (4)
//! 12  offset in the object (4)    16  length of the object (4)    20  object (8)
//! ```

use super::fields::{u32_at, u64_at};
use super::{body, damaged};
use shoal_kv::KvResult;
use shoal_types::{CHUNK_BYTES, ObjectId, ObjectKind, Slice};

pub fn encode_slices(slices: &[Slice]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(slices.len() * ENTRY_BYTES);
    for slice in slices {
        bytes.extend_from_slice(&[FORMAT, slice.kind as u8, 0, 0]);
        for field in [slice.position, slice.length, slice.object_offset, slice.object_length] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        bytes.extend_from_slice(&slice.object.0.to_le_bytes());
    }
    bytes
}

pub fn decode_slices(bytes: &[u8]) -> KvResult<Vec<Slice>> {
    let (entries, rest) = bytes.as_chunks::<ENTRY_BYTES>();
    // A newer entry may have another length, so its format is named before the lengths are complained about.
    let slices = entries.iter().map(decode_entry).collect::<KvResult<_>>()?;
    if !rest.is_empty() {
        body(WHAT, rest, FORMAT)?;
        return Err(damaged(WHAT, format!("it ends with {} bytes of an entry", rest.len())));
    }
    Ok(slices)
}

fn decode_entry(entry: &[u8; ENTRY_BYTES]) -> KvResult<Slice> {
    body(WHAT, entry, FORMAT)?;
    let kind = match entry[1] {
        0 => ObjectKind::Hole,
        1 => ObjectKind::Block,
        2 => ObjectKind::Pack,
        other => return Err(damaged(WHAT, format!("no object kind {other}"))),
    };
    let slice = Slice {
        position: u32_at(entry, 4),
        length: u32_at(entry, 8),
        object: ObjectId(u64_at(entry, 20)),
        object_offset: u32_at(entry, 12),
        object_length: u32_at(entry, 16),
        kind,
    };
    match entry[2..4] == [0, 0] && is_sound(&slice) {
        true => Ok(slice),
        false => Err(damaged(WHAT, format!("an impossible slice {slice:?}"))),
    }
}

/// What every slice in a list keeps to.
pub fn is_sound(slice: &Slice) -> bool {
    let within = |from: u32, to: u64| u64::from(from) + u64::from(slice.length) <= to;
    let in_object = match slice.kind {
        ObjectKind::Hole => slice.object == ObjectId(0),
        ObjectKind::Block | ObjectKind::Pack => {
            slice.object != ObjectId(0) && within(slice.object_offset, u64::from(slice.object_length))
        }
    };
    slice.length > 0 && within(slice.position, CHUNK_BYTES) && in_object
}

const WHAT: &str = "a slice list";
const FORMAT: u8 = 1;
const ENTRY_BYTES: usize = 28;
