//! Frames: 128 KiB of plain bytes (the last one may be shorter), then CRC-32C in 4 bytes, little-endian.
//!
//! The check runs over object number (8 bytes), frame number (4 bytes) and then the plain bytes, so that a frame in
//! another's place is as wrong as a flipped bit.

use crate::footer::FOOTER_BYTES;
use crate::header::HEADER_BYTES;
use shoal_types::ObjectId;
use std::ops::Range;

pub(crate) const FRAME_BYTES_LOG2: u8 = 17;
/// Plain bytes of every frame but the last.
pub const FRAME_BYTES: u32 = 1 << FRAME_BYTES_LOG2;
pub(crate) const CHECK_BYTES: u32 = 4;

pub(crate) fn frame_count(plain_length: u32) -> u32 {
    plain_length.div_ceil(FRAME_BYTES)
}

/// Bytes of a whole stored object.
pub fn stored_length(plain_length: u32) -> u64 {
    let checks = u64::from(frame_count(plain_length)) * u64::from(CHECK_BYTES);
    HEADER_BYTES as u64 + u64::from(plain_length) + checks + FOOTER_BYTES as u64
}

/// Plain bytes of one frame.
pub(crate) fn frame_length(plain_length: u32, frame: u32) -> u32 {
    let start = u64::from(frame) * u64::from(FRAME_BYTES);
    u64::from(plain_length).saturating_sub(start).min(u64::from(FRAME_BYTES)) as u32
}

/// Where some whole frames lie in the stored object.
pub(crate) fn stored_range(plain_length: u32, frames: &Range<u32>) -> Range<u64> {
    let at = |frame: u32| {
        let plain = (u64::from(frame) * u64::from(FRAME_BYTES)).min(u64::from(plain_length));
        HEADER_BYTES as u64 + plain + u64::from(frame) * u64::from(CHECK_BYTES)
    };
    at(frames.start)..at(frames.end)
}

/// What a frame's check starts from, before its plain bytes.
pub(crate) fn check_seed(object: ObjectId, frame: u32) -> u32 {
    let mut place = [0; 12];
    place[..8].copy_from_slice(&object.0.to_le_bytes());
    place[8..].copy_from_slice(&frame.to_le_bytes());
    crc32c::crc32c(&place)
}
