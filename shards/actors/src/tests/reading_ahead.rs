//! What is fetched before anybody asks for it: the next reads of a stride, the next files of a directory.

use super::*;
use crate::CacheOrder;
use shoal_kv_sqlite::SqliteKv;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering::SeqCst;

const FILE_BYTES: usize = 100_000;

fn started(kv: Arc<dyn Kv>, store: &Arc<TestStore>, cache: Option<&Path>) -> Shards {
    let mut config = config(kv, store, 2);
    config.settings.block_bytes = 4 << 20;
    config.write_buffer_bytes = 64 << 20;
    config.read_buffer_bytes = 64 << 20;
    config.readahead_bytes_max = 8 << 20;
    config.cache = cache.and_then(cache_in);
    Shards::start(config).unwrap()
}

/// Files of the root directory, made in this order, on a volume that was mounted anew since.
fn files(names: &[String], store: &Arc<TestStore>, folder: &Path) -> (Shards, Vec<(Ino, Vec<u8>)>) {
    let kv = SqliteKv::open(&folder.join("a.db"), true).unwrap();
    format(&*kv);
    let volume = started(kv, store, None);
    let files = names.iter().enumerate().map(|(number, called)| {
        let (ino, bytes) = (create_open(&volume, 0, called), pattern(number as u64, FILE_BYTES));
        write(&volume, 0, ino, 0, bytes.clone()).unwrap();
        flush(&volume, 0, ino).unwrap();
        close(&volume, 0, ino);
        (ino, bytes)
    });
    let files = files.collect();
    volume.stop().unwrap();
    // As a store in another place.
    store.get_delay_ms.store(3, SeqCst);
    let kv = SqliteKv::open(&folder.join("a.db"), false).unwrap();
    (started(kv, store, Some(folder)), files)
}

fn cached_bytes(volume: &Shards, ino: Ino) -> u64 {
    on(volume, 0, move |local| async move { local.warm(ino, CacheOrder::Look, 0..u64::MAX).await }).unwrap().cached
}

fn read_whole(volume: &Shards, (ino, bytes): &(Ino, Vec<u8>)) {
    open(volume, 1, *ino).unwrap();
    assert!(read(volume, 1, *ino, 0, FILE_BYTES).unwrap() == *bytes, "{ino}");
    close(volume, 1, *ino);
}

#[test]
fn the_next_files_of_a_directory_are_there_when_they_are_read_in_the_order_of_the_listing_or_of_the_names() {
    let names: Vec<String> = (0..60).map(|number| format!("{:02}", number * 7 % 60)).collect();
    let mut by_name: Vec<usize> = (0..60).collect();
    by_name.sort_by_key(|number| &names[*number]);
    for listed in [true, false] {
        let store = Arc::new(TestStore::new(0.0));
        let folder = tempfile::tempdir().unwrap();
        let (volume, files) = files(&names, &store, folder.path());
        let listing = on(&volume, 0, |local| async move { local.read_directory(Ino::ROOT, 0, 100, false).await });
        let place = |ino| files.iter().position(|(other, _)| *other == ino).unwrap();
        let listing: Vec<usize> = listing.unwrap().entries.iter().map(|entry| place(entry.ino)).collect();
        let order = if listed { listing } else { by_name.clone() };
        order[..20].iter().for_each(|number| read_whole(&volume, &files[*number]));
        wait_until("eight more files are fetched", || store.gets.load(SeqCst) >= 28);
        wait_until("they are cached", || {
            let cached = |number: &usize| cached_bytes(&volume, files[*number].0) == FILE_BYTES as u64;
            order[20..28].iter().all(cached)
        });
        store.down.store(true, SeqCst);
        order[20..28].iter().for_each(|number| read_whole(&volume, &files[*number]));
        store.down.store(false, SeqCst);
        order[28..].iter().for_each(|number| read_whole(&volume, &files[*number]));
        volume.stop().unwrap();
        assert_eq!(store.gets.load(SeqCst), 60, "each file is fetched once");
    }
}

#[test]
fn files_read_in_no_order_or_from_a_near_store_are_fetched_one_by_one() {
    let names: Vec<String> = (0..300).map(|number| format!("{number:03}")).collect();
    let jumbled = |number: usize| number * (number + 7) * 131 % 300;
    let in_order = |number| number;
    for (order, delay) in [(jumbled as fn(usize) -> usize, 3), (in_order, 0)] {
        let store = Arc::new(TestStore::new(0.0));
        let folder = tempfile::tempdir().unwrap();
        let (volume, files) = files(&names, &store, folder.path());
        store.get_delay_ms.store(delay, SeqCst);
        let mut seen = BTreeSet::new();
        (0..80).map(order).filter(|number| seen.insert(*number)).for_each(|number| read_whole(&volume, &files[number]));
        volume.stop().unwrap();
        assert_eq!(store.gets.load(SeqCst), seen.len() as u64);
    }
}

#[test]
fn the_next_reads_of_a_stride_are_there_and_nothing_between_them() {
    const STEP: u64 = 1 << 20;
    const LENGTH: usize = 64 << 10;
    let store = Arc::new(TestStore::new(0.0));
    let kv = MemoryKv::new();
    format(&*kv);
    let volume = started(kv, &store, None);
    let (ino, bytes) = (create_open(&volume, 0, "f"), pattern(1, 64 << 20));
    for (block, part) in bytes.chunks(4 << 20).enumerate() {
        write(&volume, 0, ino, (block as u64) << 22, part.to_vec()).unwrap();
    }
    flush(&volume, 0, ino).unwrap();
    let expect = |number: u64| {
        let at = number * STEP + 5000;
        assert!(read(&volume, 1, ino, at, LENGTH).unwrap() == bytes[at as usize..][..LENGTH], "{number}");
    };
    (0..5).for_each(expect);
    // The first window is a mebibyte: sixteen reads.
    wait_until("the reads of a window are fetched", || {
        store.gets.load(SeqCst) >= 5 + 15 && store.gets_under_way() == 0
    });
    store.down.store(true, SeqCst);
    // With half of them left, the next window is asked for.
    (5..11).for_each(expect);
    store.down.store(false, SeqCst);
    (11..64).for_each(expect);
    volume.stop().unwrap();
    assert!(store.gets.load(SeqCst) <= 66, "{} GETs for 64 reads", store.gets.load(SeqCst));
    assert!(store.bytes_got.load(SeqCst) <= 64 * (256 << 10), "a read touches two frames at most");
}
