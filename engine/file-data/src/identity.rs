//! The identity of a block's bytes, under which the local cache keeps them.

use crate::{Extent, Source};
use twox_hash::XxHash3_64;

/// What the extents' bytes are made of, as one number: equal numbers, equal bytes (but for one chance in 2^64).
///
/// Objects never change, so it's enough to hash where the bytes come from. Holes leave no trace, so that a block keeps
/// its identity when zeros behind it become explicit. Stored beside cached bytes: the value of a given list must never
/// change between versions.
pub fn block_identity(extents: &[Extent]) -> u64 {
    let mut places = Vec::with_capacity(extents.len() * PLACE_BYTES);
    for extent in extents {
        if let Source::Object { object, object_offset, .. } = extent.source {
            places.extend_from_slice(&extent.position.to_le_bytes());
            places.extend_from_slice(&extent.length.to_le_bytes());
            places.extend_from_slice(&object.0.to_le_bytes());
            places.extend_from_slice(&object_offset.to_le_bytes());
        }
    }
    XxHash3_64::oneshot(&places)
}

const PLACE_BYTES: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve;
    use shoal_types::{ObjectId, ObjectKind, Slice};

    fn slice(position: u32, length: u32, object: u64, object_offset: u32) -> Slice {
        let kind = ObjectKind::Block;
        Slice { position, length, object: ObjectId(object), object_offset, object_length: 4 << 20, kind }
    }

    fn identity(list: &[Slice]) -> u64 {
        block_identity(&resolve(list, 0..4 << 20))
    }

    #[test]
    fn any_difference_in_place_or_object_changes_the_identity() {
        let different = [
            identity(&[]),
            identity(&[slice(0, 100, 1, 0)]),
            identity(&[slice(1, 100, 1, 0)]),
            identity(&[slice(0, 101, 1, 0)]),
            identity(&[slice(0, 100, 2, 0)]),
            identity(&[slice(0, 100, 1, 1)]),
            identity(&[slice(0, 100, 1, 0), slice(200, 1, 1, 0)]),
        ];
        for (at, one) in different.iter().enumerate() {
            assert!(!different[at + 1..].contains(one), "number {at} is like a later one");
        }
    }

    #[test]
    fn the_same_bytes_told_in_pieces_or_with_holes_are_the_same_block() {
        let whole = identity(&[slice(0, 100, 1, 0)]);
        assert_eq!(identity(&[slice(0, 40, 1, 0), slice(40, 60, 1, 40)]), whole);
        assert_eq!(identity(&[slice(0, 100, 1, 0), Slice::hole(100, 50)]), whole);
        assert_eq!(identity(&[slice(0, 200, 9, 0), Slice::hole(100, 100), slice(0, 100, 1, 0)]), whole);
    }

    #[test]
    fn identities_are_the_same_in_every_version() {
        assert_eq!(identity(&[]), 0x2d06_8005_38d3_94c2);
        assert_eq!(identity(&[slice(0, 100, 1, 0), slice(4096, 8192, 77, 512)]), 0xb703_cb40_71ec_f2f8);
    }
}
