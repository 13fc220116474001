//! The volume key as its owner has wrapped it.

use super::{decode_cold, encode_cold};
use shoal_encryption::WrappedKey;
use shoal_kv::KvResult;

pub fn encode_wrapped_key(key: &WrappedKey) -> Vec<u8> {
    encode_cold(FORMAT, key)
}

pub fn decode_wrapped_key(bytes: &[u8]) -> KvResult<WrappedKey> {
    decode_cold("the wrapped key", bytes, FORMAT)
}

const FORMAT: u8 = 1;
