//! The footer: the last 40 bytes of an object. Numbers are little-endian.
//!
//! | bytes  | what |
//! |--------|------|
//! | 0..4   | flags; bit 0: a frame table is present |
//! | 4..8   | plain length of the object |
//! | 8..16  | where the frame table starts, 32; 0 without one |
//! | 16..20 | bytes of the frame table; 0 without one |
//! | 20..28 | object number |
//! | 28..36 | magic `SHOALEND` |
//! | 36..40 | CRC-32C of bytes 0..36 |

use crate::FormatError;
use crate::header::{HEADER_BYTES, Header};
use shoal_types::ObjectId;

pub(crate) const FOOTER_BYTES: usize = 40;
const MAGIC: [u8; 8] = *b"SHOALEND";
const HAS_TABLE: u32 = 1;

/// It follows from the header.
pub(crate) fn encode_footer(object: ObjectId, header: &Header) -> [u8; FOOTER_BYTES] {
    let mut footer = [0; FOOTER_BYTES];
    if header.codec.is_some() {
        footer[0..4].copy_from_slice(&HAS_TABLE.to_le_bytes());
        footer[8..16].copy_from_slice(&(HEADER_BYTES as u64).to_le_bytes());
        footer[16..20].copy_from_slice(&(header.table_bytes() as u32).to_le_bytes());
    }
    footer[4..8].copy_from_slice(&header.object_length.to_le_bytes());
    footer[20..28].copy_from_slice(&object.0.to_le_bytes());
    footer[28..36].copy_from_slice(&MAGIC);
    let check = crc32c::crc32c(&footer[..36]);
    footer[36..40].copy_from_slice(&check.to_le_bytes());
    footer
}

/// Accepts exactly the footer that belongs to the header.
pub(crate) fn check_footer(object: ObjectId, header: &Header, footer: &[u8]) -> Result<(), FormatError> {
    match footer == encode_footer(object, header) {
        true => Ok(()),
        false => Err(FormatError::FooterDamaged { object }),
    }
}
