//! Whole volumes in this process: shards, a metadata engine, a store in memory.

mod accesses;
mod compacting;
mod copying;
mod failing_store;
mod feed;
mod flags;
mod limits;
mod locks;
mod many_sessions;
mod names;
mod packing;
mod random_bytes;
mod random_reads;
mod reading_ahead;
mod removing;
mod repacking;
mod store;
mod syncing;
mod transfer_faults;
mod trash;
mod two_mounts;
mod warming;

use crate::{
    Access, AccessTimes, AttributeChanges, Config, Fallocate, Fallocation, KernelTimeouts, NewInode, RemovedFiles,
    Shard, Shards,
};
use bytes::Bytes;
use futures_channel::oneshot;
use shoal_cache::{CacheConfig, CacheFolder};
use shoal_kv::{Kv, MemoryKv};
use shoal_metadata::{Metadata, SessionKind, SessionRecord};
use shoal_runtime::AlignedBuffer;
use shoal_types::{
    Attributes, Compression, Consistency, Errno, FileKind, FsResult, Ino, Name, SCHEMA_VERSION, VolumeSettings,
};
use std::future::Future;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use store::TestStore;

fn settings() -> VolumeSettings {
    VolumeSettings {
        schema: SCHEMA_VERSION,
        name: "test".into(),
        uuid: "00000000-0000-4000-8000-000000000000".into(),
        storage: "memory:".into(),
        block_bytes: VolumeSettings::BLOCK_BYTES_MIN,
        inline_bytes_max: 4096,
        staging: Default::default(),
        delete_grace_seconds: 0,
        compression: Compression::None,
        cipher: None,
        also_encrypted: Default::default(),
    }
}

fn config(kv: Arc<dyn Kv>, store: &Arc<TestStore>, shards: usize) -> Config {
    Config {
        kv,
        store: store.clone(),
        settings: settings(),
        sealer: None,
        session: SessionRecord {
            host: "host".into(),
            boot: "boot".into(),
            pid: std::process::id(),
            started: crate::shared::now(),
            mount_point: "/mnt".into(),
            kind: SessionKind::Mount,
            consistency: Consistency::default(),
        },
        shards,
        pin: false,
        cache: None,
        write_buffer_bytes: (shards as u64) << 20,
        read_buffer_bytes: (shards as u64) << 20,
        readahead_bytes_max: 4 << 20,
        access_times: AccessTimes::default(),
        timeouts: KernelTimeouts { attributes: Duration::from_secs(1), entries: Duration::from_secs(1) },
        holds_inodes: false,
    }
}

fn cache_in(folder: &Path) -> Option<CacheConfig> {
    let folders = ["cache-0", "cache-1"].map(|name| CacheFolder { path: folder.join(name), bytes_max: 64 << 20 });
    Some(CacheConfig {
        folders: folders.into(),
        free_space_min: 0.0,
        verify_always: true,
        encrypt: None,
        mount: "/mnt".into(),
    })
}

fn format(kv: &dyn Kv) {
    Metadata::format(kv, &settings(), (0, 0), crate::shared::now()).unwrap();
}

/// A fresh volume in memory.
fn volume(store: &Arc<TestStore>, shards: usize) -> Shards {
    let kv = MemoryKv::new();
    format(&*kv);
    Shards::start(config(kv, store, shards)).unwrap()
}

/// Begins something on a shard. Its end is told.
fn begin<T, Fut>(
    volume: &Shards,
    shard: usize,
    task: impl FnOnce(Rc<Shard>) -> Fut + Send + 'static,
) -> mpsc::Receiver<T>
where
    T: Send + 'static,
    Fut: Future<Output = T> + 'static,
{
    let (sender, receiver) = mpsc::channel();
    volume.run(shard, move |local| {
        let future = task(local.clone());
        shoal_runtime::spawn(async move {
            // Nobody listens any more after a failed test.
            let _ = sender.send(future.await);
        });
    });
    receiver
}

/// Runs something on a shard and waits for its end.
fn on<T, Fut>(volume: &Shards, shard: usize, task: impl FnOnce(Rc<Shard>) -> Fut + Send + 'static) -> T
where
    T: Send + 'static,
    Fut: Future<Output = T> + 'static,
{
    begin(volume, shard, task).recv_timeout(Duration::from_secs(120)).expect("nothing takes that long")
}

/// Waits for a state, not for a time.
fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(60), "still waiting until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn name(name: &str) -> Name {
    Name::new(name.as_bytes()).unwrap()
}

fn new(kind: FileKind) -> NewInode {
    NewInode { kind, mode: 0o644, umask: 0, uid: 0, gid: 0, rdev: 0, target: Vec::new() }
}

fn create_open(volume: &Shards, shard: usize, called: &str) -> Ino {
    let called = name(called);
    let opened =
        on(volume, shard, |local| async move { local.create_open(Ino::ROOT, &called, new(FileKind::Regular)).await });
    opened.unwrap().attributes.ino
}

fn lookup(volume: &Shards, shard: usize, called: &str) -> FsResult<Attributes> {
    let called = name(called);
    on(volume, shard, |local| async move { local.lookup(Ino::ROOT, &called).await })
}

fn unlink(volume: &Shards, shard: usize, called: &str) {
    let called = name(called);
    on(volume, shard, |local| async move { local.unlink(Ino::ROOT, &called).await }).unwrap();
}

fn open(volume: &Shards, shard: usize, ino: Ino) -> FsResult<crate::Opened> {
    on(volume, shard, move |local| async move { local.open(ino, Access::default(), RemovedFiles::Opened).await })
}

fn close(volume: &Shards, shard: usize, ino: Ino) {
    on(volume, shard, move |local| async move { local.close(ino).await });
}

fn length_of(volume: &Shards, shard: usize, ino: Ino) -> u64 {
    on(volume, shard, move |local| async move { local.get_attributes(ino).await }).unwrap().length
}

fn truncate(volume: &Shards, shard: usize, ino: Ino, length: u64) -> FsResult<Attributes> {
    let changes = AttributeChanges { length: Some(length), ..AttributeChanges::default() };
    on(volume, shard, move |local| async move { local.set_attributes(ino, changes).await })
}

fn fallocate(volume: &Shards, shard: usize, ino: Ino, how: Fallocation, offset: u64, length: u64) -> FsResult<()> {
    on(volume, shard, move |local| async move { local.fallocate(ino, how, offset, length).await })
}

fn copy_range(volume: &Shards, shard: usize, from: (Ino, u64), to: (Ino, u64), length: u64) -> FsResult<u64> {
    on(volume, shard, move |local| async move { local.copy_range(from, to, length).await })
}

fn write(volume: &Shards, shard: usize, ino: Ino, offset: u64, data: Vec<u8>) -> FsResult<u32> {
    on(volume, shard, move |local| async move { write_here(&local, ino, offset, data).await })
}

async fn write_here(local: &Rc<Shard>, ino: Ino, offset: u64, data: Vec<u8>) -> FsResult<u32> {
    let (sender, receiver) = oneshot::channel();
    local.write(ino, offset, Bytes::from(data), true, move |result| sender.send(result).unwrap()).await;
    receiver.await.unwrap_or(Err(Errno::EIO))
}

fn read(volume: &Shards, shard: usize, ino: Ino, offset: u64, length: usize) -> FsResult<Vec<u8>> {
    on(volume, shard, move |local| async move { read_here(&local, ino, offset, length).await })
}

async fn read_here(local: &Rc<Shard>, ino: Ino, offset: u64, length: usize) -> FsResult<Vec<u8>> {
    let (sender, receiver) = oneshot::channel();
    let buffer = AlignedBuffer::with_capacity(length);
    let respond = move |result: FsResult<_>| assert!(sender.send(result).is_ok(), "the reader waits");
    local.read(ino, offset, length, buffer, respond).await;
    let (count, buffer) = receiver.await.unwrap_or(Err(Errno::EIO))?;
    Ok(buffer[..count].to_vec())
}

fn flush(volume: &Shards, shard: usize, ino: Ino) -> FsResult<()> {
    let (sender, receiver) = mpsc::channel();
    volume.run(shard, move |local| {
        let local = local.clone();
        shoal_runtime::spawn(async move { local.flush(ino, move |result| sender.send(result).unwrap()).await });
    });
    receiver.recv_timeout(Duration::from_secs(120)).expect("a flush ends")
}

fn fsync(volume: &Shards, shard: usize, ino: Ino) -> FsResult<()> {
    let (sender, receiver) = mpsc::channel();
    volume.run(shard, move |local| {
        let local = local.clone();
        shoal_runtime::spawn(async move { local.fsync(ino, move |result| sender.send(result).unwrap()).await });
    });
    receiver.recv_timeout(Duration::from_secs(120)).expect("an fsync ends")
}

/// Bytes that tell where they belong.
fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut random = shoal_kv::Random::new(seed);
    let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| random.next_u64().to_le_bytes()).collect();
    bytes.truncate(length);
    bytes
}
