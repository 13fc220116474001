//! The header: the first 32 bytes of an object. Numbers are little-endian.
//!
//! | bytes  | what |
//! |--------|------|
//! | 0..8   | magic `SHOALOBJ` |
//! | 8      | format version, 1 |
//! | 9      | codec: 0 none; others to come |
//! | 10     | cipher: 0 none; others to come |
//! | 11     | frame size as a power of two, 17 |
//! | 12..16 | plain length of the object |
//! | 16..24 | object number |
//! | 24..28 | bytes between header and frame 0, 0: room for what a cipher needs (a wrapped key) |
//! | 28..32 | CRC-32C of bytes 0..28 |
//!
//! Every version to come keeps this form of its first 32 bytes, so that an older reader can tell "too new" from "damaged".

use crate::FormatError;
use crate::frame::FRAME_BYTES_LOG2;
use shoal_types::ObjectId;

pub(crate) const HEADER_BYTES: usize = 32;
const MAGIC: [u8; 8] = *b"SHOALOBJ";
const VERSION: u8 = 1;
const CODEC_NONE: u8 = 0;
const CIPHER_NONE: u8 = 0;

pub(crate) fn encode_header(object: ObjectId, plain_length: u32) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[0..8].copy_from_slice(&MAGIC);
    header[8] = VERSION;
    header[9] = CODEC_NONE;
    header[10] = CIPHER_NONE;
    header[11] = FRAME_BYTES_LOG2;
    header[12..16].copy_from_slice(&plain_length.to_le_bytes());
    header[16..24].copy_from_slice(&object.0.to_le_bytes());
    let check = crc32c::crc32c(&header[..28]);
    header[28..32].copy_from_slice(&check.to_le_bytes());
    header
}

/// The plain length, if this is the header of `object` in a form we read.
pub(crate) fn decode_header(object: ObjectId, header: &[u8; HEADER_BYTES]) -> Result<u32, FormatError> {
    if header[0..8] != MAGIC {
        return Err(FormatError::NotAnObject { object });
    }
    if u32_at(header, 28) != crc32c::crc32c(&header[..28]) {
        return Err(FormatError::HeaderDamaged { object });
    }
    match header[8..12] {
        [version, ..] if version != VERSION => {
            return Err(FormatError::VersionUnknown { object, found: version, known: VERSION });
        }
        [_, codec, ..] if codec != CODEC_NONE => return Err(FormatError::CodecUnknown { object, found: codec }),
        [_, _, cipher, _] if cipher != CIPHER_NONE => return Err(FormatError::CipherUnknown { object, found: cipher }),
        [_, _, _, frame] if frame != FRAME_BYTES_LOG2 => {
            return Err(FormatError::FrameSizeUnknown { object, found: frame });
        }
        _ => {}
    }
    let found = ObjectId(u64_at(header, 16));
    if found != object {
        return Err(FormatError::AnotherObject { object, found });
    }
    if u32_at(header, 24) != 0 {
        return Err(FormatError::HeaderDamaged { object });
    }
    Ok(u32_at(header, 12))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes are four bytes"))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes are eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: ObjectId = ObjectId(0x0102_0304_0506_0708);

    /// A header with one byte changed and its check made right again, as a newer writer would leave it.
    fn changed(at: usize, value: u8) -> [u8; HEADER_BYTES] {
        let mut header = encode_header(OBJECT, 5);
        header[at] = value;
        let check = crc32c::crc32c(&header[..28]);
        header[28..32].copy_from_slice(&check.to_le_bytes());
        header
    }

    #[test]
    fn what_newer_writers_may_do_is_refused_by_name() {
        let object = OBJECT;
        for (at, value, error) in [
            (8, 2, FormatError::VersionUnknown { object, found: 2, known: 1 }),
            (9, 3, FormatError::CodecUnknown { object, found: 3 }),
            (10, 1, FormatError::CipherUnknown { object, found: 1 }),
            (11, 20, FormatError::FrameSizeUnknown { object, found: 20 }),
            (16, 9, FormatError::AnotherObject { object, found: ObjectId(0x0102_0304_0506_0709) }),
            (24, 1, FormatError::HeaderDamaged { object }),
        ] {
            assert_eq!(decode_header(OBJECT, &changed(at, value)), Err(error));
        }
    }
}
