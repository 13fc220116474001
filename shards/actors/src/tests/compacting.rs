//! Slice lists stay short, and rewriting them changes no byte.

use super::*;
use shoal_kv::{MemoryOptions, MemoryStore};

fn large_blocks(mut config: Config) -> Config {
    config.settings.block_bytes = 4 << 20;
    config
}

fn slices_of(kv: &Arc<MemoryKv>, ino: Ino) -> usize {
    Metadata::new(kv.clone()).get_chunk(ino, 0).unwrap().len()
}

#[test]
fn a_file_that_grew_by_many_small_commits_is_rewritten() {
    let (kv, store) = (MemoryKv::new(), Arc::new(TestStore::new(0.0)));
    format(&*kv);
    let volume = Shards::start(large_blocks(config(kv.clone(), &store, 2))).unwrap();
    let ino = create_open(&volume, 0, "log");
    let expected = pattern(3, 700 * 100);
    for (number, line) in expected.chunks(100).enumerate() {
        write(&volume, 1, ino, number as u64 * 100, line.to_vec()).unwrap();
        flush(&volume, 1, ino).unwrap();
    }
    assert!(store.puts.load(std::sync::atomic::Ordering::SeqCst) > 600);
    wait_until("the list is short", || slices_of(&kv, ino) < 400);
    wait_until("what it replaced is deleted", || store.count() < 400);
    assert!(read(&volume, 0, ino, 0, 1 << 20).unwrap() == expected);
    volume.stop().unwrap();
}

#[test]
fn thousands_of_scattered_writes_can_be_committed_at_once() {
    let (kv, store) = (MemoryKv::new(), Arc::new(TestStore::new(0.0)));
    format(&*kv);
    let mut config = large_blocks(config(kv.clone(), &store, 1));
    config.write_buffer_bytes = 64 << 20;
    let volume = Shards::start(config).unwrap();
    let ino = create_open(&volume, 0, "scattered");
    let mut expected = vec![0; 8000 * 500];
    // Inline bytes below, which the holes between the pieces show.
    write(&volume, 0, ino, 0, vec![9; 3000]).unwrap();
    flush(&volume, 0, ino).unwrap();
    expected[..3000].fill(9);
    (0..8000).for_each(|number| expected[number * 500..][..100].fill(number as u8));
    let written = on(&volume, 0, move |local| async move {
        for number in 0..8000u64 {
            write_here(&local, ino, number * 500, vec![number as u8; 100]).await?;
        }
        Ok::<_, Errno>(())
    });
    written.unwrap();
    assert_eq!(flush(&volume, 0, ino), Ok(()));
    assert!(slices_of(&kv, ino) <= crate::limits::CHUNK_SLICES_MAX);
    wait_until("the list is short", || slices_of(&kv, ino) < crate::limits::COMPACT_SLICES_DENSELY);
    let found = read(&volume, 0, ino, 0, 4 << 20).unwrap();
    assert_eq!(found.len(), 7999 * 500 + 100);
    assert!(found == expected[..found.len()]);
    volume.stop().unwrap();
}

#[test]
fn whoever_asks_for_it_gets_short_lists_and_the_room_of_what_is_covered() {
    let (kv, store) = (MemoryKv::new(), Arc::new(TestStore::new(0.0)));
    format(&*kv);
    let volume = Shards::start(large_blocks(config(kv.clone(), &store, 2))).unwrap();
    let ino = create_open(&volume, 0, "f");
    let mut expected = pattern(1, 300_000);
    write(&volume, 0, ino, 0, expected.clone()).unwrap();
    flush(&volume, 0, ino).unwrap();
    for number in 0..20usize {
        let patch = pattern(number as u64 + 2, 10_000);
        expected[number * 5000..][..10_000].copy_from_slice(&patch);
        write(&volume, 1, ino, number as u64 * 5000, patch).unwrap();
        flush(&volume, 1, ino).unwrap();
    }
    // What is still in the buffer is part of it.
    let rest = pattern(99, 5000);
    expected.extend(&rest);
    write(&volume, 0, ino, 300_000, rest).unwrap();
    let done = on(&volume, 1, move |local| async move { local.compact(ino, 0).await }).unwrap();
    assert_eq!((done.next, done.slices_before, done.slices_after, done.bytes), (None, 22, 1, 305_000));
    assert_eq!(slices_of(&kv, ino), 1);
    assert!(read(&volume, 0, ino, 0, 1 << 20).unwrap() == expected);
    wait_until("what it replaced is deleted", || store.count() == 1);
    let again = on(&volume, 1, move |local| async move { local.compact(ino, 0).await }).unwrap();
    assert_eq!((again.slices_after, again.bytes), (1, 0));
    volume.stop().unwrap();
}

#[test]
fn nothing_is_lost_that_is_written_while_a_file_is_compacted() {
    let (server, store) = (MemoryStore::new(MemoryOptions::default()), Arc::new(TestStore::new(0.0)));
    format(&*server.client());
    let volumes: Vec<Shards> = (0..2).map(|_| Shards::start(config(server.client(), &store, 2)).unwrap()).collect();
    let ino = create_open(&volumes[0], 0, "f");
    let mut expected = vec![7; 200_000];
    write(&volumes[0], 0, ino, 0, expected.clone()).unwrap();
    flush(&volumes[0], 0, ino).unwrap();
    open(&volumes[1], 0, ino).unwrap();
    std::thread::scope(|scope| {
        let compactor = scope.spawn(|| {
            (0..40).for_each(|_| {
                on(&volumes[0], 0, move |local| async move { local.compact(ino, 0).await }).unwrap();
            });
        });
        for number in 0..60usize {
            let patch = pattern(number as u64, 3000);
            expected[number * 3000..][..3000].copy_from_slice(&patch);
            write(&volumes[1], 0, ino, number as u64 * 3000, patch).unwrap();
            flush(&volumes[1], 0, ino).unwrap();
        }
        compactor.join().unwrap();
    });
    close(&volumes[0], 0, ino);
    open(&volumes[0], 0, ino).unwrap();
    for volume in &volumes {
        assert!(read(volume, 0, ino, 0, 1 << 20).unwrap() == expected);
    }
    let findings = shoal_metadata::check::run(&Metadata::new(server.client()), &mut |_| {}).unwrap().findings;
    assert_eq!(findings, []);
    volumes.into_iter().for_each(|volume| volume.stop().unwrap());
}
