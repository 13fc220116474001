//! STATFS: what `df` shows.
//!
//! Used bytes and inodes are the volume's. Free room is a fixed large number: how much the object store can still take
//! isn't known here, and a store that is full says so when it is written to. So "used" is exact, "available" is
//! plenty, and the percentage is near zero until the volume is really large.

use super::VolumeService;
use shoal_fuse_protocol::{Statistics, statfs_out};
use shoal_types::{FsResult, Name};

const BLOCK_BYTES: u32 = 4096;
/// 1 PiB.
const BLOCKS_FREE: u64 = (1 << 50) / BLOCK_BYTES as u64;
/// Programs with 32-bit counters stay right.
const FILES_FREE: u64 = 1 << 31;

impl VolumeService {
    pub(super) async fn statfs(&self) -> FsResult<[u8; 80]> {
        let usage = self.volume.usage().await?;
        Ok(statfs_out(&statistics(usage.bytes, usage.inodes)))
    }
}

fn statistics(bytes: u64, inodes: u64) -> Statistics {
    Statistics {
        blocks: bytes.div_ceil(u64::from(BLOCK_BYTES)) + BLOCKS_FREE,
        blocks_free: BLOCKS_FREE,
        blocks_available: BLOCKS_FREE,
        files: inodes.saturating_add(FILES_FREE),
        files_free: FILES_FREE,
        block_bytes: BLOCK_BYTES,
        name_bytes_max: Name::BYTES_MAX as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_is_exact_to_the_block_and_never_overflows() {
        let some = statistics(4097, 3);
        assert_eq!((some.blocks - some.blocks_free, some.files - some.files_free), (2, 3));
        let most = statistics(u64::MAX, u64::MAX);
        assert!(most.blocks > most.blocks_free && most.files > most.files_free);
    }
}
