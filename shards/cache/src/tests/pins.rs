//! What people want kept, and what they want gone.

use super::*;

const PINNED: Ino = Ino(5);

async fn fill_file(part: &CachePart, ino: Ino, units: u32) -> Arc<CacheFile> {
    let file = part.open_file(ino);
    fill(part, &file, 0, 1, units).await;
    file
}

#[test]
fn nothing_new_takes_the_place_of_a_pinned_file() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), 6 * UNIT_BYTES);
    on_shard(move || async move {
        let part = part_of(&cache);
        let pinned = fill_file(&part, PINNED, 4).await;
        assert!(part.set_pinned(&pinned, true));
        for ino in 10..20 {
            let file = fill_file(&part, Ino(ino), 2).await;
            assert_eq!((file.valid_units(0), pinned.valid_units(0)), (0b11, 0b1111));
        }
        let large = fill_file(&part, Ino(20), 3).await;
        assert_eq!((large.valid_units(0), pinned.valid_units(0)), (0, 0b1111));
        part.close_file(&pinned);
        fill_file(&part, Ino(21), 2).await;
        let pinned = part.open_file(PINNED);
        assert_eq!(pinned.valid_units(0), 0b1111);
        assert!(part.set_pinned(&pinned, false));
        let large = fill_file(&part, Ino(22), 6).await;
        assert_eq!((large.valid_units(0), pinned.valid_units(0)), (0b11_1111, 0));
    });
}

#[test]
fn a_shard_that_lacks_its_share_gets_nothing_from_pinned_files_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(&config(folder.path(), 6 * UNIT_BYTES), "volume", 2).unwrap();
    on_shard(move || async move {
        let parts = [0, 1].map(|shard| cache.of_shard(shard).0.remove(0).expect("the folder can be written"));
        let inodes = [0, 1].map(|shard| (1..).map(Ino).find(|ino| ino.mix() % 2 == shard).unwrap());
        let pinned = fill_file(&parts[0], inodes[0], 6).await;
        assert!(parts[0].set_pinned(&pinned, true));
        for _ in 0..3 {
            assert_eq!(fill_file(&parts[1], inodes[1], 1).await.valid_units(0), 0);
            parts[0].adopt_step().await;
            assert_eq!(pinned.valid_units(0), 0b11_1111);
        }
        assert!(parts[0].set_pinned(&pinned, false));
        parts[0].adopt_step().await;
        assert_eq!(fill_file(&parts[1], inodes[1], 1).await.valid_units(0), 1);
    });
}

#[test]
fn pins_are_there_again_after_a_restart_whether_anything_is_cached_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), 1 << 30);
    on_shard(move || async move {
        let part = part_of(&cache);
        let file = fill_file(&part, PINNED, 4).await;
        let empty = part.open_file(Ino(6));
        fill_file(&part, Ino(7), 4).await;
        assert!(part.set_pinned(&file, true) && part.set_pinned(&empty, true));
    });
    let cache = open(folder.path(), 6 * UNIT_BYTES);
    on_shard(move || async move {
        let part = part_of(&cache);
        assert!(!part.is_pinned(PINNED), "nothing is listed at start");
        let file = part.open_file(PINNED);
        assert!(part.is_pinned(PINNED), "but it is known as soon as the file is opened");
        adopt(&part).await;
        assert_eq!(part.pinned_files(Ino(0), 9), [PINNED, Ino(6)]);
        assert_eq!(part.pinned_files(PINNED, 9), [Ino(6)]);
        assert_eq!((file.valid_units(0), part.usage()), (0b1111, 4 * UNIT_BYTES), "of two files, the other one went");
        let later = fill_file(&part, Ino(6), 2).await;
        assert_eq!((later.valid_units(0), file.valid_units(0)), (0b11, 0b1111));
        let none = fill_file(&part, Ino(8), 1).await;
        assert_eq!(none.valid_units(0), 0, "all room is pinned");
    });
}

#[test]
fn a_lower_bound_evicts_pinned_files_too_and_keeps_their_pins() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), 1 << 30);
    on_shard(move || async move {
        let part = part_of(&cache);
        for ino in 1..=4 {
            let file = fill_file(&part, Ino(ino), 4).await;
            assert!(part.set_pinned(&file, ino != 3));
            part.close_file(&file);
        }
    });
    let cache = open(folder.path(), 8 * UNIT_BYTES);
    on_shard(move || async move {
        let part = part_of(&cache);
        adopt(&part).await;
        assert_eq!(part.usage(), 8 * UNIT_BYTES);
        assert_eq!(part.open_file(Ino(3)).valid_units(0), 0, "the one that is not pinned went first");
        let kept = [1, 2, 4].into_iter().filter(|ino| part.open_file(Ino(*ino)).valid_units(0) == 0b1111).count();
        assert_eq!(kept, 2);
        assert_eq!(part.pinned_files(Ino(0), 9), [Ino(1), Ino(2), Ino(4)]);
    });
}

#[test]
fn a_dropped_file_leaves_nothing_also_of_what_nobody_has_met_since_the_restart() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), 1 << 30);
    on_shard(move || async move {
        let part = part_of(&cache);
        let file = part.open_file(INO);
        for block in [0, 1, 3000] {
            fill(&part, &file, block, 1, 2).await;
        }
        assert!(part.set_pinned(&file, true));
    });
    let cache = open(folder.path(), 1 << 30);
    let path = folder.path().to_path_buf();
    on_shard(move || async move {
        let part = part_of(&cache);
        let file = part.open_file(INO);
        fill(&part, &file, 7, 1, 1).await;
        part.drop_file(&file).await;
        assert_eq!([0, 1, 7, 3000].map(|block| file.valid_units(block)), [0; 4]);
        assert_eq!((part.usage(), part.is_pinned(INO)), (0, false));
        fill(&part, &file, 1, 1, 1).await;
        assert!(read(&file, in_block(1, 0), UNIT).await.is_some(), "it can be cached again");
        part.close_file(&file);
        assert_eq!(files_on_disk(&path, "data").len(), 1);
        let file = part.open_file(INO);
        part.drop_file(&file).await;
        part.close_file(&file);
        assert_eq!((files_on_disk(&path, "data").len(), files_on_disk(&path, "index").len()), (0, 0));
    });
}

#[test]
fn a_lent_file_is_dropped_when_it_has_been_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), 1 << 30);
    on_shard(move || async move {
        let part = part_of(&cache);
        let file = fill_file(&part, INO, 2).await;
        let lent = [part.lend(&file, 2 * UNIT_BYTES), part.lend(&file, 2 * UNIT_BYTES)];
        assert!(lent.iter().all(Option::is_some));
        part.drop_file(&file).await;
        assert_eq!(file.valid_units(0), 0b11);
        assert!(!part.give_back(&file) && part.give_back(&file));
        part.drop_file(&file).await;
        assert_eq!((file.valid_units(0), part.usage()), (0, 0));
    });
}

#[test]
fn a_removed_inode_is_not_pinned_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), 1 << 30);
    on_shard(move || async move {
        let part = part_of(&cache);
        adopt(&part).await;
        let file = part.open_file(PINNED);
        assert!(part.set_pinned(&file, true));
        part.close_file(&file);
        part.remove(PINNED);
        assert!(!part.is_pinned(PINNED) && part.pinned_files(Ino(0), 1).is_empty());
    });
    assert_eq!(files_on_disk(folder.path(), "index").len(), 0);
}
