//! Encoding: file bytes stay where they are, the rest is laid out in one small buffer around them.

use crate::OBJECT_BYTES_MAX;
use crate::footer::encode_footer;
use crate::frame::{CHECK_BYTES, check_seed, frame_count, frame_length};
use crate::header::{HEADER_BYTES, encode_header};
use bytes::{Buf, Bytes};
use shoal_types::ObjectId;
use std::collections::VecDeque;

/// The stored form of `parts` put one after the other, as segments to write in order.
pub fn encode(object: ObjectId, parts: &[Bytes]) -> Vec<Bytes> {
    let plain_length: u64 = parts.iter().map(|part| part.len() as u64).sum();
    assert!(plain_length <= u64::from(OBJECT_BYTES_MAX), "{plain_length} bytes planned into one object");
    let plain_length = plain_length as u32;
    let frames = frame_count(plain_length);

    let mut rest: VecDeque<Bytes> = parts.iter().filter(|part| !part.is_empty()).cloned().collect();
    let mut bones = Vec::with_capacity(HEADER_BYTES + (frames * CHECK_BYTES) as usize + crate::footer::FOOTER_BYTES);
    bones.extend_from_slice(&encode_header(object, plain_length));
    let mut flesh: Vec<Vec<Bytes>> = Vec::with_capacity(frames as usize);
    for frame in 0..frames {
        let pieces = cut(&mut rest, frame_length(plain_length, frame) as usize);
        let seed = check_seed(object, frame);
        let check = pieces.iter().fold(seed, |check, piece| crc32c::crc32c_append(check, piece));
        bones.extend_from_slice(&check.to_le_bytes());
        flesh.push(pieces);
    }
    bones.extend_from_slice(&encode_footer(object, plain_length));

    let mut bones = Bytes::from(bones);
    let mut segments = Vec::with_capacity(parts.len() + 2 * frames as usize + 2);
    segments.push(bones.split_to(HEADER_BYTES));
    for pieces in flesh {
        segments.extend(pieces);
        segments.push(bones.split_to(CHECK_BYTES as usize));
    }
    segments.push(bones);
    segments
}

/// Takes the first `length` bytes off `rest`.
fn cut(rest: &mut VecDeque<Bytes>, mut length: usize) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    while length > 0 {
        let first = rest.front_mut().expect("frames add up to the parts");
        let count = length.min(first.len());
        pieces.push(first.split_to(count));
        length -= count;
        if !first.has_remaining() {
            rest.pop_front();
        }
    }
    pieces
}
