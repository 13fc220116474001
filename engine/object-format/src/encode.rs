//! Encoding: file bytes stay where they are if they are stored as they are, and the rest is laid out in one small buffer
//! around them. Compressed or encrypted frames go into a buffer of the object's own.

use crate::codec::compressed;
use crate::footer::{FOOTER_BYTES, encode_footer};
use crate::frame::{CHECK_BYTES, bound, check_seed, frame_count, frame_length};
use crate::header::HEADER_BYTES;
use crate::table::write_table;
use crate::{OBJECT_BYTES_MAX, ObjectFormat};
use bytes::{Buf, Bytes};
use shoal_encryption::NonceBase;
use shoal_types::{Compression, ObjectId};
use std::borrow::Cow;
use std::collections::VecDeque;

impl ObjectFormat {
    /// The stored form of `parts` put one after the other, as segments to write in order.
    pub fn encode(&self, object: ObjectId, parts: &[Bytes]) -> Vec<Bytes> {
        let length: u64 = parts.iter().map(|part| part.len() as u64).sum();
        assert!(length <= u64::from(OBJECT_BYTES_MAX), "{length} bytes planned into one object");
        let rest = parts.iter().filter(|part| !part.is_empty()).cloned().collect();
        match (self.compression, &self.sealer) {
            (Compression::None, None) => self.encode_around(object, length as u32, rest),
            _ => vec![self.encode_anew(object, length as u32, rest)],
        }
    }

    fn encode_around(&self, object: ObjectId, object_length: u32, mut rest: VecDeque<Bytes>) -> Vec<Bytes> {
        let frames = frame_count(object_length);
        let header = self.header(object_length);
        let mut bones = Vec::with_capacity(HEADER_BYTES + frames as usize * CHECK_BYTES + FOOTER_BYTES);
        bones.extend_from_slice(&header.encode(object));
        let mut flesh: Vec<Vec<Bytes>> = Vec::with_capacity(frames as usize);
        for frame in 0..frames {
            let pieces = cut(&mut rest, frame_length(object_length, frame) as usize);
            bones.extend_from_slice(&check(object, frame, pieces.iter().map(|piece| &piece[..])));
            flesh.push(pieces);
        }
        bones.extend_from_slice(&encode_footer(object, &header));

        let mut bones = Bytes::from(bones);
        let mut segments = Vec::with_capacity(flesh.iter().map(|pieces| pieces.len() + 1).sum::<usize>() + 2);
        segments.push(bones.split_to(HEADER_BYTES));
        for pieces in flesh {
            segments.extend(pieces);
            segments.push(bones.split_to(CHECK_BYTES));
        }
        segments.push(bones);
        segments
    }

    fn encode_anew(&self, object: ObjectId, object_length: u32, mut rest: VecDeque<Bytes>) -> Bytes {
        let header = self.header(object_length);
        let frames = frame_count(object_length);
        let seal = self.sealer.as_ref().map(|sealer| (sealer.object(object), NonceBase::random()));
        let mut stored = Vec::with_capacity(*self.stored_length(object_length).end() as usize);
        stored.extend_from_slice(&header.encode(object));
        stored.resize(HEADER_BYTES + header.table_bytes(), 0);
        let mut table = Vec::with_capacity(frames as usize);
        for frame in 0..frames {
            let start = stored.len();
            let pieces = cut(&mut rest, frame_length(object_length, frame) as usize);
            let plain = match &pieces[..] {
                [one] => Cow::Borrowed(&one[..]),
                _ => Cow::Owned(pieces.concat()),
            };
            let is_compressed = compressed(self.compression, &plain, |smaller| {
                let codec = smaller.and(header.codec);
                let bytes = smaller.unwrap_or(&plain);
                match &seal {
                    Some((key, base)) => {
                        key.seal(*base, frame, &bound(frame, object_length, codec), &[bytes], &mut stored);
                    }
                    None => {
                        stored.extend_from_slice(bytes);
                        stored.extend_from_slice(&check(object, frame, [bytes]));
                    }
                }
                codec.is_some()
            });
            table.push((stored.len() - start, is_compressed));
        }
        if header.codec.is_some() {
            write_table(object, &table, &mut stored[HEADER_BYTES..HEADER_BYTES + header.table_bytes()]);
        }
        stored.extend_from_slice(&encode_footer(object, &header));
        stored.into()
    }
}

fn check<'a>(object: ObjectId, frame: u32, pieces: impl IntoIterator<Item = &'a [u8]>) -> [u8; CHECK_BYTES] {
    let seed = check_seed(object, frame);
    pieces.into_iter().fold(seed, crc32c::crc32c_append).to_le_bytes()
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
