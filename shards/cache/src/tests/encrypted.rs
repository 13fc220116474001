//! A cache of an encrypted volume: what lies on the disk tells nothing, and what was stored otherwise is not read.

use super::*;

fn encrypting(folder: &Path) -> Cache {
    let config = CacheConfig { encrypt: Some(sealer()), ..config(folder, 1 << 30) };
    Cache::open(&config, "volume", 1).unwrap()
}

/// What stands in the data file at each unit that the bytes of `generation` would fill.
fn shows(folder: &Path, generation: u32) -> bool {
    let stored = std::fs::read(file_on_disk(folder, "data")).unwrap();
    let plain = content(generation, 2 * UNIT);
    plain.chunks(64).any(|piece| stored.windows(64).step_by(8).any(|window| window == piece))
}

#[test]
fn bytes_come_back_at_any_place_also_after_a_restart_and_the_disk_shows_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_path_buf();
    for run in 0..2 {
        let (cache, path) = (encrypting(&path), path.clone());
        on_shard(move || async move {
            let part = part_of(&cache);
            let file = part.open_file(INO);
            if run == 0 {
                fill(&part, &file, 0, 1, 2).await;
                // The end of a file lies within its last unit.
                part.identify(&file, 1, 2);
                part.store(&file, 1, 0, 1, content(2, 1000)).await;
            }
            for (block, identity, units) in [(0, 1, 0b11), (1, 2, 0b1)] {
                part.identify(&file, block, identity);
                assert_eq!(part.verify_units(&file, block, units).await, units);
            }
            let plain = content(1, 2 * UNIT);
            for (offset, length) in [(0, 2 * UNIT), (0, 1), (4096, 4096), (UNIT - 3, 6), (2 * UNIT - 1, 1), (17, UNIT)]
            {
                let found = read(&file, offset as u64, length).await;
                assert!(found.as_deref() == Some(&plain[offset..offset + length]), "{offset} + {length}");
            }
            assert_eq!(read(&file, in_block(1, 0), 1000).await.as_deref(), Some(&content(2, 1000)[..]));
            assert_eq!(read(&file, in_block(1, 1000), 50).await.as_deref(), Some(&[0; 50][..]));
            assert!(part.lend(&file, 2 * UNIT_BYTES).is_none(), "nobody else could read it");
            assert!(!shows(&path, 1));
        });
    }
}

#[test]
fn a_flipped_bit_is_a_miss_and_never_a_wrong_byte() {
    use std::os::unix::fs::FileExt;
    let folder = tempfile::tempdir().unwrap();
    let (cache, path) = (encrypting(folder.path()), folder.path().to_path_buf());
    on_shard(move || async move {
        let part = part_of(&cache);
        let file = part.open_file(INO);
        fill(&part, &file, 0, 1, 2).await;
        let data = std::fs::OpenOptions::new().read(true).write(true).open(file_on_disk(&path, "data")).unwrap();
        let mut byte = [0];
        data.read_exact_at(&mut byte, 5).unwrap();
        data.write_all_at(&[byte[0] ^ 1], 5).unwrap();
        data.sync_all().unwrap();
        assert_eq!(read(&file, 100, 10).await, None);
        assert!(read(&file, UNIT_BYTES, 10).await.is_some());
    });
}

#[test]
fn what_a_mount_that_did_not_encrypt_has_left_is_dropped_and_the_other_way_round_and_pins_stay() {
    for begin_encrypted in [false, true] {
        for pinned in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().to_path_buf();
            for (generation, encrypt) in [(1, begin_encrypted), (2, !begin_encrypted)] {
                let cache = if encrypt { encrypting(&path) } else { open(&path, 1 << 30) };
                let path = path.clone();
                on_shard(move || async move {
                    let part = part_of(&cache);
                    if generation == 2 && !pinned {
                        adopt(&part).await;
                        assert_eq!(part.usage(), 0);
                    }
                    let file = part.open_file(INO);
                    // Of the same bytes as before.
                    part.identify(&file, 0, 1);
                    if generation == 2 {
                        assert_eq!((file.valid_units(0), read(&file, 0, 1).await), (0, None));
                        assert_eq!(part.is_pinned(INO), pinned);
                    }
                    assert!(part.set_pinned(&file, pinned));
                    fill(&part, &file, 0, 1, 2).await;
                    assert_eq!(read(&file, 9, 999).await.as_deref(), Some(&content(1, 2 * UNIT)[9..1008]));
                    assert_eq!(shows(&path, 1), !encrypt);
                });
            }
        }
    }
}
