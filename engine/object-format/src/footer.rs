//! The footer: the last 40 bytes of an object. Numbers are little-endian.
//!
//! | bytes  | what |
//! |--------|------|
//! | 0..4   | flags, 0; bit 0 will say that a frame table is present |
//! | 4..8   | plain length of the object |
//! | 8..16  | where the frame table starts, 0: it follows from the plain length and is left out |
//! | 16..20 | bytes of the frame table, 0 |
//! | 20..28 | object number |
//! | 28..36 | magic `SHOALEND` |
//! | 36..40 | CRC-32C of bytes 0..36 |

use crate::FormatError;
use crate::header::{u32_at, u64_at};
use shoal_types::ObjectId;

pub(crate) const FOOTER_BYTES: usize = 40;
const MAGIC: [u8; 8] = *b"SHOALEND";

pub(crate) fn encode_footer(object: ObjectId, plain_length: u32) -> [u8; FOOTER_BYTES] {
    let mut footer = [0; FOOTER_BYTES];
    footer[4..8].copy_from_slice(&plain_length.to_le_bytes());
    footer[20..28].copy_from_slice(&object.0.to_le_bytes());
    footer[28..36].copy_from_slice(&MAGIC);
    let check = crc32c::crc32c(&footer[..36]);
    footer[36..40].copy_from_slice(&check.to_le_bytes());
    footer
}

/// Accepts exactly the footer that belongs to a header with the same object and length.
pub(crate) fn check_footer(object: ObjectId, plain_length: u32, footer: &[u8]) -> Result<(), FormatError> {
    let intact = footer.len() == FOOTER_BYTES
        && u32_at(footer, 36) == crc32c::crc32c(&footer[..36])
        && footer[28..36] == MAGIC
        && u32_at(footer, 0) == 0
        && u32_at(footer, 4) == plain_length
        && u64_at(footer, 8) == 0
        && u32_at(footer, 16) == 0
        && u64_at(footer, 20) == object.0;
    if intact { Ok(()) } else { Err(FormatError::FooterDamaged { object }) }
}
