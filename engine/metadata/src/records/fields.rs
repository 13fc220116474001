//! Little-endian fields at fixed places, read from an array whose length has been checked.

use shoal_types::Timestamp;

pub fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array(bytes, at))
}

pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

/// 12 bytes: seconds, nanoseconds. `None` for nanoseconds that make a second.
pub fn time_at(bytes: &[u8], at: usize) -> Option<Timestamp> {
    let nanoseconds = u32_at(bytes, at + 8);
    (nanoseconds < 1_000_000_000).then(|| Timestamp::new(u64_at(bytes, at).cast_signed(), nanoseconds))
}

pub fn push_time(bytes: &mut Vec<u8>, time: Timestamp) {
    bytes.extend_from_slice(&time.seconds.to_le_bytes());
    bytes.extend_from_slice(&time.nanoseconds.to_le_bytes());
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a range of N bytes makes an array of N")
}
