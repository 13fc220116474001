//! The beginning of a dump: what it is, and of which volume.

use crate::limits::HEADER_BYTES_MAX;
use crate::read::{cut_off, damaged};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use shoal_kv::{KvError, KvResult};
use shoal_types::Timestamp;
use std::io::Read;

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Header {
    /// Of the volume; a newer one is not loaded.
    pub schema: u32,
    pub name: String,
    pub uuid: String,
    /// When the dump was begun. What is in it is no older.
    pub made_at: Timestamp,
    /// The version of the program that made it.
    pub program: String,
}

impl Header {
    pub(crate) fn encode(&self) -> Vec<u8> {
        framed(MAGIC, FORMAT, &postcard::to_stdvec(self).expect("a record in memory can be encoded"))
    }

    /// With the check.
    pub(crate) fn read(source: &mut impl Read) -> KvResult<(Self, u32)> {
        let (record, check) = read_framed(source, MAGIC, FORMAT)?;
        Ok((parse(&record)?, check))
    }
}

/// `magic (8) | format (4) | length (4) | record | check (4)`.
pub(crate) fn framed(magic: &[u8; 8], format: u32, record: &[u8]) -> Vec<u8> {
    assert!(record.len() <= HEADER_BYTES_MAX, "names are short, and so are wrapped keys");
    let mut bytes = [magic, &format.to_le_bytes()[..], &(record.len() as u32).to_le_bytes(), record].concat();
    let check = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&check.to_le_bytes());
    bytes
}

/// The record and the check.
pub(crate) fn read_framed(source: &mut impl Read, magic: &[u8; 8], known: u32) -> KvResult<(Vec<u8>, u32)> {
    let mut fixed = [0; FIXED_BYTES];
    source.read_exact(&mut fixed).map_err(cut_off)?;
    if &fixed[..8] != magic {
        return Err(damaged("it does not begin like a dump of metadata"));
    }
    let number = |at: usize| u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
    let format = number(8);
    if format > known {
        let what = format!("the dump has format {format}, which is newer than this program (it knows {known})");
        return Err(KvError::Damaged(what));
    }
    let length = number(12) as usize;
    if format != known || length > HEADER_BYTES_MAX {
        return Err(damaged("its header makes no sense"));
    }
    let mut rest = vec![0; length + 4];
    source.read_exact(&mut rest).map_err(cut_off)?;
    let (record, found) = rest.split_at(length);
    let check = crc32c::crc32c_append(crc32c::crc32c(&fixed), record);
    match check.to_le_bytes() == found {
        true => Ok((record.to_vec(), check)),
        false => Err(damaged("the check of its header fails")),
    }
}

pub(crate) fn parse<T: DeserializeOwned>(record: &[u8]) -> KvResult<T> {
    match postcard::take_from_bytes(record) {
        Ok((header, [])) => Ok(header),
        _ => Err(damaged("its header makes no sense")),
    }
}

const MAGIC: &[u8; 8] = b"shoaldmp";
const FORMAT: u32 = 1;
const FIXED_BYTES: usize = 16;
