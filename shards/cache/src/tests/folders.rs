//! Several folders: what is in which, and one of them missing.

use super::*;

fn two_folders(root: &Path) -> CacheConfig {
    let folder = |name: &str| CacheFolder { path: root.join(name), bytes_max: 8 * UNIT_BYTES };
    CacheConfig { folders: vec![folder("a"), folder("b")], ..config(root, 0) }
}

async fn fill_all(cache: &crate::ShardCache, inodes: std::ops::Range<u64>) {
    for ino in inodes.map(Ino) {
        let Some(part) = cache.of(ino) else { continue };
        let file = part.open_file(ino);
        fill(part, &file, 0, 1, 1).await;
        part.close_file(&file);
    }
}

/// How many of the files 1 to 100 are cached.
async fn count(cache: &crate::ShardCache) -> usize {
    let mut found = 0;
    for ino in (1..101).map(Ino) {
        let Some(part) = cache.of(ino) else { continue };
        let file = part.open_file(ino);
        part.identify(&file, 0, 1);
        if part.verify_units(&file, 0, 1).await == 1 {
            assert_eq!(read(&file, 0, UNIT).await.as_deref(), Some(&content(1, UNIT)[..]));
            found += 1;
        }
        part.close_file(&file);
    }
    found
}

#[test]
fn files_are_spread_and_each_folder_keeps_its_own_bound() {
    let root = tempfile::tempdir().unwrap();
    let cache = Cache::open(&two_folders(root.path()), "volume", 1).unwrap();
    on_shard(move || async move {
        let cache = cache.of_shard(0);
        fill_all(&cache, 1..101).await;
        assert_eq!(cache.parts().map(CachePart::usage).collect::<Vec<_>>(), [8 * UNIT_BYTES; 2]);
        assert_eq!(count(&cache).await, 16);
    });
    let files = |name: &str| files_on_disk(&root.path().join(name), "data").len();
    assert_eq!((files("a"), files("b")), (8, 8));
}

#[test]
fn a_folder_that_is_missing_or_fails_leaves_the_other_alone() {
    let root = tempfile::tempdir().unwrap();
    let config = two_folders(root.path());
    let cache = Cache::open(&config, "volume", 1).unwrap();
    let slot = cache.slots().nth(1).unwrap().to_path_buf();
    on_shard(move || async move {
        let cache = cache.of_shard(0);
        fill_all(&cache, 1..11).await;
        std::fs::remove_dir_all(slot).unwrap();
        fill_all(&cache, 11..101).await;
        let degraded: Vec<_> = cache.parts().map(CachePart::is_degraded).collect();
        assert_eq!(degraded, [false, true]);
        assert_eq!(count(&cache).await, 8);
    });
    // Now it is no folder at all.
    std::fs::remove_dir_all(root.path().join("b")).unwrap();
    std::fs::write(root.path().join("b"), "").unwrap();
    let cache = Cache::open(&config, "volume", 1).unwrap();
    on_shard(move || async move {
        let cache = cache.of_shard(0);
        assert_eq!(cache.parts().count(), 1);
        assert_eq!(count(&cache).await, 8, "what falls to the other folder is where it was");
    });
    std::fs::remove_dir_all(root.path().join("a")).unwrap();
    std::fs::write(root.path().join("a"), "").unwrap();
    assert!(Cache::open(&config, "volume", 1).is_none());
}

#[test]
fn files_that_fall_to_another_folder_than_before_are_dropped_where_they_were() {
    let root = tempfile::tempdir().unwrap();
    let two = two_folders(root.path());
    let one = CacheConfig { folders: two.folders[..1].to_vec(), ..two.clone() };
    let cache = Cache::open(&one, "volume", 1).unwrap();
    on_shard(move || async move { fill_all(&cache.of_shard(0), 1..9).await });
    let before = files_on_disk(root.path(), "data").len();
    let cache = Cache::open(&two, "volume", 1).unwrap();
    on_shard(move || async move {
        let cache = cache.of_shard(0);
        for part in cache.parts() {
            adopt(part).await;
        }
        let kept = count(&cache).await;
        assert!(0 < kept && kept < 8, "{kept}");
        assert_eq!(cache.parts().map(CachePart::usage).sum::<u64>(), kept as u64 * UNIT_BYTES);
    });
    let after = files_on_disk(root.path(), "data").len();
    assert!(before == 8 && after < 8, "{before} {after}");
}
