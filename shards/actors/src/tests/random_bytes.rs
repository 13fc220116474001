//! Random writes, truncations, holes, copies by reference, flushes and reads from all shards against a plain vector of bytes.

use super::*;
use shoal_encryption::{VolumeKey, VolumeSealer};
use shoal_kv::Random;
use shoal_kv_sqlite::SqliteKv;
use shoal_metadata::SealedKv;
use shoal_types::Cipher;
use std::sync::atomic::Ordering::SeqCst;

const STEPS: u64 = 400;
const FILE_BYTES: u64 = 600 << 10;

/// One file and what it should hold.
struct Model<'a> {
    volume: &'a Shards,
    random: Random,
    ino: Ino,
    bytes: Vec<u8>,
    fallible: bool,
    file_bytes: u64,
}

impl Model<'_> {
    fn shard(&mut self) -> usize {
        self.random.below(self.volume.count() as u64) as usize
    }

    fn step(&mut self, number: u64) {
        let shard = self.shard();
        match self.random.below(24) {
            0..=7 => self.write(shard, number),
            8 => self.truncate(shard),
            9..=10 => self.flush(shard),
            11 => self.reopen(shard),
            12..=13 => self.fallocate(shard),
            14..=15 => self.copy(shard),
            _ => self.read(shard),
        }
        assert_eq!(length_of(self.volume, shard, self.ino), self.bytes.len() as u64, "after step {number}");
    }

    fn write(&mut self, shard: usize, number: u64) {
        let offset = self.random.below(self.file_bytes);
        let bound = [100, 5000, 200_000][self.random.below(3) as usize];
        let length = self.random.below(bound) as usize + 1;
        let data = pattern(number, length);
        write(self.volume, shard, self.ino, offset, data.clone()).unwrap();
        let end = offset as usize + length;
        self.bytes.resize(self.bytes.len().max(end), 0);
        self.bytes[offset as usize..end].copy_from_slice(&data);
    }

    fn truncate(&mut self, shard: usize) {
        let length = self.random.below(self.file_bytes);
        match truncate(self.volume, shard, self.ino, length) {
            Ok(attributes) => {
                assert_eq!(attributes.length, length);
                self.bytes.resize(length as usize, 0);
            }
            Err(_) => assert!(self.fallible),
        }
    }

    fn fallocate(&mut self, shard: usize) {
        let offset = self.random.below(self.file_bytes);
        let length = self.random.below(200_000) + 1;
        let what = [Fallocate::Allocate, Fallocate::Zero, Fallocate::Punch][self.random.below(3) as usize];
        let how = Fallocation { what, keep_length: self.random.chance(0.5) };
        match fallocate(self.volume, shard, self.ino, how, offset, length) {
            Ok(()) => fallocate_model(&mut self.bytes, how, offset as usize, length as usize),
            Err(_) => assert!(self.fallible),
        }
    }

    fn copy(&mut self, shard: usize) {
        let (from, to) = (self.random.below(self.file_bytes), self.random.below(self.file_bytes));
        let length = self.random.below(200_000) + 1;
        let present = length.min((self.bytes.len() as u64).saturating_sub(from));
        match copy_range(self.volume, shard, (self.ino, from), (self.ino, to), length) {
            Ok(count) => {
                assert!(count == present || (self.fallible && count < present));
                copy_model(&mut self.bytes, from as usize, to as usize, count as usize);
            }
            Err(Errno::EINVAL) => assert!(from.abs_diff(to) < present),
            Err(_) => assert!(self.fallible),
        }
    }

    fn flush(&mut self, shard: usize) {
        let flushed = flush(self.volume, shard, self.ino);
        assert!(flushed.is_ok() || self.fallible);
    }

    fn reopen(&mut self, shard: usize) {
        let closing = self.shard();
        close(self.volume, closing, self.ino);
        assert_eq!(open(self.volume, shard, self.ino).unwrap().attributes.length, self.bytes.len() as u64);
    }

    fn read(&mut self, shard: usize) {
        let offset = self.random.below(self.file_bytes) as usize;
        let length = self.random.below(300_000) as usize + 1;
        let expected = self.bytes.get(offset..).unwrap_or_default();
        let expected = &expected[..expected.len().min(length)];
        match read(self.volume, shard, self.ino, offset as u64, length) {
            Ok(found) => assert_eq!(found.len(), expected.len()),
            Err(_) => assert!(self.fallible),
        }
        if let Ok(found) = read(self.volume, shard, self.ino, offset as u64, length) {
            let wrong = found.iter().zip(expected).position(|(found, expected)| found != expected);
            assert_eq!(wrong, None, "first wrong byte of a read at {offset}");
        }
    }
}

fn fallocate_model(bytes: &mut Vec<u8>, how: Fallocation, offset: usize, length: usize) {
    if how.what != Fallocate::Punch && !how.keep_length {
        bytes.resize(bytes.len().max(offset + length), 0);
    }
    if how.what != Fallocate::Allocate {
        let end = bytes.len().min(offset + length);
        bytes[offset.min(end)..end].fill(0);
    }
}

fn copy_model(bytes: &mut Vec<u8>, from: usize, to: usize, count: usize) {
    if count > 0 {
        bytes.resize(bytes.len().max(to + count), 0);
        bytes.copy_within(from..from + count, to);
    }
}

fn drive(volume: &Shards, seed: u64, fallible: bool, file_bytes: u64) -> (Ino, Vec<u8>) {
    let ino = create_open(volume, 0, &format!("file-{seed}"));
    let mut model = Model { volume, random: Random::new(seed), ino, bytes: Vec::new(), fallible, file_bytes };
    (0..STEPS).for_each(|number| model.step(number));
    let bytes = std::mem::take(&mut model.bytes);
    (ino, bytes)
}

/// How objects of several frames are stored.
#[derive(Clone, Copy)]
struct Form {
    compression: Compression,
    cipher: Cipher,
}

impl Form {
    fn apply(self, config: &mut Config) {
        config.settings.compression = self.compression;
        config.settings.cipher = Some(self.cipher);
        config.settings.block_bytes = 512 << 10;
        let key = VolumeKey::from_bytes(&[3; 32]).unwrap();
        let sealer = VolumeSealer::new(self.cipher, &key, &config.settings.uuid);
        config.kv = Arc::new(SealedKv::new(config.kv.clone(), Default::default(), &sealer));
        if let Some(cache) = &mut config.cache {
            cache.encrypt = Some(sealer.clone());
        }
        config.sealer = Some(sealer);
    }
}

/// Drives two files, stops the volume, starts another over the same stores and reads everything again.
fn survives(shards: usize, cached: bool, failure_rate: f64, form: Option<Form>) {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(TestStore::new(failure_rate));
    let database = folder.path().join("volume.db");
    let kv = SqliteKv::open(&database, true).unwrap();
    format(&*kv);
    let start = |kv: Arc<SqliteKv>, shards| {
        let mut config = config(kv, &store, shards);
        config.cache = cached.then(|| cache_in(folder.path()).unwrap());
        if let Some(form) = form {
            form.apply(&mut config);
        }
        Shards::start(config).unwrap()
    };
    let volume = start(kv, shards);
    let files: Vec<_> = (1..=2).map(|seed| drive(&volume, seed, failure_rate > 0.0, FILE_BYTES)).collect();
    assert_eq!(volume.stop(), Ok(()));
    assert_eq!(store.failures.load(SeqCst) > 0, failure_rate > 0.0);
    let volume = start(SqliteKv::open(&database, false).unwrap(), 3 - shards.min(2));
    for (ino, expected) in files {
        let length = expected.len();
        let found = read_stubbornly(&volume, ino);
        assert_eq!(found.len(), length);
        assert!(found == expected, "after a restart");
    }
    volume.stop().unwrap();
}

/// What has been fetched stays in memory, so each try comes further.
fn read_stubbornly(volume: &Shards, ino: Ino) -> Vec<u8> {
    let read = || read(volume, 0, ino, 0, FILE_BYTES as usize * 2);
    (0..1000).find_map(|_| read().ok()).expect("a store that fails now and then does not fail always")
}

#[test]
fn one_shard_reads_what_was_written() {
    survives(1, false, 0.0, None);
}

#[test]
fn two_shards_read_what_was_written_through_the_cache() {
    survives(2, true, 0.0, None);
}

#[test]
fn four_shards_read_what_was_written() {
    survives(4, false, 0.0, None);
}

#[test]
fn four_shards_read_what_was_written_through_the_cache() {
    survives(4, true, 0.0, None);
}

#[test]
fn a_store_that_fails_now_and_then_loses_nothing() {
    survives(2, true, 0.05, None);
}

#[test]
fn compressed_and_encrypted_bytes_come_back() {
    survives(2, false, 0.0, Some(Form { compression: Compression::Zstd(1), cipher: Cipher::Aes256Gcm }));
    survives(2, true, 0.05, Some(Form { compression: Compression::Lz4, cipher: Cipher::ChaCha20Poly1305 }));
}

#[test]
fn small_files_that_are_packed_all_the_while_come_back() {
    let store = Arc::new(TestStore::new(0.0));
    let base = shoal_kv::MemoryStore::new(shoal_kv::MemoryOptions::default());
    let kv = base.client();
    format(&*kv);
    let start = || {
        let mut config = config(base.client(), &store, 2);
        config.settings.staging = shoal_types::Staging { file_bytes_max: 64 << 10, total_bytes_max: 1 << 30 };
        config.settings.inline_bytes_max = 100;
        Shards::start(config).unwrap()
    };
    let volume = start();
    let over = std::sync::atomic::AtomicBool::new(false);
    // Set however the scope is left: a scope waits for its threads before it passes a panic on.
    struct Over<'a>(&'a std::sync::atomic::AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, SeqCst);
        }
    }
    let files = std::thread::scope(|scope| {
        let ends = Over(&over);
        let packer = scope.spawn(|| {
            while !over.load(SeqCst) {
                on(&volume, 0, |local| async move { local.pack_all().await }).unwrap();
            }
        });
        // A third of them outgrow what may be staged.
        let files: Vec<_> = (1..=30).map(|seed| drive(&volume, seed, false, 20_000 + 2000 * seed)).collect();
        drop(ends);
        packer.join().unwrap();
        files
    });
    volume.stop().unwrap();
    let volume = start();
    for (ino, expected) in files {
        assert!(read(&volume, 0, ino, 0, FILE_BYTES as usize).unwrap() == expected, "after a restart");
    }
    volume.stop().unwrap();
    let findings = shoal_metadata::check::run(&Metadata::new(kv.clone()), &mut |_| {}).unwrap().findings;
    assert_eq!(findings, []);
}
