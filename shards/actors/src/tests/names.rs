//! Names and attributes: what one shard has changed, every shard sees at once, whatever it has cached.

use super::*;
use crate::NewTime;
use shoal_kv::{Durability, Job, KvResult, Reader, Snapshot, Watch};
use shoal_types::Timestamp;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[test]
fn a_change_on_one_shard_is_seen_by_all_others_at_once() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = volume(&store, 4);
    for round in 0..50u16 {
        let ino = create_open(&volume, usize::from(round % 4), "file");
        for shard in 0..4 {
            assert_eq!(lookup(&volume, shard, "file").unwrap().ino, ino);
            let changes = AttributeChanges { mode: Some(round), ..AttributeChanges::default() };
            on(&volume, shard, move |local| async move { local.set_attributes(ino, changes).await }).unwrap();
            for reader in 0..4 {
                assert_eq!(lookup(&volume, reader, "file").unwrap().mode, round);
            }
            write(&volume, shard, ino, shard as u64, vec![1]).unwrap();
            for reader in 0..4 {
                assert_eq!(lookup(&volume, reader, "file").unwrap().length, shard as u64 + 1);
                assert_eq!(length_of(&volume, reader, ino), shard as u64 + 1);
            }
        }
        close(&volume, 0, ino);
        unlink(&volume, usize::from(round / 4 % 4), "file");
        for shard in 0..4 {
            assert_eq!(lookup(&volume, shard, "file").unwrap_err(), Errno::ENOENT);
        }
    }
    volume.stop().unwrap();
}

#[test]
fn listings_count_buffered_writes_in() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = volume(&store, 2);
    let ino = create_open(&volume, 0, "file");
    write(&volume, 0, ino, 0, vec![1; 777]).unwrap();
    for shard in 0..2 {
        let page = on(&volume, shard, |local| async move { local.read_directory(Ino::ROOT, 0, 100, true).await });
        let page = page.unwrap();
        assert_eq!(page.entries.len(), 1);
        assert_eq!(page.entries[0].attributes.as_ref().unwrap().length, 777);
    }
    volume.stop().unwrap();
}

#[test]
fn a_time_set_after_a_write_stays_when_the_write_is_committed() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = volume(&store, 2);
    let ino = create_open(&volume, 0, "file");
    let old = Timestamp::new(1_000_000_000, 5);
    for shard in 0..2 {
        write(&volume, shard, ino, 0, vec![1; 100]).unwrap();
        let changes = AttributeChanges { mtime: Some(NewTime::At(old)), ..AttributeChanges::default() };
        on(&volume, 1 - shard, move |local| async move { local.set_attributes(ino, changes).await }).unwrap();
        flush(&volume, shard, ino).unwrap();
        let attributes = on(&volume, shard, move |local| async move { local.get_attributes(ino).await }).unwrap();
        assert_eq!(attributes.mtime, old);
    }
    volume.stop().unwrap();
}

#[test]
fn a_directory_goes_only_when_it_is_empty() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = volume(&store, 2);
    let made =
        on(&volume, 0, |local| async move { local.create(Ino::ROOT, &name("d"), new(FileKind::Directory)).await });
    let directory = made.unwrap().ino;
    on(&volume, 1, move |local| async move { local.open_directory(directory, RemovedFiles::Opened).await }).unwrap();
    on(&volume, 1, move |local| async move { local.create(directory, &name("f"), new(FileKind::Regular)).await })
        .unwrap();
    let rmdir = || on(&volume, 0, |local| async move { local.rmdir(Ino::ROOT, &name("d")).await });
    assert_eq!(rmdir(), Err(Errno::ENOTEMPTY));
    on(&volume, 0, move |local| async move { local.unlink(directory, &name("f")).await }).unwrap();
    assert_eq!(rmdir(), Ok(()));
    assert_eq!(lookup(&volume, 1, "d").unwrap_err(), Errno::ENOENT);
    close(&volume, 1, directory);
    volume.stop().unwrap();
}

#[test]
fn files_get_numbers_that_their_creator_owns() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = volume(&store, 3);
    for shard in 0..3 {
        let ino = create_open(&volume, shard, &format!("of-{shard}"));
        assert_eq!(volume.owner(ino), shard);
    }
    volume.stop().unwrap();
}

/// Counts reads of the store.
struct CountingKv {
    kv: Arc<MemoryKv>,
    reads: AtomicU64,
}

impl Kv for CountingKv {
    fn read(&self, body: &mut dyn FnMut(&mut dyn Reader) -> KvResult<()>) -> KvResult<()> {
        self.reads.fetch_add(1, Relaxed);
        self.kv.read(body)
    }

    fn snapshot(&self) -> KvResult<Box<dyn Snapshot>> {
        self.kv.snapshot()
    }

    fn reads_are_local(&self) -> bool {
        self.kv.reads_are_local()
    }

    fn submit(&self, job: Box<dyn Job>, durability: Durability) {
        self.kv.submit(job, durability);
    }

    fn foreign_epoch(&self) -> Option<u64> {
        self.kv.foreign_epoch()
    }

    fn results_may_be_unknown(&self) -> bool {
        self.kv.results_may_be_unknown()
    }

    fn watch(&self, key: &[u8]) -> KvResult<Box<dyn Watch>> {
        self.kv.watch(key)
    }

    fn watch_stamped(&self) -> shoal_kv::KvResult<Box<dyn shoal_kv::Watch>> {
        self.kv.watch_stamped()
    }

    fn close(&self) -> KvResult<()> {
        self.kv.close()
    }
}

#[test]
fn what_one_shard_has_made_or_missed_no_other_one_reads_from_the_store() {
    let store = Arc::new(TestStore::new(0.0));
    let kv = Arc::new(CountingKv { kv: MemoryKv::new(), reads: AtomicU64::new(0) });
    format(&*kv);
    let volume = Shards::start(config(kv.clone(), &store, 2)).unwrap();
    let ino = create_open(&volume, 0, "made");
    assert_eq!(lookup(&volume, 0, "missing").unwrap_err(), Errno::ENOENT);
    let before = kv.reads.load(Relaxed);
    for round in 0..1000 {
        assert_eq!(lookup(&volume, round % 2, "made").unwrap().ino, ino);
        assert_eq!(lookup(&volume, round % 2, "missing").unwrap_err(), Errno::ENOENT);
    }
    let reads = kv.reads.load(Relaxed) - before;
    assert!(reads < 100, "{reads} reads, of which maintenance makes a few");
    close(&volume, 0, ino);
    volume.stop().unwrap();
}

#[test]
fn making_files_in_a_new_directory_asks_the_store_for_nothing() {
    let store = Arc::new(TestStore::new(0.0));
    let kv = Arc::new(CountingKv { kv: MemoryKv::new(), reads: AtomicU64::new(0) });
    format(&*kv);
    let volume = Shards::start(config(kv.clone(), &store, 2)).unwrap();
    let made =
        on(&volume, 0, |local| async move { local.create(Ino::ROOT, &name("d"), new(FileKind::Directory)).await });
    let directory = made.unwrap().ino;
    let before = kv.reads.load(Relaxed);
    for number in 0..500u64 {
        let shard = number as usize % 2;
        let made = on(&volume, shard, move |local| async move {
            let file = name(&format!("file-{number}"));
            assert_eq!(local.lookup(directory, &file).await.unwrap_err(), Errno::ENOENT);
            local.create(directory, &file, new(FileKind::Regular)).await?;
            local.get_attributes(directory).await
        });
        assert_eq!(made.unwrap().length, number + 1);
    }
    let reads = kv.reads.load(Relaxed) - before;
    assert!(reads < 100, "{reads} reads, of which maintenance makes a few");
    volume.stop().unwrap();
}

#[test]
fn a_directory_counted_in_memory_is_as_the_store_has_it() {
    let store = Arc::new(TestStore::new(0.0));
    let kv = MemoryKv::new();
    format(&*kv);
    let metadata = Metadata::new(kv.clone());
    let volume = Shards::start(config(kv, &store, 2)).unwrap();
    let agree = || {
        let known = on(&volume, 0, |local| async move { local.get_attributes(Ino::ROOT).await }).unwrap();
        assert_eq!(known, metadata.get_attributes(Ino::ROOT).unwrap());
    };
    let at = |seconds| {
        let changes =
            AttributeChanges { mtime: Some(NewTime::At(Timestamp::new(seconds, 5))), ..AttributeChanges::default() };
        on(&volume, 1, move |local| async move { local.set_attributes(Ino::ROOT, changes).await }).unwrap();
    };
    for (round, mtime) in [1_000, i64::from(u32::MAX), 2_000].into_iter().enumerate() {
        at(mtime);
        for (number, kind) in [FileKind::Directory, FileKind::Regular, FileKind::Directory].into_iter().enumerate() {
            let file = name(&format!("{round}-{number}"));
            on(&volume, number % 2, move |local| async move { local.create(Ino::ROOT, &file, new(kind)).await })
                .unwrap();
            agree();
        }
        let (file, folder) = (name(&format!("{round}-1")), name(&format!("{round}-2")));
        on(&volume, 1, move |local| async move { local.unlink(Ino::ROOT, &file).await }).unwrap();
        agree();
        on(&volume, 0, move |local| async move { local.rmdir(Ino::ROOT, &folder).await }).unwrap();
        agree();
    }
    volume.stop().unwrap();
}
