//! The bounds of a dump's parts: what a reader takes into memory at most.

use shoal_kv::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX};

/// A block ends with the pair that makes it so large.
pub const BLOCK_BYTES: usize = 1 << 20;
/// Before the key and the value.
pub const PAIR_HEAD_BYTES: usize = 6;
pub const BLOCK_BYTES_MAX: usize = BLOCK_BYTES + PAIR_HEAD_BYTES + KEY_BYTES_MAX + VALUE_BYTES_MAX;
/// zstd makes what it can't compress a little larger.
pub const STORED_BYTES_MAX: usize = BLOCK_BYTES_MAX + BLOCK_BYTES_MAX / 128 + 1024;
pub const HEADER_BYTES_MAX: usize = 64 << 10;
/// Of a sealed dump, before it is sealed.
pub const PART_BYTES: usize = 256 << 10;
pub const ZSTD_LEVEL: i32 = 3;

/// What one transaction of a load puts.
pub const BATCH_BYTES: usize = 256 << 10;
pub const BATCH_PAIRS: usize = 2000;
/// Transactions of a load on their way at once.
pub const BATCHES_IN_FLIGHT: usize = 4;

/// Calls of `progress` are so many pairs apart.
pub const PROGRESS_EVERY: u64 = 1000;

const _: () = assert!(KEY_BYTES_MAX <= u16::MAX as usize && STORED_BYTES_MAX <= u32::MAX as usize);
