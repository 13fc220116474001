//! Claims about whole objects, for each codec and cipher: they come back as they were, and nothing else is taken for one.

use crate::{FRAME_BYTES, FormatError, FramePlan, FrameTable, ObjectFormat};
use bytes::Bytes;
use proptest::prelude::*;
use shoal_encryption::{VolumeKey, VolumeSealer};
use shoal_types::{Cipher, Compression, ObjectId};
use std::ops::Range;

const OBJECT: ObjectId = ObjectId(0x1122_3344_5566_7788);
const FRAME: usize = FRAME_BYTES as usize;
const COMPRESSIONS: [Compression; 3] = [Compression::None, Compression::Lz4, Compression::Zstd(1)];
const CIPHERS: [Option<Cipher>; 3] = [None, Some(Cipher::Aes256Gcm), Some(Cipher::ChaCha20Poly1305)];
const VOLUME: &str = "0b0b0b0b-0000-4000-8000-000000000000";

fn format(compression: Compression, cipher: Option<Cipher>) -> ObjectFormat {
    let key = VolumeKey::from_bytes(&[0x42; 32]).unwrap();
    ObjectFormat::new(compression, cipher.map(|cipher| VolumeSealer::new(cipher, &key, VOLUME)))
}

fn formats() -> impl Iterator<Item = (String, ObjectFormat)> {
    let of = |compression, cipher: Option<Cipher>| {
        let cipher_name = cipher.map_or("none".to_owned(), |cipher| cipher.to_string());
        (format!("{compression}-{cipher_name}").replace(":1", ""), format(compression, cipher))
    };
    COMPRESSIONS.into_iter().flat_map(move |compression| CIPHERS.into_iter().map(move |cipher| of(compression, cipher)))
}

/// Bytes that differ from place to place: every other frame can be compressed.
fn content(length: usize) -> Vec<u8> {
    let noise = |at: usize| (at as u32).wrapping_mul(0x9e37_79b9).rotate_left(at as u32 % 31).to_be_bytes()[0];
    (0..length).map(|at| if (at / FRAME).is_multiple_of(2) { (at / 100) as u8 } else { noise(at) }).collect()
}

fn stored(format: &ObjectFormat, object: ObjectId, plain: &[u8]) -> Bytes {
    format.encode(object, &[Bytes::copy_from_slice(plain)]).concat().into()
}

/// As a reader does it: the table first, where there is one, then the frames.
fn read(format: &ObjectFormat, stored: &Bytes, length: u32, range: Range<u32>) -> Result<Vec<u8>, FormatError> {
    let cut = |range: &Range<u64>| stored.slice(range.start as usize..range.end as usize);
    let table = match format.even_table(length) {
        Some(table) => table,
        None => format.read_table(OBJECT, length, &cut(&FrameTable::stored_range(length)))?,
    };
    let plan = FramePlan::for_range(&table, range);
    Ok(format.decode(OBJECT, &plan, cut(&plan.stored))?.concat())
}

#[test]
fn objects_come_back_as_they_were() {
    for (name, format) in formats() {
        for length in [0, 1, 4096, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME, 3 * FRAME + 77] {
            let plain = content(length);
            let stored = stored(&format, OBJECT, &plain);
            assert!(format.stored_length(length as u32).contains(&(stored.len() as u64)), "{name}, {length}");
            assert_eq!(format.decode_whole(OBJECT, stored).expect("intact").concat(), plain, "{name}, {length}");
        }
    }
}

#[test]
fn compressed_objects_are_smaller_and_frames_of_noise_stay_as_they_are() {
    for compression in [Compression::Lz4, Compression::Zstd(3)] {
        for cipher in CIPHERS {
            let plain = content(2 * FRAME);
            let stored = stored(&format(compression, cipher), OBJECT, &plain);
            assert!(stored.len() < FRAME + FRAME / 20, "{compression}: {}", stored.len());
        }
    }
}

#[test]
fn parts_are_neither_copied_nor_visible_in_the_result() {
    let plain = Bytes::from(content(2 * FRAME + 10));
    let parts = [plain.slice(..5), Bytes::new(), plain.slice(5..200_000), plain.slice(200_000..)];
    let segments = ObjectFormat::PLAIN.encode(OBJECT, &parts);
    assert_eq!(segments.concat(), stored(&ObjectFormat::PLAIN, OBJECT, &plain));
    let inside = plain.as_ptr_range();
    let shared: usize = segments.iter().filter(|part| inside.contains(&part.as_ptr())).map(Bytes::len).sum();
    assert_eq!(shared, plain.len());
    for (name, format) in formats() {
        let stored: Bytes = format.encode(OBJECT, &parts).concat().into();
        assert_eq!(format.decode_whole(OBJECT, stored).unwrap().concat(), plain, "{name}");
    }
}

#[test]
fn golden_objects_stay_readable_and_plain_ones_are_written_alike() {
    let small: &[u8] = include_bytes!("../golden/v1-plain-small.object");
    let two_frames: &[u8] = include_bytes!("../golden/v1-plain-two-frames.object");
    for (golden, plain) in [(small, b"shoal of fish".to_vec()), (two_frames, vec![0x5a; FRAME + 3])] {
        assert_eq!(stored(&ObjectFormat::PLAIN, OBJECT, &plain), golden);
        assert_eq!(ObjectFormat::PLAIN.decode_whole(OBJECT, Bytes::from_static(golden)).unwrap().concat(), plain);
    }
    for (name, format) in formats().filter(|(name, _)| name != "none-none") {
        let path = format!("{}/golden/v1-{name}.object", env!("CARGO_MANIFEST_DIR"));
        let golden = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(format.decode_whole(OBJECT, golden.into()).unwrap().concat(), golden_content(), "{name}");
    }
}

/// Two frames, of which the second does not shrink.
fn golden_content() -> Vec<u8> {
    let mut plain = vec![0x5a; FRAME];
    plain.extend_from_slice(b"shoal of fish");
    plain
}

#[test]
fn every_flipped_bit_and_every_truncation_is_refused() {
    for (name, format) in formats() {
        let intact = stored(&format, OBJECT, b"a small object, a small object, a small object, a small object");
        for bit in 0..intact.len() * 8 {
            let mut flipped = intact.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let error = format.decode_whole(OBJECT, flipped.into()).expect_err(&format!("{name}, bit {bit}"));
            assert!(error.to_string().contains(&OBJECT.to_string()), "{error}");
        }
        for length in 0..intact.len() {
            assert!(format.decode_whole(OBJECT, intact.slice(..length)).is_err(), "{name}, truncated to {length}");
        }
        let longer = [&intact[..], &[0]].concat();
        assert!(format.decode_whole(OBJECT, longer.into()).is_err());
    }
}

#[test]
fn every_flipped_bit_in_a_ranged_read_is_refused() {
    for (name, format) in formats() {
        let plain = b"some text that shrinks, some text that shrinks, some text that shrinks".repeat(3);
        let length = plain.len() as u32;
        let intact = stored(&format, OBJECT, &plain);
        assert_eq!(read(&format, &intact, length, 10..20).expect("intact"), plain[10..20]);
        let frame = read_places(&format, &intact, length);
        for bit in frame.start * 8..frame.end * 8 {
            let mut flipped = intact.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&format, &flipped.into(), length, 10..20).is_err(), "{name}, bit {bit}");
        }
    }
}

/// The bytes that a reader of the first frame looks at.
fn read_places(format: &ObjectFormat, stored: &Bytes, length: u32) -> Range<usize> {
    match format.even_table(length) {
        Some(table) => {
            let place = FramePlan::for_range(&table, 0..1).stored;
            place.start as usize..place.end as usize
        }
        None => 0..stored.len() - 40,
    }
}

#[test]
fn frames_and_objects_in_each_others_place_are_refused() {
    for (name, format) in formats() {
        let (one, other) = (ObjectId(1), ObjectId(2));
        let plain = vec![7; 2 * FRAME];
        let whole = stored(&format, one, &plain);
        let swapped = format.decode_whole(other, whole.clone());
        assert_eq!(swapped, Err(FormatError::AnotherObject { object: other, found: one }), "{name}");
        let table = match format.even_table(plain.len() as u32) {
            Some(table) => table,
            None => format.read_table(one, plain.len() as u32, &whole).unwrap(),
        };
        let plan = FramePlan::for_range(&table, 0..1);
        let first = whole.slice(plan.stored.start as usize..plan.stored.end as usize);
        assert!(format.decode(one, &plan, first.clone()).is_ok());
        assert!(format.decode(other, &plan, first.clone()).is_err(), "{name}");
        let second = FramePlan::for_range(&table, FRAME_BYTES..FRAME_BYTES + 1);
        let refused = format.decode(one, &second, first).unwrap_err();
        assert!(refused.to_string().contains("frame 1"), "{name}: {refused}");
    }
}

#[test]
fn another_volumes_key_and_another_cipher_open_nothing() {
    let plain = content(1000);
    let key = VolumeKey::generate();
    for cipher in [Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305] {
        let stored = stored(&format(Compression::None, Some(cipher)), OBJECT, &plain);
        let foreign = ObjectFormat::new(Compression::None, Some(VolumeSealer::new(cipher, &key, VOLUME)));
        let refused = foreign.decode_whole(OBJECT, stored.clone());
        assert_eq!(refused, Err(FormatError::FrameNotSealedByUs { object: OBJECT, frame: 0 }));
        for other in CIPHERS.into_iter().filter(|other| *other != Some(cipher)) {
            let refused = format(Compression::None, other).decode_whole(OBJECT, stored.clone());
            assert!(matches!(refused, Err(FormatError::CipherWrong { .. })), "{refused:?}");
        }
    }
}

#[test]
fn nothing_of_the_plain_bytes_shows_in_an_encrypted_object() {
    for compression in COMPRESSIONS {
        for cipher in CIPHERS.into_iter().flatten() {
            let plain = b"attack at dawn, ".repeat(20);
            let one = stored(&format(compression, Some(cipher)), OBJECT, &plain);
            assert!(!one.windows(6).any(|window| window == b"attack"));
            assert_ne!(one, stored(&format(compression, Some(cipher)), OBJECT, &plain), "a nonce was used twice");
        }
    }
}

#[test]
fn a_small_read_of_a_big_object_gets_one_frame() {
    for cipher in CIPHERS {
        let format = format(Compression::None, cipher);
        let table = format.even_table(4 << 20).unwrap();
        let plan = FramePlan::for_range(&table, 1_000_000..1_004_096);
        assert_eq!(plan.frames, 7..8);
        assert!(plan.stored.end - plan.stored.start <= u64::from(FRAME_BYTES) + 28);
    }
    // The table of a compressed one costs a hundredth of a frame more.
    assert!(FrameTable::stored_range(4 << 20).end <= 200);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_range_of_any_object_comes_back(
        length in 1u32..600_000,
        start in any::<u32>(),
        count in any::<u32>(),
        compression in prop::sample::select(&COMPRESSIONS[..]),
        cipher in prop::sample::select(&CIPHERS[..]),
    ) {
        let start = start % length;
        let end = start + 1 + count % (length - start);
        let plain = content(length as usize);
        let expected = &plain[start as usize..end as usize];
        let format = format(compression, cipher);
        let stored = stored(&format, OBJECT, &plain);
        prop_assert_eq!(&read(&format, &stored, length, start..end).unwrap(), expected);
        let from_whole = format.decode_from_whole(OBJECT, length, start..end, stored.clone()).unwrap();
        prop_assert_eq!(&from_whole.concat(), expected);
        prop_assert!(format.decode_from_whole(OBJECT, length + 1, start..end, stored).is_err());
    }

    #[test]
    fn foreign_bytes_are_refused_without_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        length in 1u32..1 << 20,
        start in any::<u32>(),
        compression in prop::sample::select(&COMPRESSIONS[..]),
        cipher in prop::sample::select(&CIPHERS[..]),
    ) {
        let format = format(compression, cipher);
        let bytes = Bytes::from(bytes);
        prop_assert!(format.decode_whole(OBJECT, bytes.clone()).is_err());
        match format.even_table(length) {
            Some(table) => {
                let plan = FramePlan::for_range(&table, start % length..length);
                prop_assert!(format.decode(OBJECT, &plan, bytes).is_err());
            }
            None => prop_assert!(format.read_table(OBJECT, length, &bytes).is_err()),
        }
    }

    /// Everything but the content of frames has a check that anybody can make right.
    #[test]
    fn forged_headers_and_tables_with_right_checks_are_refused_without_panic(
        codec in 0u8..3,
        length in any::<u32>(),
        entries in proptest::collection::vec(any::<u32>(), 0..6),
        rest in 0usize..200,
        cipher in prop::sample::select(&CIPHERS[..]),
    ) {
        let format = format(Compression::Lz4, cipher);
        let length = if entries.is_empty() { length } else { (entries.len() * FRAME) as u32 };
        let mut bytes = stored(&format, OBJECT, b"")[..28].to_vec();
        bytes[9] = codec;
        bytes[12..16].copy_from_slice(&length.to_le_bytes());
        let table = if codec == 0 { 0 } else { length.div_ceil(FRAME_BYTES) * 4 + 4 };
        bytes[24..28].copy_from_slice(&table.to_le_bytes());
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        let entries: Vec<u8> = entries.iter().flat_map(|entry| (entry & 0x8001_ffff).to_le_bytes()).collect();
        bytes.extend_from_slice(&entries);
        bytes.extend(crc32c::crc32c_append(crc32c::crc32c(&OBJECT.0.to_le_bytes()), &entries).to_le_bytes());
        bytes.resize(bytes.len() + rest, 0);
        prop_assert!(format.decode_whole(OBJECT, bytes.clone().into()).is_err());
        if let Ok(table) = format.read_table(OBJECT, length, &bytes) {
            let plan = FramePlan::for_range(&table, 0..length);
            let place = plan.stored.start as usize..(plan.stored.end as usize).min(bytes.len());
            prop_assert!(format.decode(OBJECT, &plan, Bytes::from(bytes).slice(place)).is_err());
        }
    }
}
