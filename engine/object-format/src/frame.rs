//! Frames: 128 KiB of plain bytes (the last one may be shorter), perhaps compressed, then made safe against change.
//!
//! | volume        | a frame is |
//! |---------------|------------|
//! | not encrypted | bytes, then CRC-32C in 4 bytes, little-endian, over object number (8 bytes), frame number (4) and bytes |
//! | encrypted     | nonce (12), encrypted bytes, tag (16), with frame number (4), plain length of the object (4) and codec (1) as associated data; the object is bound by the key |
//!
//! So a frame in another's place is as wrong as a flipped bit.

use crate::codec::Codec;
use shoal_encryption::SEAL_BYTES;
use shoal_types::ObjectId;

pub(crate) const FRAME_BYTES_LOG2: u8 = 17;
/// Plain bytes of every frame but the last.
pub const FRAME_BYTES: u32 = 1 << FRAME_BYTES_LOG2;
pub(crate) const CHECK_BYTES: usize = 4;

/// How one frame is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FrameForm {
    /// `None`: as it is.
    pub codec: Option<Codec>,
    pub sealed: bool,
}

impl FrameForm {
    /// Stored bytes of a frame of `plain` bytes that is not compressed.
    pub fn stored_bytes(self, plain: u32) -> u64 {
        u64::from(plain) + if self.sealed { SEAL_BYTES } else { CHECK_BYTES } as u64
    }
}

pub(crate) fn frame_count(object_length: u32) -> u32 {
    object_length.div_ceil(FRAME_BYTES)
}

/// Plain bytes of one frame.
pub(crate) fn frame_length(object_length: u32, frame: u32) -> u32 {
    let start = u64::from(frame) * u64::from(FRAME_BYTES);
    u64::from(object_length).saturating_sub(start).min(u64::from(FRAME_BYTES)) as u32
}

/// What a frame's check starts from, before its bytes.
pub(crate) fn check_seed(object: ObjectId, frame: u32) -> u32 {
    let mut place = [0; 12];
    place[..8].copy_from_slice(&object.0.to_le_bytes());
    place[8..].copy_from_slice(&frame.to_le_bytes());
    crc32c::crc32c(&place)
}

/// What a sealed frame is bound to, beside the object and the volume of its key.
pub(crate) fn bound(frame: u32, object_length: u32, codec: Option<Codec>) -> [u8; 9] {
    let mut bound = [0; 9];
    bound[..4].copy_from_slice(&frame.to_le_bytes());
    bound[4..8].copy_from_slice(&object_length.to_le_bytes());
    bound[8] = codec.map_or(0, |codec| codec as u8);
    bound
}
