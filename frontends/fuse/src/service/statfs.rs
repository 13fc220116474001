//! STATFS: what `df` shows.
//!
//! Where something is limited that the asked inode is counted for (the volume, a directory above it), the innermost such
//! thing is shown as if it were the whole: `df` in a directory with a quota shows the quota. What is available is what the
//! tightest limit leaves. Limits of users and groups are not in it, as on other file systems.
//!
//! Without a limit, free room is a fixed large number: how much the object store can still take isn't known here, and a
//! store that is full says so when it is written to. So "used" is exact, "available" is plenty, and the percentage is near
//! zero until the volume is really large.

use super::VolumeService;
use shoal_client::{Account, QuotaInfo};
use shoal_fuse_protocol::{Statistics, statfs_out};
use shoal_types::{FsResult, Ino, Name};

const BLOCK_BYTES: u32 = 4096;
/// 1 PiB.
const BYTES_FREE: u64 = 1 << 50;
/// Programs with 32-bit counters stay right.
const FILES_FREE: u64 = 1 << 31;

impl VolumeService {
    pub(super) async fn statfs(&self, ino: Ino) -> FsResult<[u8; 80]> {
        Ok(statfs_out(&statistics(&self.volume.quotas_of(ino).await?)))
    }
}

/// `accounts` has the volume first, then directories from the innermost outwards.
fn statistics(accounts: &[QuotaInfo]) -> Statistics {
    let places: Vec<&QuotaInfo> =
        accounts.iter().filter(|info| matches!(info.account, Account::Volume | Account::Directory(_))).collect();
    let (bytes, bytes_free) = used_and_free(&places, BYTES_FREE, |info| (info.usage.bytes, info.limits.bytes));
    let (files, files_free) = used_and_free(&places, FILES_FREE, |info| (info.usage.inodes, info.limits.inodes));
    let blocks_free = bytes_free / u64::from(BLOCK_BYTES);
    Statistics {
        blocks: bytes.div_ceil(u64::from(BLOCK_BYTES)).saturating_add(blocks_free),
        blocks_free,
        blocks_available: blocks_free,
        files: files.saturating_add(files_free),
        files_free,
        block_bytes: BLOCK_BYTES,
        name_bytes_max: Name::BYTES_MAX as u32,
    }
}

/// What the innermost limited place has used (the volume, if none is), and what the tightest limit leaves.
fn used_and_free(places: &[&QuotaInfo], plenty: u64, look: impl Fn(&QuotaInfo) -> (u64, Option<u64>)) -> (u64, u64) {
    let directories = places.iter().skip(1);
    let innermost = directories.chain(places.first()).find(|info| look(info).1.is_some()).or(places.first());
    let left = places.iter().filter_map(|info| {
        let (used, limit) = look(info);
        limit.map(|limit| limit.saturating_sub(used))
    });
    (innermost.map_or(0, |info| look(info).0), left.min().unwrap_or(plenty))
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_client::{Limits, Usage};

    fn info(account: Account, used: (u64, u64), limits: (Option<u64>, Option<u64>)) -> QuotaInfo {
        let usage = Usage { bytes: used.0, inodes: used.1 };
        QuotaInfo { account, state: None, limits: Limits { bytes: limits.0, inodes: limits.1 }, usage }
    }

    #[test]
    fn used_is_exact_to_the_block_and_never_overflows() {
        let some = statistics(&[info(Account::Volume, (4097, 3), (None, None))]);
        assert_eq!((some.blocks - some.blocks_free, some.files - some.files_free), (2, 3));
        let most = statistics(&[info(Account::Volume, (u64::MAX, u64::MAX), (None, None))]);
        assert!(most.blocks > most.blocks_free && most.files > most.files_free);
    }

    #[test]
    fn the_innermost_limit_is_the_whole_and_the_tightest_leaves_what_is_free() {
        let volume = info(Account::Volume, (90 << 12, 50), (Some(100 << 12), None));
        let outer = info(Account::Directory(Ino(2)), (40 << 12, 30), (None, Some(40)));
        let inner = info(Account::Directory(Ino(3)), (20 << 12, 20), (Some(60 << 12), None));
        let shown = statistics(&[volume, inner, outer]);
        assert_eq!((shown.blocks, shown.blocks_free), (30, 10), "20 used in the inner one, 10 left in the volume");
        assert_eq!((shown.files, shown.files_free), (40, 10), "of the outer one, which limits inodes");
        let shown = statistics(&[volume]);
        assert_eq!((shown.blocks, shown.blocks_available), (100, 10));
        let full = statistics(&[info(Account::Volume, (200 << 12, 1), (Some(100 << 12), None))]);
        assert_eq!((full.blocks, full.blocks_free), (200, 0), "beyond its limit");
    }
}
