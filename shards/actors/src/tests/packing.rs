//! Small files wait in metadata and are packed: few requests, the same bytes.

use super::*;
use shoal_kv::{MemoryOptions, MemoryStore};
use shoal_types::Staging;
use std::sync::atomic::Ordering::SeqCst;

pub(super) fn staging(mut config: Config) -> Config {
    config.settings.block_bytes = 4 << 20;
    config.settings.staging = Staging { file_bytes_max: 64 << 10, total_bytes_max: 1 << 30 };
    config.read_buffer_bytes = 64 << 20;
    config
}

/// Another mount of the volume, whose end does not close what others have open.
pub(super) fn start(base: &MemoryStore, store: &Arc<TestStore>) -> Shards {
    Shards::start(staging(config(base.client(), store, 2))).unwrap()
}

pub(super) fn pack(volume: &Shards) {
    on(volume, 0, |local| async move { local.pack_all().await }).unwrap();
}

pub(super) fn file(volume: &Shards, called: &str, bytes: &[u8]) -> Ino {
    let ino = create_open(volume, 0, called);
    write(volume, 0, ino, 0, bytes.to_vec()).unwrap();
    flush(volume, 0, ino).unwrap();
    close(volume, 0, ino);
    ino
}

pub(super) fn sound(kv: &Arc<MemoryKv>) {
    let findings = shoal_metadata::check::run(&Metadata::new(kv.clone()), &mut |_| {}).unwrap().findings;
    assert_eq!(findings, []);
}

pub(super) fn staged_bytes(kv: &Arc<MemoryKv>) -> u64 {
    Metadata::new(kv.clone()).staged_bytes().unwrap()
}

#[test]
fn ten_thousand_small_files_take_at_most_200_puts_and_200_gets() {
    const FILES: u64 = 10_000;
    const BYTES: usize = 20_000;
    let (base, store) = (MemoryStore::new(MemoryOptions::default()), Arc::new(TestStore::new(0.0)));
    let kv = base.client();
    format(&*kv);
    let volume = start(&base, &store);
    let inodes = on(&volume, 0, |local| async move {
        let mut inodes = Vec::new();
        for number in 0..FILES {
            let name = name(&format!("file-{number:05}"));
            let opened = local.create_open(Ino::ROOT, &name, new(FileKind::Regular)).await?;
            let ino = opened.attributes.ino;
            write_here(&local, ino, 0, pattern(number, BYTES)).await?;
            let (sender, receiver) = oneshot::channel();
            local.flush(ino, move |result| sender.send(result).unwrap()).await;
            receiver.await.unwrap()?;
            local.close(ino).await;
            inodes.push(ino);
        }
        Ok::<_, Errno>(inodes)
    });
    let inodes = inodes.unwrap();
    pack(&volume);
    wait_until("all is packed", || staged_bytes(&kv) == 0);
    let puts = store.puts.load(SeqCst);
    assert!(puts <= 200, "{puts} PUTs");
    volume.stop().unwrap();

    let volume = start(&base, &store);
    for (number, ino) in inodes.into_iter().enumerate() {
        assert!(read(&volume, number % 2, ino, 0, BYTES + 1).unwrap() == pattern(number as u64, BYTES), "{number}");
    }
    let gets = store.gets.load(SeqCst);
    assert!(gets <= 200, "{gets} GETs");
    volume.stop().unwrap();
    sound(&kv);
}

#[test]
fn packing_happens_by_itself() {
    let (base, store) = (MemoryStore::new(MemoryOptions::default()), Arc::new(TestStore::new(0.0)));
    let kv = base.client();
    format(&*kv);
    let volume = start(&base, &store);
    let inodes: Vec<Ino> = (0..20).map(|number| file(&volume, &format!("f{number}"), &pattern(number, 9000))).collect();
    assert_eq!((store.puts.load(SeqCst), staged_bytes(&kv)), (0, 180_000));
    wait_until("the files are old enough to be packed", || staged_bytes(&kv) == 0);
    assert!(store.puts.load(SeqCst) <= 3);
    for (number, ino) in inodes.into_iter().enumerate() {
        assert!(read(&volume, 1, ino, 0, 10_000).unwrap() == pattern(number as u64, 9000));
    }
    volume.stop().unwrap();
}

#[test]
fn packed_files_are_changed_cut_and_copied_as_any_and_their_pack_goes_with_the_last() {
    let (base, store) = (MemoryStore::new(MemoryOptions::default()), Arc::new(TestStore::new(0.0)));
    let kv = base.client();
    format(&*kv);
    let volume = start(&base, &store);
    let mut expected: Vec<Vec<u8>> = (0..4).map(|seed| pattern(seed, 30_000)).collect();
    let names = ["a", "b", "c", "d"];
    let inodes: Vec<Ino> = names.iter().zip(&expected).map(|(name, bytes)| file(&volume, name, bytes)).collect();
    // One is open while it's packed, and knows its bytes as inline ones.
    open(&volume, 0, inodes[0]).unwrap();
    assert!(read(&volume, 0, inodes[0], 0, 40_000).unwrap() == expected[0]);
    pack(&volume);
    assert_eq!((staged_bytes(&kv), store.count()), (0, 1));
    write(&volume, 1, inodes[0], 5000, vec![9; 100]).unwrap();
    expected[0][5000..5100].fill(9);
    flush(&volume, 1, inodes[0]).unwrap();
    write(&volume, 0, inodes[1], 30_000, vec![8; 200_000]).unwrap();
    expected[1].extend([8; 200_000]);
    flush(&volume, 0, inodes[1]).unwrap();
    truncate(&volume, 1, inodes[2], 100).unwrap();
    expected[2].truncate(100);
    assert_eq!(copy_range(&volume, 0, (inodes[3], 1000), (inodes[2], 100), 5000), Ok(5000));
    let part = expected[3][1000..6000].to_vec();
    expected[2].extend(part);
    for (ino, expected) in inodes.iter().zip(&expected) {
        assert!(read(&volume, 0, *ino, 0, 1 << 20).unwrap() == *expected);
    }
    close(&volume, 0, inodes[0]);
    names[..2].iter().for_each(|name| unlink(&volume, 0, name));
    unlink(&volume, 0, "d");
    wait_until("what only they had is deleted", || store.count() == 1);
    assert!(read(&volume, 1, inodes[2], 0, 1 << 20).unwrap() == expected[2], "the copy has a part of the pack");
    unlink(&volume, 1, "c");
    wait_until("the pack is deleted", || store.count() == 0);
    volume.stop().unwrap();
    sound(&kv);
}

#[test]
fn a_store_that_is_down_keeps_files_staged_and_readable() {
    let (base, store) = (MemoryStore::new(MemoryOptions::default()), Arc::new(TestStore::new(0.0)));
    let kv = base.client();
    format(&*kv);
    let volume = start(&base, &store);
    store.down.store(true, SeqCst);
    let ino = file(&volume, "f", &pattern(1, 20_000));
    assert!(on(&volume, 0, |local| async move { local.pack_all().await }).is_err());
    assert!(read(&volume, 1, ino, 0, 30_000).unwrap() == pattern(1, 20_000));
    store.down.store(false, SeqCst);
    pack(&volume);
    assert_eq!((staged_bytes(&kv), store.count()), (0, 1));
    assert!(read(&volume, 1, ino, 0, 30_000).unwrap() == pattern(1, 20_000));
    volume.stop().unwrap();
    sound(&kv);
}

#[test]
fn files_beyond_the_bound_become_objects_at_once() {
    let (base, store) = (MemoryStore::new(MemoryOptions::default()), Arc::new(TestStore::new(0.0)));
    let kv = base.client();
    format(&*kv);
    let mut config = staging(config(base.client(), &store, 2));
    config.settings.staging.total_bytes_max = 50_000;
    let volume = Shards::start(config).unwrap();
    let inodes: Vec<Ino> =
        (0..4).map(|number| file(&volume, &format!("f{number}"), &pattern(number, 20_000))).collect();
    assert_eq!(store.puts.load(SeqCst), 2);
    pack(&volume);
    for (number, ino) in inodes.into_iter().enumerate() {
        assert!(read(&volume, 1, ino, 0, 30_000).unwrap() == pattern(number as u64, 20_000));
    }
    volume.stop().unwrap();
    sound(&kv);
}

#[test]
fn what_a_killed_mount_had_staged_is_packed_by_the_next() {
    let (base, store) = (MemoryStore::new(MemoryOptions::default()), Arc::new(TestStore::new(0.0)));
    let kv = base.client();
    format(&*kv);
    let volume = start(&base, &store);
    let ino = file(&volume, "f", &pattern(1, 20_000));
    volume.stop().unwrap();
    assert_eq!((staged_bytes(&kv), store.count()), (20_000, 0), "what is durable needs no upload at the end");
    let volume = start(&base, &store);
    wait_until("somebody packs it", || staged_bytes(&kv) == 0);
    assert!(read(&volume, 1, ino, 0, 30_000).unwrap() == pattern(1, 20_000));
    volume.stop().unwrap();
    sound(&kv);
}
