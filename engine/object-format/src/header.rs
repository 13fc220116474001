//! The header: the first 32 bytes of an object. Numbers are little-endian.
//!
//! | bytes  | what |
//! |--------|------|
//! | 0..8   | magic `SHOALOBJ` |
//! | 8      | format version, 1 |
//! | 9      | codec of compressed frames: 0 none, 1 LZ4 block, 2 Zstandard frame |
//! | 10     | cipher: 0 none, 1 AES-256-GCM, 2 ChaCha20-Poly1305 |
//! | 11     | frame size as a power of two, 17 |
//! | 12..16 | plain length of the object |
//! | 16..24 | object number |
//! | 24..28 | bytes of the frame table that follows; 0 without a codec |
//! | 28..32 | CRC-32C of bytes 0..28 |
//!
//! Every version to come keeps this form of its first 32 bytes, so that an older reader can tell "too new" from "damaged".

use crate::FormatError;
use crate::codec::Codec;
use crate::frame::FRAME_BYTES_LOG2;
use crate::table::table_bytes;
use shoal_types::{Cipher, ObjectId};

pub(crate) const HEADER_BYTES: usize = 32;
const MAGIC: [u8; 8] = *b"SHOALOBJ";
const VERSION: u8 = 1;

/// What a header says beside the object's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    pub codec: Option<Codec>,
    pub cipher: Option<Cipher>,
    pub object_length: u32,
}

impl Header {
    /// Bytes between header and frame 0.
    pub fn table_bytes(&self) -> usize {
        self.codec.map_or(0, |_| table_bytes(self.object_length))
    }

    pub fn encode(&self, object: ObjectId) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[0..8].copy_from_slice(&MAGIC);
        header[8] = VERSION;
        header[9] = self.codec.map_or(0, |codec| codec as u8);
        header[10] = match self.cipher {
            None => 0,
            Some(Cipher::Aes256Gcm) => 1,
            Some(Cipher::ChaCha20Poly1305) => 2,
        };
        header[11] = FRAME_BYTES_LOG2;
        header[12..16].copy_from_slice(&self.object_length.to_le_bytes());
        header[16..24].copy_from_slice(&object.0.to_le_bytes());
        header[24..28].copy_from_slice(&(self.table_bytes() as u32).to_le_bytes());
        let check = crc32c::crc32c(&header[..28]);
        header[28..32].copy_from_slice(&check.to_le_bytes());
        header
    }

    /// If these bytes begin with the header of `object` in a form we read.
    pub fn decode(object: ObjectId, stored: &[u8]) -> Result<Self, FormatError> {
        let Some(header) = stored.first_chunk::<HEADER_BYTES>() else {
            return Err(FormatError::LengthWrong { object, expected: HEADER_BYTES as u64, found: stored.len() as u64 });
        };
        if header[0..8] != MAGIC {
            return Err(FormatError::NotAnObject { object });
        }
        if u32_at(header, 28) != crc32c::crc32c(&header[..28]) {
            return Err(FormatError::HeaderDamaged { object });
        }
        if header[8] != VERSION {
            return Err(FormatError::VersionUnknown { object, found: header[8], known: VERSION });
        }
        let codec = match header[9] {
            0 => None,
            1 => Some(Codec::Lz4),
            2 => Some(Codec::Zstd),
            found => return Err(FormatError::CodecUnknown { object, found }),
        };
        let cipher = match header[10] {
            0 => None,
            1 => Some(Cipher::Aes256Gcm),
            2 => Some(Cipher::ChaCha20Poly1305),
            found => return Err(FormatError::CipherUnknown { object, found }),
        };
        if header[11] != FRAME_BYTES_LOG2 {
            return Err(FormatError::FrameSizeUnknown { object, found: header[11] });
        }
        let found = ObjectId(u64_at(header, 16));
        if found != object {
            return Err(FormatError::AnotherObject { object, found });
        }
        let decoded = Header { codec, cipher, object_length: u32_at(header, 12) };
        match u32_at(header, 24) as usize == decoded.table_bytes() {
            true => Ok(decoded),
            false => Err(FormatError::HeaderDamaged { object }),
        }
    }
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
        let mut header = Header { codec: None, cipher: None, object_length: 5 }.encode(OBJECT);
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
            (10, 3, FormatError::CipherUnknown { object, found: 3 }),
            (11, 20, FormatError::FrameSizeUnknown { object, found: 20 }),
            (16, 9, FormatError::AnotherObject { object, found: ObjectId(0x0102_0304_0506_0709) }),
            (24, 1, FormatError::HeaderDamaged { object }),
        ] {
            assert_eq!(Header::decode(OBJECT, &changed(at, value)), Err(error));
        }
    }
}
