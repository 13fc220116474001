//! Which objects buffered writes become.
//!
//! A whole aligned block becomes an object of its own. What is smaller is gathered, so that many scattered writes cost
//! few uploads. No byte is copied. Object numbers are the caller's to give.

use crate::DirtyMap;
use bytes::Bytes;
use shoal_types::{CHUNK_BYTES, ObjectId, ObjectKind, Slice};

/// An object to be, and the slices that will refer to it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PlannedObject {
    /// The object's plain content, in order.
    pub parts: Vec<Bytes>,
    /// By chunk number. `object` is 0 until the caller knows better.
    pub slices: Vec<(u64, Slice)>,
    pub plain_length: u32,
}

/// Plans objects of at most `block_bytes` for everything in `writes`. A slice lies within one chunk, and within one
/// block unless pieces that follow each other fell into one object.
pub fn plan_objects(writes: &DirtyMap, block_bytes: u32) -> Vec<PlannedObject> {
    assert!(block_bytes > 0 && u64::from(block_bytes) <= CHUNK_BYTES, "a block lies within a chunk");
    let mut planned = Vec::new();
    let mut gathered = PlannedObject::default();
    for (offset, parts) in writes.runs() {
        for piece in split(offset, parts, block_bytes) {
            if piece.length == block_bytes {
                let mut object = PlannedObject::default();
                object.add(piece);
                planned.push(object);
                continue;
            }
            if gathered.plain_length + piece.length > block_bytes {
                planned.push(std::mem::take(&mut gathered));
            }
            gathered.add(piece);
        }
    }
    if gathered.plain_length > 0 {
        planned.push(gathered);
    }
    planned.into_iter().map(PlannedObject::finished).collect()
}

/// A run's part within one block.
struct Piece {
    chunk: u64,
    position: u32,
    length: u32,
    parts: Vec<Bytes>,
}

/// Cuts a run at the borders of blocks, which are counted from the start of each chunk.
fn split(mut offset: u64, parts: Vec<Bytes>, block_bytes: u32) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut room = 0;
    for mut part in parts {
        while !part.is_empty() {
            if room == 0 {
                let position = (offset % CHUNK_BYTES) as u32;
                room = (block_bytes - position % block_bytes).min(CHUNK_BYTES as u32 - position);
                let chunk = offset / CHUNK_BYTES;
                pieces.push(Piece { chunk, position, length: 0, parts: Vec::new() });
            }
            let taken = part.split_to(part.len().min(room as usize));
            let piece = pieces.last_mut().expect("pushed when there was no room");
            piece.length += taken.len() as u32;
            room -= taken.len() as u32;
            offset += taken.len() as u64;
            piece.parts.push(taken);
        }
    }
    pieces
}

impl PlannedObject {
    fn add(&mut self, piece: Piece) {
        match self.slices.last_mut() {
            Some((chunk, last)) if *chunk == piece.chunk && last.end() == piece.position => last.length += piece.length,
            _ => self.slices.push((
                piece.chunk,
                Slice {
                    position: piece.position,
                    length: piece.length,
                    object: ObjectId(0),
                    object_offset: self.plain_length,
                    object_length: 0,
                    kind: ObjectKind::Block,
                },
            )),
        }
        self.plain_length += piece.length;
        self.parts.extend(piece.parts);
    }

    /// Only now is known how long the object has become.
    fn finished(mut self) -> Self {
        for (_, slice) in &mut self.slices {
            slice.object_length = self.plain_length;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const BLOCK: u32 = 4 << 20;

    fn writes(extents: &[(u64, usize)]) -> DirtyMap {
        let mut map = DirtyMap::default();
        for (number, (offset, length)) in extents.iter().enumerate() {
            let data: Vec<u8> = (0..*length).map(|at| (at * 13 + number * 101) as u8).collect();
            map.insert(*offset, data.into());
        }
        map
    }

    #[test]
    fn a_stream_becomes_one_object_a_block() {
        let planned = plan_objects(&writes(&[(0, 10 << 20)]), BLOCK);
        let lengths: Vec<u32> = planned.iter().map(|object| object.plain_length).collect();
        assert_eq!(lengths, [4 << 20, 4 << 20, 2 << 20]);
        assert!(planned.iter().all(|object| object.slices.len() == 1));
    }

    #[test]
    fn scattered_small_writes_share_an_object_across_chunks() {
        let scattered: Vec<(u64, usize)> = (0..500).map(|n| (n * 1_000_000, 4096)).collect();
        let planned = plan_objects(&writes(&scattered), BLOCK);
        assert_eq!(planned.len(), 1);
        assert_eq!(planned[0].slices.len(), 500);
        assert_eq!(planned[0].slices[499].0, 499_000_000 / CHUNK_BYTES);
    }

    #[test]
    fn an_unaligned_run_within_one_object_is_one_slice_but_never_crosses_a_chunk() {
        let planned = plan_objects(&writes(&[(u64::from(BLOCK) - 100, 200)]), BLOCK);
        assert_eq!((planned.len(), planned[0].slices.len()), (1, 1));
        let planned = plan_objects(&writes(&[(CHUNK_BYTES - 100, 200)]), BLOCK);
        let slices: Vec<(u64, u32, u32)> =
            planned[0].slices.iter().map(|(chunk, slice)| (*chunk, slice.position, slice.length)).collect();
        assert_eq!(slices, [(0, CHUNK_BYTES as u32 - 100, 100), (1, 0, 100)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn planned_objects_hold_each_written_byte_once_and_nothing_else(
            extents in proptest::collection::vec((0u64..400_000, 1usize..150_000), 0..12),
            near_border in any::<bool>(),
            block_bytes in prop_oneof![Just(64 << 10), Just(100_000), Just(1 << 20)],
        ) {
            let base = if near_border { CHUNK_BYTES - 200_000 } else { 0 };
            let extents: Vec<(u64, usize)> = extents.into_iter().map(|(at, length)| (base + at, length)).collect();
            let map = writes(&extents);
            let mut found: BTreeMap<u64, u8> = BTreeMap::new();
            for object in plan_objects(&map, block_bytes) {
                let plain = object.parts.concat();
                prop_assert!(!plain.is_empty() && plain.len() <= block_bytes as usize);
                prop_assert_eq!(plain.len(), object.plain_length as usize);
                let mut used = 0;
                for (chunk, slice) in object.slices {
                    prop_assert!(u64::from(slice.end()) <= CHUNK_BYTES && slice.length > 0);
                    prop_assert_eq!(slice.object_length, object.plain_length);
                    prop_assert_eq!(slice.object_offset, used);
                    used += slice.length;
                    for at in 0..slice.length {
                        let offset = chunk * CHUNK_BYTES + u64::from(slice.position + at);
                        let byte = plain[(slice.object_offset + at) as usize];
                        prop_assert!(found.insert(offset, byte).is_none(), "byte {} twice", offset);
                    }
                }
                prop_assert_eq!(used, object.plain_length);
            }
            let mut written: BTreeMap<u64, u8> = BTreeMap::new();
            for (offset, parts) in map.runs() {
                written.extend((offset..).zip(parts.concat()));
            }
            prop_assert!(found == written);
        }
    }
}
