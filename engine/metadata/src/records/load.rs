//! A load of a dump that has not ended: format, its number (8), which nobody else has.

use super::fields::u64_at;
use super::{body, damaged};
use shoal_kv::KvResult;

pub fn encode_load(number: u64) -> Vec<u8> {
    [&[FORMAT][..], &number.to_le_bytes()].concat()
}

pub fn decode_load(bytes: &[u8]) -> KvResult<u64> {
    let rest = body(WHAT, bytes, FORMAT)?;
    match rest.len() {
        8 => Ok(u64_at(rest, 0)),
        length => Err(damaged(WHAT, format!("{length} bytes instead of 8"))),
    }
}

const WHAT: &str = "a load under way";
const FORMAT: u8 = 1;
