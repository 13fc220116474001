//! What is noted of packs. The list of the files that one was made of: format, then by postcard the difference of each
//! number to the one before it. That little is left of one: format, since when (8), length of the pack (4).

use super::fields::{u32_at, u64_at};
use super::{body, damaged, decode_cold, encode_cold};
use shoal_kv::KvResult;
use shoal_types::{Ino, Timestamp};

/// In any order. A file whose number is near that of the one before it takes a byte or two.
pub fn encode_pack_files(files: &[Ino]) -> Vec<u8> {
    let before = std::iter::once(0).chain(files.iter().map(|ino| ino.0));
    let steps: Vec<i64> =
        files.iter().zip(before).map(|(ino, before)| ino.0.wrapping_sub(before).cast_signed()).collect();
    encode_cold(FORMAT, &steps)
}

pub fn decode_pack_files(bytes: &[u8]) -> KvResult<Vec<Ino>> {
    let steps: Vec<i64> = decode_cold(FILES, bytes, FORMAT)?;
    let mut at = 0u64;
    Ok(steps
        .into_iter()
        .map(|step| {
            at = at.wrapping_add_signed(step);
            Ino(at)
        })
        .collect())
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SparseNote {
    /// When it last lost bytes, in nanoseconds since the epoch.
    pub since: u64,
    /// Of its plain content.
    pub length: u32,
}

impl SparseNote {
    pub fn new(now: Timestamp, length: u32) -> Self {
        SparseNote { since: now.as_nanos(), length }
    }

    pub fn encode(&self) -> Vec<u8> {
        [&[FORMAT][..], &self.since.to_le_bytes(), &self.length.to_le_bytes()].concat()
    }

    pub fn decode(bytes: &[u8]) -> KvResult<Self> {
        let rest = body(SPARSE, bytes, FORMAT)?;
        match rest.len() {
            12 => Ok(SparseNote { since: u64_at(rest, 0), length: u32_at(rest, 8) }),
            length => Err(damaged(SPARSE, format!("{length} bytes instead of 12"))),
        }
    }
}

const FILES: &str = "a list of a pack's files";
const SPARSE: &str = "the note of a sparse pack";
const FORMAT: u8 = 1;
