//! Slice lists stay short, and rewriting them changes no byte.

use super::*;

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
