//! Claims about whole objects: they come back as they were, and nothing else is taken for one.

use crate::{FRAME_BYTES, FormatError, FramePlan, decode_frames, decode_whole, encode, stored_length};
use bytes::Bytes;
use proptest::prelude::*;
use shoal_types::ObjectId;

const OBJECT: ObjectId = ObjectId(0x1122_3344_5566_7788);

/// Bytes that differ from place to place.
fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at as u32).wrapping_mul(0x9e37_79b9).to_be_bytes()[0]).collect()
}

fn stored(object: ObjectId, plain: &[u8]) -> Bytes {
    encode(object, &[Bytes::copy_from_slice(plain)]).concat().into()
}

#[test]
fn objects_come_back_as_they_were() {
    let frame = FRAME_BYTES as usize;
    for length in [0, 1, 4096, frame - 1, frame, frame + 1, 3 * frame, 3 * frame + 77] {
        let plain = content(length);
        let stored = stored(OBJECT, &plain);
        assert_eq!(stored.len() as u64, stored_length(length as u32));
        assert_eq!(decode_whole(OBJECT, stored).expect("intact").concat(), plain);
    }
}

#[test]
fn parts_are_neither_copied_nor_visible_in_the_result() {
    let plain = Bytes::from(content(2 * FRAME_BYTES as usize + 10));
    let parts = [plain.slice(..5), Bytes::new(), plain.slice(5..200_000), plain.slice(200_000..)];
    let segments = encode(OBJECT, &parts);
    assert_eq!(segments.concat(), stored(OBJECT, &plain));
    let inside = plain.as_ptr_range();
    let shared: usize = segments.iter().filter(|part| inside.contains(&part.as_ptr())).map(Bytes::len).sum();
    assert_eq!(shared, plain.len());
}

#[test]
fn golden_objects_stay_readable_and_are_written_alike() {
    let small: &[u8] = include_bytes!("../golden/v1-plain-small.object");
    let two_frames: &[u8] = include_bytes!("../golden/v1-plain-two-frames.object");
    for (golden, plain) in [(small, b"shoal of fish".to_vec()), (two_frames, vec![0x5a; FRAME_BYTES as usize + 3])] {
        assert_eq!(stored(OBJECT, &plain), golden);
        assert_eq!(decode_whole(OBJECT, Bytes::from_static(golden)).expect("golden").concat(), plain);
    }
}

#[test]
fn every_flipped_bit_and_every_truncation_is_refused() {
    let intact = stored(OBJECT, b"a small object");
    for bit in 0..intact.len() * 8 {
        let mut flipped = intact.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(decode_whole(OBJECT, flipped.into()).is_err(), "bit {bit}");
    }
    for length in 0..intact.len() {
        assert!(decode_whole(OBJECT, intact.slice(..length)).is_err(), "truncated to {length}");
    }
    let longer = [&intact[..], &[0]].concat();
    assert!(decode_whole(OBJECT, longer.into()).is_err());
}

#[test]
fn every_flipped_bit_in_a_ranged_read_is_refused() {
    let plain = content(300);
    let plan = FramePlan::for_range(300, 10..20);
    let range = plan.stored.start as usize..plan.stored.end as usize;
    let got = stored(OBJECT, &plain).slice(range);
    assert_eq!(plan.decode(OBJECT, got.clone()).expect("intact").concat(), plain[10..20]);
    for bit in 0..got.len() * 8 {
        let mut flipped = got.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let refused = plan.decode(OBJECT, flipped.into());
        assert_eq!(refused, Err(FormatError::FrameDamaged { object: OBJECT, frame: 0 }), "bit {bit}");
    }
    let short = plan.decode(OBJECT, got.slice(1..));
    assert!(matches!(short, Err(FormatError::LengthWrong { .. })), "{short:?}");
}

#[test]
fn frames_and_objects_in_each_others_place_are_refused() {
    let (one, other) = (ObjectId(1), ObjectId(2));
    let plain = vec![7; 2 * FRAME_BYTES as usize];
    let whole = stored(one, &plain);
    assert_eq!(decode_whole(other, whole.clone()), Err(FormatError::AnotherObject { object: other, found: one }));
    let plan = FramePlan::for_range(plain.len() as u32, 0..1);
    let first = whole.slice(plan.stored.start as usize..plan.stored.end as usize);
    let as_other = plan.decode(other, first.clone());
    assert_eq!(as_other, Err(FormatError::FrameDamaged { object: other, frame: 0 }));
    let as_second = decode_frames(one, plain.len() as u32, 1..2, first);
    assert_eq!(as_second, Err(FormatError::FrameDamaged { object: one, frame: 1 }));
}

#[test]
fn a_small_read_of_a_big_object_gets_one_frame() {
    let plan = FramePlan::for_range(4 << 20, 1_000_000..1_004_096);
    assert_eq!(plan.frames, 7..8);
    assert_eq!(plan.stored.end - plan.stored.start, u64::from(FRAME_BYTES) + 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_range_of_any_object_comes_back(length in 1u32..600_000, start in any::<u32>(), count in any::<u32>()) {
        let start = start % length;
        let end = start + 1 + count % (length - start);
        let plain = content(length as usize);
        let plan = FramePlan::for_range(length, start..end);
        let got = stored(OBJECT, &plain).slice(plan.stored.start as usize..plan.stored.end as usize);
        let parts = plan.decode(OBJECT, got).expect("intact");
        prop_assert_eq!(parts.concat(), &plain[start as usize..end as usize]);
    }

    #[test]
    fn foreign_bytes_are_refused_without_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        length in any::<u32>(),
        first in any::<u32>(),
        last in any::<u32>(),
    ) {
        prop_assert!(decode_whole(OBJECT, bytes.clone().into()).is_err());
        // A range of no frames and no bytes is the one harmless answer.
        let frames = decode_frames(OBJECT, length, first..last, bytes.into());
        prop_assert!(frames.is_err() || frames == Ok(Vec::new()));
    }

    #[test]
    fn a_forged_header_with_a_right_check_is_refused_without_panic(mut header in any::<[u8; 28]>(), rest in 0usize..200) {
        header[..12].copy_from_slice(&stored(OBJECT, b"")[..12]);
        header[16..28].copy_from_slice(&stored(OBJECT, b"")[16..28]);
        let mut bytes = header.to_vec();
        bytes.extend(crc32c::crc32c(&header).to_le_bytes());
        bytes.resize(32 + rest, 0);
        prop_assert!(decode_whole(OBJECT, bytes.into()).is_err());
    }
}
