//! What is stored, by whom it can be read, and when it ends.

use super::*;

#[test]
fn what_the_owner_stores_another_shard_reads_back_at_any_alignment() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), 1 << 30);
    let (part, file) = on_shard(move || async move {
        let part = part_of(&cache);
        let file = part.open_file(INO);
        assert_eq!(read(&file, 0, 10).await, None);
        for block in 1..3 {
            fill(&part, &file, block, 5, 64).await;
        }
        (part, file)
    });
    let reader = file.clone();
    on_shard(move || async move {
        let bytes = content(5, BLOCK_BYTES as usize);
        for (within, length) in
            [(0, UNIT), (0, 4096), (0, 5000), (4096, 1), (8191, 2), (UNIT - 1, 3 * UNIT), (12, 1 << 20)]
        {
            let found = read(&reader, in_block(1, within), length).await;
            assert_eq!(found.as_deref(), Some(&bytes[within..within + length]), "{within}, {length}");
        }
        let seam = read(&reader, in_block(2, 0) - 100, 200).await.expect("both blocks are cached");
        assert_eq!(seam, [&bytes[bytes.len() - 100..], &bytes[..100]].concat());
        for (block, within) in [(0, 0), (0, BLOCK_BYTES as usize - 1), (2, BLOCK_BYTES as usize - 1)] {
            assert_eq!(read(&reader, in_block(block, within), 2).await, None, "one byte of it is not cached");
        }
    });
    assert_eq!(part.usage(), 2 * BLOCK_BYTES);
    assert!(
        file.covers(in_block(1, 0), 2 * BLOCK_BYTES as usize) && !file.covers(in_block(2, 1), BLOCK_BYTES as usize)
    );
}

#[test]
fn the_end_of_a_file_is_cached_as_if_zeros_followed() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), 1 << 30);
    on_shard(move || async move {
        let part = part_of(&cache);
        let file = part.open_file(INO);
        part.identify(&file, 0, 1);
        let bytes = content(1, UNIT + 100);
        part.store(&file, 0, 3, 2, bytes.clone()).await;
        assert_eq!(file.valid_units(0), 0b11000);
        let found = read(&file, in_block(0, 3 * UNIT), 2 * UNIT).await.expect("both units are cached");
        assert_eq!(found[..bytes.len()], bytes);
        assert!(found[bytes.len()..].iter().all(|byte| *byte == 0));
    });
}

#[test]
fn another_identity_empties_the_block_and_only_it() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), 1 << 30);
    on_shard(move || async move {
        let part = part_of(&cache);
        let file = part.open_file(INO);
        fill(&part, &file, 0, 1, 2).await;
        fill(&part, &file, 1, 1, 2).await;
        part.identify(&file, 0, 1);
        assert_eq!(file.valid_units(0), 0b11);
        part.identify(&file, 0, 2);
        assert_eq!((file.valid_units(0), file.valid_units(1)), (0, 0b11));
        assert_eq!(read(&file, 0, 1).await, None);
        assert!(read(&file, in_block(1, 0), 1).await.is_some());
    });
}

#[test]
fn invalidated_blocks_take_no_bytes_before_they_are_identified_again() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), 1 << 30);
    on_shard(move || async move {
        let part = part_of(&cache);
        let file = part.open_file(INO);
        fill(&part, &file, 0, 1, 1).await;
        fill(&part, &file, 40, 1, 1).await;
        part.invalidate(&file, 40..u64::MAX);
        assert_eq!((file.valid_units(0), file.valid_units(40)), (1, 0));
        part.store(&file, 40, 0, 1, content(1, UNIT)).await;
        assert_eq!((file.valid_units(40), read(&file, in_block(40, 0), 1).await), (0, None));
        fill(&part, &file, 40, 1, 1).await;
        assert!(read(&file, in_block(40, 0), 1).await.is_some());
    });
}

#[test]
fn forgotten_identities_hide_bytes_until_the_owner_confirms_them() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), 1 << 30);
    on_shard(move || async move {
        let part = part_of(&cache);
        let file = part.open_file(INO);
        fill(&part, &file, 0, 1, 1).await;
        part.forget_identities(&file);
        assert_eq!(read(&file, 0, 1).await, None);
        assert_eq!(part.verify_units(&file, 0, 1).await, 0);
        part.identify(&file, 0, 1);
        assert!(read(&file, 0, 1).await.is_some());
    });
}

#[test]
fn a_change_during_a_store_wins_over_it() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), 1 << 30);
    on_shard(move || async move {
        let part = part_of(&cache);
        let file = part.open_file(INO);
        part.identify(&file, 0, 1);
        let mut store = Box::pin(part.store(&file, 0, 0, 1, content(1, UNIT)));
        // The first poll hands the write to the kernel.
        assert!(is_pending(&mut store).await);
        part.identify(&file, 0, 2);
        part.store(&file, 0, 0, 1, content(2, UNIT)).await;
        assert_eq!(file.valid_units(0), 0, "a second write to the same bytes would race with the first");
        store.await;
        assert_eq!((file.valid_units(0), read(&file, 0, 1).await), (0, None));
        fill(&part, &file, 0, 2, 1).await;
        assert_eq!(read(&file, 0, UNIT).await.as_deref(), Some(&content(2, UNIT)[..]));
    });
}

#[test]
fn a_restart_keeps_what_was_cached_and_verifies_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), 1 << 30);
    on_shard(move || async move {
        let part = part_of(&cache);
        let file = part.open_file(INO);
        fill(&part, &file, 3, 1, 8).await;
    });
    let cache = open(folder.path(), 1 << 30);
    on_shard(move || async move {
        let part = part_of(&cache);
        let file = part.open_file(INO);
        assert!(file.covers(in_block(3, 0), 8 * UNIT), "known before the block is identified");
        assert_eq!(read(&file, in_block(3, 0), 1).await, None);
        part.identify(&file, 3, 1);
        assert_eq!(read(&file, in_block(3, 0), 1).await, None, "valid but not verified");
        assert_eq!(part.verify_units(&file, 3, 0b1_0000_0011).await, 0b11);
        assert_eq!(read(&file, in_block(3, 0), 2 * UNIT).await.as_deref(), Some(&content(1, 8 * UNIT)[..2 * UNIT]));
        assert_eq!(read(&file, in_block(3, 2 * UNIT), 1).await, None);
        assert_eq!(part.usage(), 8 * UNIT_BYTES);
        adopt(&part).await;
        assert_eq!(part.usage(), 8 * UNIT_BYTES, "counted once");
        part.close_file(&file);
        assert_eq!(read(&file, in_block(3, 0), 1).await, None, "nothing is served through a closed file");
        let again = part.open_file(INO);
        part.identify(&again, 3, 2);
        assert_eq!(again.valid_units(3), 0);
    });
}

#[test]
fn what_this_run_has_stored_or_verified_is_ready_when_the_file_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), 1 << 30);
    on_shard(move || async move {
        let part = part_of(&cache);
        for generation in [1, 2] {
            let file = part.open_file(INO);
            fill(&part, &file, 3, generation, 2).await;
            part.close_file(&file);
            let again = part.open_file(INO);
            assert_eq!(read(&again, in_block(3, 0), 1).await, None, "the owner has not identified it yet");
            part.identify(&again, 3, u64::from(generation));
            let found = read(&again, in_block(3, 0), 2 * UNIT).await;
            assert_eq!(found.as_deref(), Some(&content(generation, 2 * UNIT)[..]));
            part.invalidate(&again, 3..4);
            part.close_file(&again);
            let emptied = part.open_file(INO);
            part.identify(&emptied, 3, u64::from(generation));
            assert_eq!(read(&emptied, in_block(3, 0), 1).await, None, "dropped units are not remembered as verified");
            part.close_file(&emptied);
        }
    });
}

#[test]
fn a_removed_inode_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), 1 << 30);
    on_shard(move || async move {
        let part = part_of(&cache);
        let file = part.open_file(INO);
        fill(&part, &file, 0, 1, 4).await;
        part.remove(INO);
        assert_eq!((part.usage(), file.valid_units(0), read(&file, 0, 1).await), (0, 0, None));
        fill(&part, &file, 0, 1, 4).await;
        assert_eq!(part.usage(), 0);
    });
    assert_eq!(files_on_disk(folder.path(), "data").len() + files_on_disk(folder.path(), "index").len(), 0);
}

#[test]
fn two_mounts_of_one_volume_never_share_a_slot() {
    let folder = tempfile::tempdir().unwrap();
    let open = |mount: &str| {
        let config = CacheConfig { mount: mount.into(), ..config(folder.path(), 1 << 20) };
        Cache::open(&config, "volume", 1).expect("the folder can be written")
    };
    let slot = |cache: &Cache| cache.slots().next().unwrap().to_path_buf();
    let (first, second) = (open("/a"), open("/b"));
    let slots = [slot(&first), slot(&second)];
    assert_ne!(slots[0], slots[1]);
    let third = open("/a");
    assert!(!slots.contains(&slot(&third)), "the name alone takes nobody's slot away");
    drop((first, second));
    assert_eq!(slot(&open("/b")), slots[1], "each finds its own again, whoever comes first");
    assert_eq!(slot(&open("/c")), slots[0], "and a new one takes over what is free");
}
