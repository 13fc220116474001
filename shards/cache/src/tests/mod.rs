//! Tests on real rings and real files: what each file below tells about, and the helpers they share.

#![allow(clippy::unwrap_used, reason = "a test ends where what it stands on is missing")]

mod damage;
mod dice;
mod disk_errors;
mod encrypted;
mod eviction;
mod folders;
mod lending;
mod lifetime;
mod pins;
mod power_loss;
mod racing;
mod work;

use crate::{Cache, CacheConfig, CacheFile, CacheFolder, CachePart, CacheRead, UNIT_BYTES};
use bytes::Bytes;
use shoal_encryption::{VolumeKey, VolumeSealer};
use shoal_runtime::{AlignedBuffer, shard_threads};
use shoal_types::{BLOCK_BYTES, Cipher, Ino};
use std::future::{Future, poll_fn};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;

const UNIT: usize = UNIT_BYTES as usize;
const INO: Ino = Ino(77);

fn config(folder: &Path, bytes_max: u64) -> CacheConfig {
    let folders = vec![CacheFolder { path: folder.into(), bytes_max }];
    CacheConfig { folders, free_space_min: 0.0, verify_always: false, encrypt: None, mount: "/mnt".into() }
}

fn sealer() -> VolumeSealer {
    let key = VolumeKey::from_bytes(&[7; VolumeKey::BYTES]).unwrap();
    VolumeSealer::new(Cipher::Aes256Gcm, &key, "volume")
}

fn open(folder: &Path, bytes_max: u64) -> Cache {
    Cache::open(&config(folder, bytes_max), "volume", 1).expect("the folder can be written")
}

/// The part of the only shard in the only folder.
fn part_of(cache: &Cache) -> CachePart {
    cache.of_shard(0).0.remove(0).expect("the folder can be written")
}

/// Runs one future on a shard thread of its own and hands back its result.
fn on_shard<T, Fut>(body: impl FnOnce() -> Fut + Send + 'static) -> T
where
    T: Send + 'static,
    Fut: Future<Output = T> + 'static,
{
    let body = Mutex::new(Some(body));
    let result = Arc::new(Mutex::new(None));
    let slot = result.clone();
    let threads = shard_threads(1, false, move |_| {
        let (body, slot) = (body.lock().unwrap().take().unwrap(), slot.clone());
        async move {
            let value = body().await;
            *slot.lock().unwrap() = Some(value);
        }
    });
    threads.unwrap().join();
    result.lock().unwrap().take().unwrap()
}

/// Bytes that tell which generation they are of and where they belong.
fn content(generation: u32, length: usize) -> Bytes {
    let mut buffer = AlignedBuffer::with_capacity(length);
    buffer.set_len(length);
    for (index, word) in buffer.chunks_mut(8).enumerate() {
        let value = u64::from(generation) << 32 | index as u64;
        word.copy_from_slice(&value.to_le_bytes()[..word.len()]);
    }
    buffer.into_bytes()
}

async fn fill(part: &CachePart, file: &Arc<CacheFile>, block: u64, generation: u32, units: u32) {
    part.identify(file, block, u64::from(generation));
    part.store(file, block, 0, units, content(generation, units as usize * UNIT)).await;
}

async fn read(file: &Arc<CacheFile>, offset: u64, length: usize) -> Option<Vec<u8>> {
    let (outcome, buffer) = file.try_read(offset, length, AlignedBuffer::with_capacity(length)).await;
    (outcome == CacheRead::Hit).then(|| buffer.to_vec())
}

/// Polls once: what the future wants from the kernel is then on its way.
async fn is_pending<F: Future>(future: &mut Pin<Box<F>>) -> bool {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_pending())).await
}

async fn adopt(part: &CachePart) {
    while part.adopt_step().await {}
}

/// The one file of this kind in a cache folder.
fn file_on_disk(folder: &Path, kind: &str) -> PathBuf {
    let found = files_on_disk(folder, kind);
    assert_eq!(found.len(), 1, "one .{kind} file: {found:?}");
    found[0].clone()
}

fn files_on_disk(folder: &Path, kind: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|extension| extension == kind) => found.push(path),
                false => {}
            }
        }
    }
    found
}

fn in_block(block: u64, within: usize) -> u64 {
    block * BLOCK_BYTES + within as u64
}
