//! Decoding: what was read is checked frame by frame and handed back as slices of itself.

use crate::FormatError;
use crate::footer::{FOOTER_BYTES, check_footer};
use crate::frame::{CHECK_BYTES, check_seed, frame_count, frame_length, stored_length, stored_range};
use crate::header::{HEADER_BYTES, decode_header, u32_at};
use bytes::Bytes;
use shoal_types::ObjectId;
use std::ops::Range;

/// The plain bytes of whole frames, one `Bytes` a frame.
///
/// `stored` must be exactly those frames as `FramePlan` locates them. `object_length` comes from the slice record, and
/// the header is not looked at: an object of a form to come fails its checks here.
pub fn decode_frames(
    object: ObjectId,
    object_length: u32,
    frames: Range<u32>,
    stored: Bytes,
) -> Result<Vec<Bytes>, FormatError> {
    let place = stored_range(object_length, &frames);
    let expected = place.end.saturating_sub(place.start);
    if stored.len() as u64 != expected {
        return Err(FormatError::LengthWrong { object, expected, found: stored.len() as u64 });
    }
    let mut plain = Vec::with_capacity(frames.len());
    let mut at = 0;
    for frame in frames {
        let end = at + frame_length(object_length, frame) as usize;
        let bytes = stored.slice(at..end);
        if crc32c::crc32c_append(check_seed(object, frame), &bytes) != u32_at(&stored, end) {
            return Err(FormatError::FrameDamaged { object, frame });
        }
        plain.push(bytes);
        at = end + CHECK_BYTES as usize;
    }
    Ok(plain)
}

/// The plain bytes of a whole stored object, one `Bytes` a frame, with everything checked that can be.
pub fn decode_whole(object: ObjectId, stored: Bytes) -> Result<Vec<Bytes>, FormatError> {
    let found = stored.len() as u64;
    let Some(header) = stored.first_chunk::<HEADER_BYTES>() else {
        return Err(FormatError::LengthWrong { object, expected: stored_length(0), found });
    };
    let plain_length = decode_header(object, header)?;
    let expected = stored_length(plain_length);
    if found != expected {
        return Err(FormatError::LengthWrong { object, expected, found });
    }
    let footer_start = stored.len() - FOOTER_BYTES;
    check_footer(object, plain_length, &stored[footer_start..])?;
    let frames = 0..frame_count(plain_length);
    decode_frames(object, plain_length, frames, stored.slice(HEADER_BYTES..footer_start))
}
