//! Packs that are mostly dead are made anew: the room comes back, and the bytes stay.

use super::packing::{file, pack, sound, staging, start};
use super::*;
use shoal_kv::{Attempt, Durability, MemoryOptions, MemoryStore, Transaction, Verdict};
use shoal_metadata::keys::Key;
use shoal_metadata::records::SparseNote;
use shoal_object_store::{ObjectStore, naming};
use shoal_types::{ObjectId, Timestamp};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::Ordering::SeqCst;

const BYTES: usize = 20_000;

struct Files {
    prefix: &'static str,
    inodes: Vec<Ino>,
}

/// So many files in one pack.
fn packed(volume: &Volume, prefix: &'static str, count: u64) -> Files {
    let bytes = |number| pattern(seed(prefix, number), BYTES);
    let made = (0..count).map(|number| file(&volume.shards, &format!("{prefix}{number}"), &bytes(number)));
    let files = Files { prefix, inodes: made.collect() };
    let before = volume.store.count();
    pack(&volume.shards);
    assert_eq!(volume.store.count(), before + 1);
    files
}

fn seed(prefix: &str, number: u64) -> u64 {
    u64::from(prefix.as_bytes()[0]) * 1000 + number
}

struct Volume {
    base: MemoryStore,
    kv: Arc<MemoryKv>,
    store: Arc<TestStore>,
    shards: Shards,
}

impl Volume {
    fn new(failure_rate: f64) -> Self {
        let (base, store) = (MemoryStore::new(MemoryOptions::default()), Arc::new(TestStore::new(failure_rate)));
        let kv = base.client();
        format(&*kv);
        let shards = start(&base, &store);
        Volume { base, kv, store, shards }
    }

    /// Removes all files that are left but every `nth`, and waits until they are gone.
    fn thin_out(&self, files: &Files, nth: usize) {
        for number in (0..files.inodes.len()).filter(|number| !number.is_multiple_of(nth)) {
            let name = format!("{}{number}", files.prefix);
            if lookup(&self.shards, 0, &name).is_ok() {
                unlink(&self.shards, 0, &name);
            }
        }
        let metadata = Metadata::new(self.kv.clone());
        wait_until("they are removed", || metadata.queued_removals(u64::MAX, 1).unwrap().is_empty());
    }

    fn check(&self, files: &Files, nth: usize) {
        for number in (0..files.inodes.len()).step_by(nth) {
            let found = read(&self.shards, number % 2, files.inodes[number], 0, BYTES + 1).unwrap();
            assert!(found == pattern(seed(files.prefix, number as u64), BYTES), "{}{number}", files.prefix);
        }
    }

    fn sparse(&self) -> Vec<ObjectId> {
        let packs = Metadata::new(self.kv.clone()).sparse_packs(None, 100).unwrap();
        packs.iter().map(|pack| pack.object).collect()
    }

    fn object_of(&self, ino: Ino) -> ObjectId {
        Metadata::new(self.kv.clone()).get_chunk(ino, 0).unwrap()[0].object
    }

    /// As if it had been so for long.
    fn note_as_sparse(&self, pack: ObjectId) {
        let note = SparseNote::new(Timestamp::ZERO, 1 << 22).encode();
        let body = move |transaction: &mut dyn Transaction, _: Attempt| {
            transaction.put(&Key::SparsePack(pack).encode(), &note);
            Ok(((), Verdict::Commit))
        };
        Metadata::new(self.kv.clone()).kv().transact(Durability::Visible, body).unwrap();
    }

    fn restarted(self) -> Self {
        let Volume { base, kv, store, shards } = self;
        shards.stop().unwrap();
        let shards = start(&base, &store);
        Volume { base, kv, store, shards }
    }

    fn end(self) {
        self.shards.stop().unwrap();
        sound(&self.kv);
    }
}

fn repack(volume: &Shards) -> FsResult<()> {
    on(volume, 0, |local| async move { local.repack_all(&RefCell::new(HashMap::new())).await })
}

#[test]
fn a_pack_that_is_mostly_dead_gives_its_room_back() {
    let volume = Volume::new(0.0);
    let files = packed(&volume, "f", 200);
    let old = volume.object_of(files.inodes[0]);
    volume.thin_out(&files, 2);
    assert_eq!(volume.sparse(), [], "half of it is in use");
    repack(&volume.shards).unwrap();
    assert_eq!((volume.store.count(), volume.store.puts.load(SeqCst)), (1, 1));
    volume.thin_out(&files, 10);
    assert_eq!(volume.sparse(), [old]);
    let volume = volume.restarted();
    let gets = volume.store.gets.load(SeqCst);
    repack(&volume.shards).unwrap();
    assert_eq!((volume.store.puts.load(SeqCst), volume.store.gets.load(SeqCst) - gets), (2, 1));
    wait_until("the old pack is deleted", || volume.store.count() == 1);
    assert!(volume.store.bytes() < 20 * BYTES as u64 + 1000, "{} bytes", volume.store.bytes());
    assert_eq!((volume.store.unsynced(), volume.sparse()), (0, vec![]));
    volume.check(&files, 10);
    // In the same order as before, so that the next reader has them by one request.
    let volume = volume.restarted();
    let gets = volume.store.gets.load(SeqCst);
    volume.check(&files, 10);
    assert!(volume.store.gets.load(SeqCst) - gets <= 2);
    volume.end();
}

#[test]
fn what_is_left_of_several_packs_comes_into_one() {
    for compression in [Compression::None, Compression::Zstd(1)] {
        let mut volume = Volume::new(0.0);
        volume.shards.stop().unwrap();
        let mut config = staging(config(volume.base.client(), &volume.store, 2));
        config.settings.compression = compression;
        volume.shards = Shards::start(config).unwrap();
        let all = ["a", "b", "c", "d"].map(|prefix| packed(&volume, prefix, 40));
        all.iter().for_each(|files| volume.thin_out(files, 8));
        assert_eq!(volume.sparse().len(), 4);
        repack(&volume.shards).unwrap();
        assert_eq!(volume.store.puts.load(SeqCst), 5);
        wait_until("the old packs are deleted", || volume.store.count() == 1);
        all.iter().for_each(|files| volume.check(files, 8));
        // A new one can become old.
        all.iter().for_each(|files| volume.thin_out(files, 100));
        repack(&volume.shards).unwrap();
        wait_until("that one is deleted", || volume.store.puts.load(SeqCst) == 6 && volume.store.count() == 1);
        all.iter().for_each(|files| volume.check(files, 100));
        volume.end();
    }
}

#[test]
fn it_happens_by_itself_when_a_pack_has_been_left_alone_for_a_while() {
    let volume = Volume::new(0.0);
    let files = packed(&volume, "f", 40);
    let old = volume.object_of(files.inodes[0]);
    volume.thin_out(&files, 20);
    volume.note_as_sparse(old);
    wait_until("maintenance has come to it", || volume.object_of(files.inodes[0]) != old);
    wait_until("the old pack is deleted", || volume.store.count() == 1);
    volume.check(&files, 20);
    volume.end();
}

#[test]
fn another_mount_that_knows_the_old_list_finds_the_bytes() {
    let volume = Volume::new(0.0);
    let files = packed(&volume, "f", 40);
    let ino = files.inodes[0];
    // Beyond what is packed: a reader of that place fetches nothing of the pack, and keeps the list.
    write(&volume.shards, 0, ino, 250_000, vec![7; 1000]).unwrap();
    flush(&volume.shards, 0, ino).unwrap();
    volume.thin_out(&files, 20);
    let other = start(&volume.base, &volume.store);
    open(&other, 0, ino).unwrap();
    assert_eq!(read(&other, 0, ino, 250_000, 10).unwrap(), [7; 10]);
    let old = volume.object_of(ino);
    repack(&volume.shards).unwrap();
    assert_ne!(volume.object_of(ino), old);
    wait_until("the old pack is deleted", || volume.store.count() == 2);
    for mount in [&other, &volume.shards] {
        assert!(read(mount, 1, ino, 0, BYTES).unwrap() == pattern(seed("f", 0), BYTES));
    }
    close(&other, 0, ino);
    other.stop().unwrap();
    assert!(read(&volume.shards, 0, files.inodes[20], 0, BYTES + 1).unwrap() == pattern(seed("f", 20), BYTES));
    volume.end();
}

#[test]
fn what_only_copies_refer_to_keeps_its_pack_and_is_not_tried_again_and_again() {
    let volume = Volume::new(0.0);
    let files = packed(&volume, "f", 40);
    let old = volume.object_of(files.inodes[0]);
    let copy = create_open(&volume.shards, 0, "copy");
    assert_eq!(copy_range(&volume.shards, 0, (files.inodes[0], 0), (copy, 0), BYTES as u64), Ok(BYTES as u64));
    close(&volume.shards, 0, copy);
    volume.thin_out(&files, 39);
    unlink(&volume.shards, 0, "f0");
    let gone = || lookup(&volume.shards, 0, "f0").is_err();
    wait_until("the first is removed", || gone() && volume.sparse() == [old]);
    // One file is left that could be moved, and a copy that can't: that would make it no less.
    let (gets, puts) = (volume.store.gets.load(SeqCst), volume.store.puts.load(SeqCst));
    let nothing_moves = || {
        repack(&volume.shards).unwrap();
        assert_eq!((volume.store.gets.load(SeqCst), volume.store.puts.load(SeqCst)), (gets, puts));
        assert_eq!((volume.sparse(), volume.store.count()), (vec![], 1));
    };
    nothing_moves();
    truncate(&volume.shards, 0, copy, 100).unwrap();
    assert_eq!(volume.sparse(), [old], "it has lost more");
    nothing_moves();
    assert!(read(&volume.shards, 0, copy, 0, 200).unwrap() == pattern(seed("f", 0), BYTES)[..100]);
    unlink(&volume.shards, 0, "copy");
    wait_until("the copy is removed", || volume.sparse() == [old]);
    repack(&volume.shards).unwrap();
    wait_until("the old pack is deleted", || volume.object_of(files.inodes[39]) != old && volume.store.count() == 1);
    assert!(read(&volume.shards, 0, files.inodes[39], 0, BYTES).unwrap() == pattern(seed("f", 39), BYTES));
    volume.end();
}

#[test]
fn nothing_is_lost_that_is_changed_while_its_pack_is_made_anew() {
    let volume = Volume::new(0.0);
    let files = packed(&volume, "f", 100);
    volume.thin_out(&files, 5);
    let other = start(&volume.base, &volume.store);
    let kept: Vec<Ino> = files.inodes.iter().copied().step_by(5).collect();
    let mut expected: Vec<Vec<u8>> = (0..20).map(|number| pattern(seed("f", number * 5), BYTES)).collect();
    std::thread::scope(|scope| {
        let repacker = scope.spawn(|| {
            (0..20).for_each(|_| {
                volume.note_as_sparse(volume.object_of(kept[19]));
                repack(&volume.shards).unwrap();
            });
        });
        for round in 0..6usize {
            for number in 0..19usize {
                let (ino, bytes) = (kept[number], &mut expected[number]);
                match (round + number) % 3 {
                    0 => {
                        let patch = pattern(number as u64, 500);
                        bytes.resize(bytes.len().max(number * 900 + 500), 0);
                        bytes[number * 900..][..500].copy_from_slice(&patch);
                        write(&other, 0, ino, number as u64 * 900, patch).unwrap();
                        flush(&other, 0, ino).unwrap();
                    }
                    1 => {
                        bytes.truncate(BYTES - round * 1000);
                        let length = bytes.len() as u64;
                        truncate(&other, 1, ino, length).unwrap();
                    }
                    _ => {
                        assert_eq!(copy_range(&other, 0, (kept[19], 100), (ino, 50), 800), Ok(800));
                        bytes.resize(bytes.len().max(850), 0);
                        bytes[50..850].copy_from_slice(&pattern(seed("f", 95), BYTES)[100..900]);
                    }
                }
            }
        }
        repacker.join().unwrap();
    });
    for (number, ino) in kept.iter().enumerate() {
        assert!(read(&other, 0, *ino, 0, 1 << 20).unwrap() == expected[number], "{number}");
    }
    other.stop().unwrap();
    let volume = volume.restarted();
    for (number, ino) in kept.iter().enumerate() {
        assert!(read(&volume.shards, 1, *ino, 0, 1 << 20).unwrap() == expected[number], "{number}");
    }
    volume.end();
}

#[test]
fn two_mounts_that_do_it_at_once_lose_nothing() {
    let volume = Volume::new(0.0);
    let all = ["a", "b", "c"].map(|prefix| packed(&volume, prefix, 40));
    all.iter().for_each(|files| volume.thin_out(files, 8));
    let other = start(&volume.base, &volume.store);
    std::thread::scope(|scope| {
        let twice = [&volume.shards, &other].map(|mount| scope.spawn(|| repack(mount)));
        twice.into_iter().for_each(|mount| mount.join().unwrap().unwrap());
    });
    other.stop().unwrap();
    wait_until("the old packs are deleted", || volume.store.count() <= 2);
    all.iter().for_each(|files| volume.check(files, 8));
    volume.end();
}

#[test]
fn a_mount_that_ends_half_way_leaves_nothing_wrong() {
    let mut volume = Volume::new(0.0);
    let all = ["a", "b", "c"].map(|prefix| packed(&volume, prefix, 40));
    all.iter().for_each(|files| volume.thin_out(files, 8));
    for steps in 0..12 {
        volume.shards.run(0, move |local| {
            let local = local.clone();
            shoal_runtime::spawn(async move {
                // It does not come to its end.
                let _ = local.repack_all(&RefCell::new(HashMap::new())).await;
            });
        });
        std::thread::sleep(Duration::from_micros(300 * steps));
        volume = volume.restarted();
        all.iter().for_each(|files| volume.check(files, 8));
        sound(&volume.kv);
    }
    repack(&volume.shards).unwrap();
    all.iter().for_each(|files| volume.check(files, 8));
    let live: std::collections::BTreeSet<ObjectId> =
        all.iter().flat_map(|files| files.inodes.iter().step_by(8)).map(|ino| volume.object_of(*ino)).collect();
    assert_eq!(live.len(), 1);
    volume.end();
}

#[test]
fn a_store_that_fails_now_and_then_delays_it_and_one_lost_pack_does_not_stop_the_others() {
    let volume = Volume::new(0.0);
    let all = ["a", "b", "c"].map(|prefix| packed(&volume, prefix, 40));
    all.iter().for_each(|files| volume.thin_out(files, 8));
    volume.store.down.store(true, SeqCst);
    assert!(repack(&volume.shards).is_err());
    assert_eq!(volume.sparse().len(), 3);
    volume.store.down.store(false, SeqCst);
    let lost = volume.object_of(all[1].inodes[0]);
    let key = naming::object_key(&settings().uuid, lost);
    let store = volume.store.clone();
    futures_util::FutureExt::now_or_never(store.delete(&key)).unwrap().unwrap();
    let rounds = on(&volume.shards, 0, |local| async move {
        let failed = RefCell::new(HashMap::new());
        (local.repack_all(&failed).await, local.repack_all(&failed).await)
    });
    assert!(rounds.0.is_err() && rounds.1.is_ok());
    wait_until("the other packs are deleted", || volume.store.count() == 1);
    [&all[0], &all[2]].iter().for_each(|files| volume.check(files, 8));
    assert_eq!(volume.sparse(), [lost], "whoever brings it back has it made anew");
    volume.end();
}
