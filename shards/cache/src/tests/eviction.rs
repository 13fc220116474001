//! Bounds on room: by bytes and by free space; who goes first; what is left of files nobody uses.

use super::*;
use std::os::unix::fs::MetadataExt;

#[test]
fn usage_stays_under_the_bound_and_the_disk_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let bytes_max = 10 * UNIT_BYTES;
    let cache = open(folder.path(), bytes_max);
    let file = on_shard(move || async move {
        let part = part_of(&cache);
        let file = part.open_file(INO);
        for block in 0..20 {
            fill(&part, &file, block, block as u32, 3).await;
            assert_eq!(file.valid_units(block), 0b111, "the newest is always taken");
            assert!(part.usage() <= bytes_max);
        }
        let kept = (0..20).filter(|block| file.valid_units(*block) != 0).collect::<Vec<_>>();
        assert_eq!(kept, [17, 18, 19]);
        for block in kept {
            let found = read(&file, in_block(block, 0), 3 * UNIT).await;
            assert_eq!(found.as_deref(), Some(&content(block as u32, 3 * UNIT)[..]));
        }
        file
    });
    let on_disk = std::fs::metadata(file_on_disk(folder.path(), "data")).unwrap().blocks() * 512;
    assert!(on_disk <= bytes_max + (1 << 16), "{on_disk} bytes on disk");
    drop(file);
}

#[test]
fn a_block_that_was_read_again_outlives_one_that_was_read_through_once() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), 4 * UNIT_BYTES);
    on_shard(move || async move {
        let part = part_of(&cache);
        let file = part.open_file(INO);
        fill(&part, &file, 0, 1, 2).await;
        fill(&part, &file, 1, 1, 2).await;
        for unit in [0, 1, 0] {
            assert!(read(&file, in_block(0, unit * UNIT), 4096).await.is_some());
        }
        for page in 0..2 * UNIT / 4096 {
            assert!(read(&file, in_block(1, page * 4096), 4096).await.is_some());
        }
        fill(&part, &file, 2, 1, 2).await;
        assert_eq!([0, 1, 2].map(|block| file.valid_units(block)), [0b11, 0, 0b11]);
        fill(&part, &file, 3, 1, 2).await;
        assert_eq!([0, 1, 2, 3].map(|block| file.valid_units(block)), [0, 0, 0b11, 0b11]);
    });
}

#[test]
fn a_shard_takes_what_others_leave_and_gives_way_when_they_want_their_share() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(&config(folder.path(), 8 * UNIT_BYTES), "volume", 2).unwrap();
    on_shard(move || async move {
        let parts = [0, 1].map(|shard| cache.of_shard(shard).0.remove(0).expect("the folder can be written"));
        let inodes = [0, 1].map(|shard| (1..).map(Ino).find(|ino| ino.mix() % 2 == shard).unwrap());
        let files = [0, 1].map(|shard| parts[shard].open_file(inodes[shard]));
        let used = || parts.each_ref().map(|part| part.usage() / UNIT_BYTES);
        for block in 0..10 {
            fill(&parts[0], &files[0], block, 1, 1).await;
        }
        assert_eq!(used(), [8, 0], "all of it, although half is its share");
        fill(&parts[1], &files[1], 0, 1, 1).await;
        assert_eq!(used(), [8, 0], "there was no room, and that is noted");
        fill(&parts[0], &files[0], 10, 1, 1).await;
        assert_eq!(used(), [7, 0], "whoever has more than its share leaves what another one lacks");
        for block in 0..10 {
            fill(&parts[1], &files[1], block, 1, 1).await;
            assert_eq!(files[1].valid_units(block), 1);
            parts[0].adopt_step().await;
        }
        assert_eq!(used(), [4, 4]);
        fill(&parts[0], &files[0], 11, 1, 1).await;
        assert_eq!((used(), files[0].valid_units(11)), ([4, 4], 1), "who has just its share makes room of its own");
    });
}

#[test]
fn a_lower_bound_is_met_by_all_shards_together() {
    let folder = tempfile::tempdir().unwrap();
    for (bytes_max, expected) in [(1 << 30, [6, 3]), (8 * UNIT_BYTES, [5, 3])] {
        let cache = Cache::open(&config(folder.path(), bytes_max), "volume", 2).unwrap();
        on_shard(move || async move {
            let parts = [0, 1].map(|shard| cache.of_shard(shard).0.remove(0).expect("the folder can be written"));
            let inodes = [0, 1].map(|shard| (1..).map(Ino).find(|ino| ino.mix() % 2 == shard).unwrap());
            for shard in [0, 1] {
                let file = parts[shard].open_file(inodes[shard]);
                for block in 0..[6, 3][shard] {
                    // The second run finds them.
                    if bytes_max == 1 << 30 {
                        fill(&parts[shard], &file, block, 1, 1).await;
                    }
                }
                adopt(&parts[shard]).await;
            }
            for part in parts.iter().rev() {
                part.adopt_step().await;
            }
            assert_eq!(parts.each_ref().map(|part| part.usage() / UNIT_BYTES), expected);
        });
    }
}

#[test]
fn what_is_larger_than_the_cache_is_not_cached() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), 2 * UNIT_BYTES);
    on_shard(move || async move {
        let part = part_of(&cache);
        let file = part.open_file(INO);
        fill(&part, &file, 0, 1, 3).await;
        assert_eq!((file.valid_units(0), part.usage()), (0, 0));
        fill(&part, &file, 0, 1, 2).await;
        assert_eq!((file.valid_units(0), part.usage()), (0b11, 2 * UNIT_BYTES));
    });
}

#[test]
fn closed_files_are_unlinked_with_their_last_block() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), 4 * UNIT_BYTES);
    on_shard(move || async move {
        let part = part_of(&cache);
        for ino in 1..10 {
            let file = part.open_file(Ino(ino));
            fill(&part, &file, 0, 1, 1).await;
            fill(&part, &file, 1, 1, 1).await;
            assert_eq!((file.valid_units(0), file.valid_units(1)), (1, 1));
            part.close_file(&file);
        }
        assert!(part.usage() <= 4 * UNIT_BYTES);
        let file = part.open_file(Ino(9));
        assert!(file.covers(0, UNIT) && file.covers(in_block(1, 0), UNIT));
    });
    for kind in ["data", "index"] {
        assert_eq!(files_on_disk(folder.path(), kind).len(), 2, "{kind}");
    }
}

#[test]
fn adoption_counts_an_earlier_run_and_its_blocks_go_first() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), 1 << 30);
    on_shard(move || async move {
        let part = part_of(&cache);
        for ino in 1..=300 {
            let file = part.open_file(Ino(ino));
            fill(&part, &file, 0, 1, 1).await;
            part.close_file(&file);
        }
    });
    let cache = open(folder.path(), 200 * UNIT_BYTES);
    on_shard(move || async move {
        let part = part_of(&cache);
        assert_eq!(part.usage(), 0, "nothing is listed at start");
        let fresh = part.open_file(Ino(1000));
        fill(&part, &fresh, 0, 1, 1).await;
        adopt(&part).await;
        assert_eq!((part.usage(), fresh.valid_units(0)), (200 * UNIT_BYTES, 1));
        fill(&part, &fresh, 1, 1, 64).await;
        assert_eq!((part.usage(), fresh.valid_units(0)), (200 * UNIT_BYTES, 1));
    });
    assert_eq!(files_on_disk(folder.path(), "data").len(), 200 - 64);
}

#[test]
fn a_disk_with_too_little_free_space_is_emptied_and_not_filled() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), 1 << 30);
    on_shard(move || async move {
        let part = part_of(&cache);
        fill(&part, &part.open_file(INO), 0, 1, 4).await;
        assert_eq!(part.usage(), 4 * UNIT_BYTES);
    });
    let hungry = CacheConfig { free_space_min: 1.0, ..config(folder.path(), 1 << 30) };
    let cache = Cache::open(&hungry, "volume", 1).unwrap();
    on_shard(move || async move {
        let part = part_of(&cache);
        adopt(&part).await;
        assert_eq!(part.usage(), 0);
        let file = part.open_file(Ino(78));
        fill(&part, &file, 0, 1, 1).await;
        assert_eq!((file.valid_units(0), part.usage(), part.is_degraded()), (0, 0, false));
    });
    assert_eq!(files_on_disk(folder.path(), "data").len(), 0);
}
