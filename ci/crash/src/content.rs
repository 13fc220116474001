//! Bytes that can be made again from a few numbers.

use shoal_kv::Random;

/// `length` bytes that belong to `seed` and to no other.
pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&random.next_u64().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// One number from two, so that different pairs hardly ever meet.
pub fn seed(first: u64, second: u64) -> u64 {
    Random::new(first ^ Random::new(second).next_u64()).next_u64()
}
