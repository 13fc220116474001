//! A lease of object numbers: format, end (8). The start is in the key.

use super::fields::u64_at;
use super::{body, damaged};
use shoal_kv::KvResult;

pub fn encode_lease(end: u64) -> Vec<u8> {
    [&[FORMAT][..], &end.to_le_bytes()].concat()
}

pub fn decode_lease(bytes: &[u8]) -> KvResult<u64> {
    let rest = body(WHAT, bytes, FORMAT)?;
    match rest.len() {
        8 => Ok(u64_at(rest, 0)),
        length => Err(damaged(WHAT, format!("{length} bytes instead of 8"))),
    }
}

const WHAT: &str = "an object lease";
const FORMAT: u8 = 1;
