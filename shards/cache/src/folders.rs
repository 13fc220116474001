//! The cache as a whole: which of its folders has which file.
//!
//! A file's place follows from its number and the number of folders alone. With one folder more, one in so many files
//! changes its place; what an old place holds of it is dropped when it is met. A folder that can't be had leaves its
//! files without a cache and all others alone.

use crate::part::CachePart;
use crate::slot::{CacheConfig, Shared};
use shoal_types::Ino;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// The cache of this process.
pub struct Cache {
    folders: Vec<Option<Arc<Shared>>>,
    taken: Vec<AtomicBool>,
}

/// One shard's parts of all folders.
pub struct ShardCache(pub(crate) Vec<Option<CachePart>>);

impl Cache {
    /// Takes a slot in each folder. `None` if there is none to be had anywhere; that is logged, and the caller goes on
    /// without.
    pub fn open(config: &CacheConfig, volume_uuid: &str, shards: usize) -> Option<Cache> {
        assert!(shards > 0, "a mount has at least one shard");
        let open = |folder| {
            Shared::open(config, folder, volume_uuid, shards)
                .inspect_err(|error| {
                    let folder = config.folders[folder].path.display();
                    tracing::warn!(%error, %folder, "there is no local cache in this folder");
                })
                .ok()
        };
        let folders: Vec<_> = (0..config.folders.len()).map(open).collect();
        let taken = (0..shards).map(|_| AtomicBool::new(false)).collect();
        folders.iter().any(Option::is_some).then_some(Cache { folders, taken })
    }

    /// The parts of one shard, for that shard's thread; each shard takes them once.
    pub fn of_shard(&self, shard: usize) -> ShardCache {
        assert!(!self.taken[shard].swap(true, SeqCst), "a shard takes its parts once");
        let part = |shared: &Option<Arc<Shared>>| shared.clone().map(|shared| CachePart::new(shared, shard));
        ShardCache(self.folders.iter().map(part).collect())
    }

    /// Where this mount's cache files lie.
    pub fn slots(&self) -> impl Iterator<Item = &Path> {
        self.folders.iter().flatten().map(|shared| &*shared.slot)
    }
}

impl ShardCache {
    /// The part that has this file, if its folder is there.
    pub fn of(&self, ino: Ino) -> Option<&CachePart> {
        self.0[folder_of(ino, self.0.len())].as_ref()
    }

    pub fn parts(&self) -> impl Iterator<Item = &CachePart> {
        self.0.iter().flatten()
    }
}

/// The folder for which a mix of both numbers is largest: others that come or go change nothing between two.
pub(crate) fn folder_of(ino: Ino, folders: usize) -> usize {
    assert!(folders > 0, "a cache has at least one folder");
    if folders == 1 {
        return 0;
    }
    let score = |folder: &usize| Ino(ino.mix() ^ Ino(*folder as u64).mix()).mix();
    (0..folders).max_by_key(score).expect("there is at least one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_spread_evenly_and_only_those_move_that_a_new_folder_takes() {
        for folders in 1..5 {
            let mut counts = vec![0; folders];
            let mut moved = 0;
            for ino in (1..10_001).map(Ino) {
                let (now, then) = (folder_of(ino, folders), folder_of(ino, folders + 1));
                assert!(then == now || then == folders);
                counts[now] += 1;
                moved += u32::from(then != now);
            }
            let even = 10_000 / folders as u32;
            assert!(counts.iter().all(|count| (even * 9 / 10..=even * 11 / 10).contains(count)), "{counts:?}");
            assert!((10_000 / (folders as u32 + 1)).abs_diff(moved) < 300, "{moved} of {folders}");
        }
    }
}
