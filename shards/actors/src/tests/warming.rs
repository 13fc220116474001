//! What is fetched into the cache before anybody reads it, and what is known of it.

use super::*;
use crate::{CacheOrder, Warmed};
use shoal_kv_sqlite::SqliteKv;
use shoal_types::BLOCK_BYTES;
use std::sync::atomic::Ordering::SeqCst;

/// Three blocks: one full, one a hole, one that ends within a unit.
const LENGTH: u64 = 2 * BLOCK_BYTES + 100_000;
const DATA: u64 = BLOCK_BYTES + 100_000;

fn cached_config(kv: Arc<dyn Kv>, store: &Arc<TestStore>, folder: &Path, shards: usize) -> Config {
    let mut config = config(kv, store, shards);
    config.settings.block_bytes = 4 << 20;
    // One block at a time has room, however many are wanted.
    config.read_buffer_bytes = shards as u64 * BLOCK_BYTES;
    config.write_buffer_bytes = 64 << 20;
    config.cache = cache_in(folder);
    config
}

fn warm(volume: &Shards, ino: Ino, order: CacheOrder) -> FsResult<Warmed> {
    let mut sum = Warmed { next: Some(0), ..Warmed::default() };
    while let Some(first) = sum.next {
        let done = on(volume, 0, move |local| async move { local.warm(ino, order, first..u64::MAX).await })?;
        assert!(done.next.is_none_or(|next| next > first), "each call comes further");
        let (cached, bytes) = (sum.cached + done.cached, sum.bytes + done.bytes);
        sum = Warmed { cached, bytes, ..done };
    }
    Ok(sum)
}

fn counted(volume: &Shards, ino: Ino) -> (u64, u64, bool) {
    let found = warm(volume, ino, CacheOrder::Look).unwrap();
    (found.cached, found.bytes, found.pinned)
}

fn write_file(volume: &Shards, called: &str) -> (Ino, Vec<u8>) {
    let ino = create_open(volume, 0, called);
    let mut expected = pattern(1, LENGTH as usize);
    expected[BLOCK_BYTES as usize..2 * BLOCK_BYTES as usize].fill(0);
    for start in [0, 2 * BLOCK_BYTES as usize] {
        let data = expected[start..][..(BLOCK_BYTES as usize).min(expected.len() - start)].to_vec();
        write(volume, 0, ino, start as u64, data).unwrap();
    }
    flush(volume, 0, ino).unwrap();
    (ino, expected)
}

#[test]
fn a_warmed_file_is_read_without_the_store_also_after_a_restart() {
    let store = Arc::new(TestStore::new(0.0));
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("a.db");
    let kv = SqliteKv::open(&database, true).unwrap();
    format(&*kv);
    let volume = Shards::start(cached_config(kv, &store, folder.path(), 2)).unwrap();
    let (ino, expected) = write_file(&volume, "f");
    assert_eq!(counted(&volume, ino), (0, DATA, false));
    let filled = warm(&volume, ino, CacheOrder::Fill).unwrap();
    assert_eq!((filled.cached, filled.bytes), (DATA, DATA));
    assert_eq!(counted(&volume, ino), (DATA, DATA, false));
    let gets = store.gets.load(SeqCst);
    warm(&volume, ino, CacheOrder::Fill).unwrap();
    assert_eq!(store.gets.load(SeqCst), gets, "what is there is not fetched again");
    assert!(warm(&volume, ino, CacheOrder::Pin).unwrap().pinned);
    close(&volume, 0, ino);
    volume.stop().unwrap();
    let kv = SqliteKv::open(&database, false).unwrap();
    let volume = Shards::start(cached_config(kv, &store, folder.path(), 2)).unwrap();
    assert_eq!(counted(&volume, ino), (DATA, DATA, true));
    store.down.store(true, SeqCst);
    for start in (0..LENGTH).step_by(1 << 20) {
        let found = read(&volume, 1, ino, start, 1 << 20).unwrap();
        assert!(found == expected[start as usize..][..found.len()], "{start}");
    }
    warm(&volume, ino, CacheOrder::Drop).unwrap();
    assert_eq!(counted(&volume, ino), (0, DATA, false));
    assert_eq!(warm(&volume, ino, CacheOrder::Fill), Err(Errno::EIO));
    volume.stop().unwrap();
}

#[test]
fn what_is_buffered_is_warmed_with_the_rest_and_what_metadata_holds_needs_no_cache() {
    let (kv, store) = (MemoryKv::new(), Arc::new(TestStore::new(0.0)));
    let folder = tempfile::tempdir().unwrap();
    format(&*kv);
    let volume = Shards::start(cached_config(kv, &store, folder.path(), 2)).unwrap();
    let small = create_open(&volume, 0, "small");
    write(&volume, 0, small, 0, vec![1; 100]).unwrap();
    assert_eq!(warm(&volume, small, CacheOrder::Fill).unwrap().bytes, 0);
    let grown = create_open(&volume, 0, "grown");
    write(&volume, 0, grown, 0, vec![1; 100]).unwrap();
    flush(&volume, 0, grown).unwrap();
    // Far behind: all that is between costs no step.
    write(&volume, 0, grown, 1 << 50, vec![2; 5000]).unwrap();
    let filled = warm(&volume, grown, CacheOrder::Fill).unwrap();
    assert_eq!(filled.bytes, (64 << 10) + 5000);
    assert_eq!(filled.cached, 64 << 10, "a cache file ends at 16 TiB");
    volume.stop().unwrap();
}

#[test]
fn a_file_that_changes_while_it_is_warmed_is_read_as_it_is() {
    let (kv, store) = (MemoryKv::new(), Arc::new(TestStore::new(0.0)));
    let folder = tempfile::tempdir().unwrap();
    format(&*kv);
    let volume = Shards::start(cached_config(kv, &store, folder.path(), 2)).unwrap();
    let (ino, mut expected) = write_file(&volume, "f");
    std::thread::scope(|scope| {
        let warmer = scope.spawn(|| (0..50).for_each(|_| _ = warm(&volume, ino, CacheOrder::Fill).unwrap()));
        for number in 0..50u64 {
            let patch = pattern(number + 2, 50_000);
            let at = number * 150_000;
            write(&volume, 1, ino, at, patch.clone()).unwrap();
            flush(&volume, 1, ino).unwrap();
            expected[at as usize..][..50_000].copy_from_slice(&patch);
            let found = read(&volume, 1, ino, at, 1 << 20).unwrap();
            assert!(found == expected[at as usize..][..found.len()], "{at}");
        }
        warmer.join().unwrap();
    });
    let filled = warm(&volume, ino, CacheOrder::Fill).unwrap();
    assert_eq!(filled.cached, filled.bytes);
    for start in (0..LENGTH).step_by(1 << 20) {
        let found = read(&volume, 0, ino, start, 1 << 20).unwrap();
        assert!(found == expected[start as usize..][..found.len()], "{start}");
    }
    volume.stop().unwrap();
}

#[test]
fn pins_of_files_that_are_no_more_are_forgotten() {
    let (kv, store) = (MemoryKv::new(), Arc::new(TestStore::new(0.0)));
    let folder = tempfile::tempdir().unwrap();
    format(&*kv);
    let volume = Shards::start(cached_config(kv, &store, folder.path(), 1)).unwrap();
    let (ino, _) = write_file(&volume, "f");
    warm(&volume, ino, CacheOrder::Fill).unwrap();
    warm(&volume, ino, CacheOrder::Pin).unwrap();
    close(&volume, 0, ino);
    // As if another mount had removed it while this one was not there.
    let pinned = on(&volume, 0, move |local| async move {
        let part = local.cache_part(ino).unwrap();
        let same_part = |other: &Ino| local.cache_part(*other).is_some_and(|other| std::ptr::eq(other, part));
        let gone = part.open_file((1 << 40..).map(Ino).find(same_part).unwrap());
        assert!(part.set_pinned(&gone, true));
        part.close_file(&gone);
        let before = part.pinned_files(Ino(0), 9).len();
        local.look_after_pins(part, Ino(0)).await;
        (before, part.pinned_files(Ino(0), 9))
    });
    assert_eq!(pinned, (2, vec![ino]));
    assert_eq!(counted(&volume, ino), (DATA, DATA, true));
    volume.stop().unwrap();
}

#[test]
fn a_mount_without_a_cache_says_so() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = volume(&store, 1);
    let ino = create_open(&volume, 0, "f");
    for order in [CacheOrder::Look, CacheOrder::Fill, CacheOrder::Pin, CacheOrder::Drop] {
        assert_eq!(warm(&volume, ino, order), Err(Errno::EOPNOTSUPP));
    }
    volume.stop().unwrap();
}
