//! The index file of a cached inode, byte by byte. All numbers are little-endian.
//!
//! ```text
//! header, bytes 0..512            entry of block b, bytes 512 * (1 + b) ..
//!   0    8  magic "SHOALCIX"        0    8  identity of the bytes
//!   8    4  version, 1              8    8  valid units, bit u = unit u
//!  12    4  flags                  16  256  CRC-32C of unit 0 .. unit 63, as it is stored
//!  16    8  inode number          272  236  zero
//!  24  484  zero                  508    4  CRC-32C of: inode number (8), block (8), bytes 0..508
//! 508    4  CRC-32C of 0..508
//! ```
//!
//! Flags: bit 0 pinned, bit 1 encrypted.
//!
//! A unit's bytes are written to the data file before the entry that names them, with no sync between: after power loss
//! the entry may be newer than the data, and the unit checksum finds out. An entry that does not match its own checksum
//! (torn, or moved from another place) counts as empty. Checksums protect against accidents, not against a forger.

use crate::units::UNITS_PER_BLOCK;
use shoal_types::Ino;

pub(crate) const ENTRY_BYTES: usize = 512;
const MAGIC: &[u8; 8] = b"SHOALCIX";
const VERSION: u32 = 1;
const CHECK_AT: usize = ENTRY_BYTES - 4;
const CHECKSUMS_AT: usize = 16;

const _: () = assert!(CHECKSUMS_AT + UNITS_PER_BLOCK as usize * 4 <= CHECK_AT);

/// What the index tells about one block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    pub identity: u64,
    pub valid: u64,
    /// Of valid units; arbitrary for the others.
    pub checksums: [u32; UNITS_PER_BLOCK as usize],
}

/// What stands in an entry's place.
#[derive(PartialEq, Eq, Debug)]
#[expect(clippy::large_enum_variant, reason = "short-lived, and an entry is what is nearly always found")]
pub(crate) enum Found {
    Empty,
    /// Neither empty nor right: the data file may hold bytes there that nobody can name.
    Torn,
    Entry(Entry),
}

impl Entry {
    pub fn empty(identity: u64) -> Self {
        Entry { identity, valid: 0, checksums: [0; UNITS_PER_BLOCK as usize] }
    }

    pub fn encode(&self, ino: Ino, block: u64) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[0..8].copy_from_slice(&self.identity.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.valid.to_le_bytes());
        for (unit, checksum) in self.checksums.iter().enumerate() {
            let at = CHECKSUMS_AT + unit * 4;
            bytes[at..at + 4].copy_from_slice(&checksum.to_le_bytes());
        }
        let check = entry_check(&bytes, ino, block);
        bytes[CHECK_AT..].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8; ENTRY_BYTES], ino: Ino, block: u64) -> Found {
        if bytes.iter().all(|byte| *byte == 0) {
            return Found::Empty;
        }
        if number(bytes, CHECK_AT) != entry_check(bytes, ino, block) {
            return Found::Torn;
        }
        let identity = u64::from(number(bytes, 0)) | u64::from(number(bytes, 4)) << 32;
        let valid = u64::from(number(bytes, 8)) | u64::from(number(bytes, 12)) << 32;
        let checksums = std::array::from_fn(|unit| number(bytes, CHECKSUMS_AT + unit * 4));
        Found::Entry(Entry { identity, valid, checksums })
    }
}

/// The header of an inode's index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    /// Its blocks are the last to be evicted.
    pub pinned: bool,
    /// Its units are stored under the key of the inode, each with the block's identity and its own number as the nonce.
    pub encrypted: bool,
}

impl Header {
    pub fn encode(self, ino: Ino) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        let flags = u32::from(self.pinned) | u32::from(self.encrypted) << 1;
        bytes[12..16].copy_from_slice(&flags.to_le_bytes());
        bytes[16..24].copy_from_slice(&ino.0.to_le_bytes());
        let check = crc32c::crc32c(&bytes[..CHECK_AT]);
        bytes[CHECK_AT..].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    /// `None` for anything but this inode's header.
    pub fn decode(bytes: &[u8; ENTRY_BYTES], ino: Ino) -> Option<Self> {
        let mut known = (0..4).map(|flags| Header { pinned: flags & 1 != 0, encrypted: flags & 2 != 0 });
        known.find(|header| header.encode(ino) == *bytes)
    }
}

fn entry_check(bytes: &[u8; ENTRY_BYTES], ino: Ino, block: u64) -> u32 {
    let place = crc32c::crc32c_append(crc32c::crc32c(&ino.0.to_le_bytes()), &block.to_le_bytes());
    crc32c::crc32c_append(place, &bytes[..CHECK_AT])
}

fn number(bytes: &[u8; ENTRY_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry { identity: 0x0102_0304_0506_0708, valid: 0b101, checksums: std::array::from_fn(|unit| unit as u32 * 7) }
    }

    #[test]
    fn an_entry_is_read_as_it_was_written_and_only_in_its_place() {
        let bytes = entry().encode(Ino(9), 4);
        assert_eq!(bytes[..10], [8, 7, 6, 5, 4, 3, 2, 1, 0b101, 0]);
        assert_eq!(Entry::decode(&bytes, Ino(9), 4), Found::Entry(entry()));
        assert_eq!(Entry::decode(&bytes, Ino(9), 5), Found::Torn);
        assert_eq!(Entry::decode(&bytes, Ino(8), 4), Found::Torn);
        assert_eq!(Entry::decode(&[0; ENTRY_BYTES], Ino(9), 4), Found::Empty);
    }

    #[test]
    fn a_header_is_read_as_it_was_written_and_with_a_flipped_bit_not_at_all() {
        for flags in 0..4 {
            let header = Header { pinned: flags & 1 != 0, encrypted: flags & 2 != 0 };
            let bytes = header.encode(Ino(9));
            assert_eq!(
                bytes[..24],
                [b"SHOALCIX", &[1, 0, 0, 0, flags, 0, 0, 0][..], &[9, 0, 0, 0, 0, 0, 0, 0]].concat()
            );
            assert_eq!((Header::decode(&bytes, Ino(9)), Header::decode(&bytes, Ino(8))), (Some(header), None));
            for bit in 0..ENTRY_BYTES * 8 {
                let mut bytes = bytes;
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Header::decode(&bytes, Ino(9)), None, "bit {bit}");
            }
        }
    }

    #[test]
    fn an_entry_with_any_flipped_bit_counts_as_torn() {
        for bit in 0..ENTRY_BYTES * 8 {
            let mut bytes = entry().encode(Ino(9), 4);
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Entry::decode(&bytes, Ino(9), 4), Found::Torn, "bit {bit}");
        }
    }
}
