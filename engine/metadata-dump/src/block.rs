//! Pairs of a block, one after the other.

use crate::limits::PAIR_HEAD_BYTES;
use crate::read::damaged;
use shoal_kv::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use shoal_kv::{KvResult, Pair};

pub(crate) const BLOCK: u8 = 1;
pub(crate) const END: u8 = 2;

pub(crate) fn push(plain: &mut Vec<u8>, (key, value): &Pair) {
    assert!(key.len() <= KEY_BYTES_MAX && value.len() <= VALUE_BYTES_MAX, "no store takes more");
    plain.extend_from_slice(&(key.len() as u16).to_le_bytes());
    plain.extend_from_slice(&(value.len() as u32).to_le_bytes());
    plain.extend_from_slice(key);
    plain.extend_from_slice(value);
}

/// All pairs, which must be so many. `last` is the key before them.
pub(crate) fn parse(mut plain: &[u8], count: u32, last: &[u8]) -> KvResult<Vec<Pair>> {
    let mut pairs: Vec<Pair> = Vec::new();
    while let Some((head, rest)) = plain.split_first_chunk::<PAIR_HEAD_BYTES>() {
        let key_bytes = usize::from(u16::from_le_bytes([head[0], head[1]]));
        let value_bytes = u32::from_le_bytes([head[2], head[3], head[4], head[5]]) as usize;
        if key_bytes > KEY_BYTES_MAX || value_bytes > VALUE_BYTES_MAX || rest.len() < key_bytes + value_bytes {
            return Err(damaged("a pair is longer than it can be"));
        }
        let (key, rest) = rest.split_at(key_bytes);
        if key <= pairs.last().map_or(last, |(key, _)| key) {
            return Err(damaged("its keys are not in order"));
        }
        let (value, rest) = rest.split_at(value_bytes);
        pairs.push((key.to_vec(), value.to_vec()));
        plain = rest;
    }
    match plain.is_empty() && pairs.len() == count as usize && count > 0 {
        true => Ok(pairs),
        false => Err(damaged("a block does not hold what it says")),
    }
}
