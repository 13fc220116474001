//! A disk that lies, loses or refuses: wrong bytes are never served, and nothing fails but the cache.

use super::*;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

/// Leaves two cached units of block 0 behind, as an earlier run would.
fn earlier_run(folder: &Path) {
    let cache = open(folder, 1 << 30);
    on_shard(move || async move {
        let part = part_of(&cache);
        let file = part.open_file(INO);
        fill(&part, &file, 0, 1, 2).await;
        assert_eq!(file.valid_units(0), 0b11);
    });
}

fn flip(path: &Path, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x40], at).unwrap();
    file.sync_all().unwrap();
}

#[test]
fn a_byte_flipped_on_disk_between_runs_is_not_served_and_can_be_stored_anew() {
    let folder = tempfile::tempdir().unwrap();
    earlier_run(folder.path());
    flip(&file_on_disk(folder.path(), "data"), UNIT_BYTES + 1234);
    let cache = open(folder.path(), 1 << 30);
    on_shard(move || async move {
        let part = part_of(&cache);
        let file = part.open_file(INO);
        part.identify(&file, 0, 1);
        assert_eq!(part.verify_units(&file, 0, 0b11).await, 0b01);
        assert_eq!((file.valid_units(0), read(&file, UNIT_BYTES, 1).await), (0b01, None));
        assert_eq!(read(&file, 0, UNIT).await.as_deref(), Some(&content(1, UNIT)[..]));
        fill(&part, &file, 0, 1, 2).await;
        assert_eq!(read(&file, 0, 2 * UNIT).await.as_deref(), Some(&content(1, 2 * UNIT)[..]));
    });
}

#[test]
fn data_that_never_reached_the_disk_is_not_served() {
    let folder = tempfile::tempdir().unwrap();
    earlier_run(folder.path());
    let data = OpenOptions::new().write(true).open(file_on_disk(folder.path(), "data")).unwrap();
    data.set_len(UNIT_BYTES + 4096).unwrap();
    let cache = open(folder.path(), 1 << 30);
    on_shard(move || async move {
        let part = part_of(&cache);
        let file = part.open_file(INO);
        part.identify(&file, 0, 1);
        assert_eq!(part.verify_units(&file, 0, 0b11).await, 0b01);
    });
}

#[test]
fn a_torn_index_entry_counts_as_empty() {
    let folder = tempfile::tempdir().unwrap();
    earlier_run(folder.path());
    flip(&file_on_disk(folder.path(), "index"), 512 + 8);
    let cache = open(folder.path(), 1 << 30);
    on_shard(move || async move {
        let part = part_of(&cache);
        adopt(&part).await;
        assert_eq!(part.usage(), BLOCK_BYTES, "what lies there can't be named, so the whole block is counted");
        let file = part.open_file(INO);
        assert_eq!(file.valid_units(0), 0);
        part.identify(&file, 0, 1);
        assert_eq!(file.valid_units(0), 0);
        fill(&part, &file, 0, 1, 2).await;
        assert!(read(&file, 0, 1).await.is_some());
    });
}

#[test]
fn a_foreign_index_and_data_without_index_are_cleared_away() {
    for at in [0, 8, 16, 508] {
        let folder = tempfile::tempdir().unwrap();
        earlier_run(folder.path());
        flip(&file_on_disk(folder.path(), "index"), at);
        let cache = open(folder.path(), 1 << 30);
        on_shard(move || async move {
            let part = part_of(&cache);
            assert_eq!(part.open_file(INO).valid_units(0), 0);
            part.close_file(&part.open_file(INO));
            adopt(&part).await;
            assert_eq!(part.usage(), 0);
        });
        assert_eq!(files_on_disk(folder.path(), "data").len() + files_on_disk(folder.path(), "index").len(), 0);
    }
}

#[test]
fn with_verify_always_a_byte_flipped_while_running_is_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_path_buf();
    let cache = Cache::open(&CacheConfig { verify_always: true, ..config(&path, 1 << 30) }, "volume", 1).unwrap();
    on_shard(move || async move {
        let part = part_of(&cache);
        let file = part.open_file(INO);
        fill(&part, &file, 0, 1, 4).await;
        assert_eq!(read(&file, 100, 2 * UNIT).await.as_deref(), Some(&content(1, 4 * UNIT)[100..100 + 2 * UNIT]));
        flip(&file_on_disk(&path, "data"), 2 * UNIT_BYTES + 7);
        assert_eq!(read(&file, 2 * UNIT_BYTES + 8192, 1).await, None);
        assert!(read(&file, 0, 2 * UNIT).await.is_some());
        assert_eq!(part.verify_units(&file, 0, 0b1111).await, 0b1011);
        assert_eq!(file.valid_units(0), 0b1011);
    });
}

#[test]
fn a_vanished_folder_turns_the_cache_off_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), 1 << 30);
    let slot = cache.slots().next().unwrap().to_path_buf();
    on_shard(move || async move {
        let part = part_of(&cache);
        let kept = part.open_file(INO);
        fill(&part, &kept, 0, 1, 1).await;
        std::fs::remove_dir_all(slot).unwrap();
        let file = part.open_file(Ino(78));
        fill(&part, &file, 0, 1, 1).await;
        assert!(part.is_degraded());
        assert_eq!((file.valid_units(0), read(&file, 0, 1).await), (0, None));
        fill(&part, &kept, 1, 1, 1).await;
        assert_eq!(kept.valid_units(1), 0);
        assert!(read(&kept, 0, 1).await.is_some(), "what is still readable is served");
        part.remove(INO);
        assert!(!part.adopt_step().await);
    });
}

#[test]
fn a_lack_of_room_passes_and_a_failing_disk_does_not() {
    use rustix::io::Errno;
    let folder = tempfile::tempdir().unwrap();
    let part = part_of(&open(folder.path(), 1 << 30));
    for passing in [Errno::NOSPC, Errno::DQUOT, Errno::MFILE] {
        part.note(&passing.into());
        assert!(!part.is_degraded());
    }
    part.note(&Errno::IO.into());
    assert!(part.is_degraded());
}
