//! What small reads in no order cost where objects are compressed and encrypted: about the frames that they touch.
//!
//! Now and then a read follows another by chance and looks like the beginning of a stream: the less often, the larger the file
//! is. With `SHOAL_LONG=1` on a file of 1 GiB instead of 256 MiB.

use super::*;
use shoal_encryption::{VolumeKey, VolumeSealer};
use shoal_kv::Random;
use shoal_kv_sqlite::SqliteKv;
use shoal_object_format::FRAME_BYTES;
use shoal_types::{BLOCK_BYTES, Cipher};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering::SeqCst;

const READ_BYTES: u64 = 4096;
const FRAME: u64 = FRAME_BYTES as u64;

/// What is read at a multiple of `READ_BYTES`. Shrinks to about a half.
fn content(at: u64) -> Vec<u8> {
    let mut bytes = pattern(at, READ_BYTES as usize);
    bytes.chunks_exact_mut(64).for_each(|piece| piece[32..].fill(at as u8));
    bytes
}

fn started(
    kv: Arc<dyn Kv>,
    store: &Arc<TestStore>,
    key: &VolumeKey,
    compression: Compression,
    cipher: Cipher,
) -> Shards {
    let mut config = config(kv, store, 2);
    config.settings.block_bytes = BLOCK_BYTES as u32;
    config.settings.compression = compression;
    config.settings.cipher = Some(cipher);
    config.sealer = Some(VolumeSealer::new(cipher, key, &config.settings.uuid));
    config.write_buffer_bytes = 64 << 20;
    // No frame has to be fetched twice.
    config.read_buffer_bytes = 1 << 30;
    config.readahead_bytes_max = 64 << 20;
    Shards::start(config).unwrap()
}

#[test]
fn cold_reads_of_4_kib_in_no_order_fetch_no_more_than_a_fifth_above_the_frames_they_touch() {
    let blocks: u64 = if std::env::var_os("SHOAL_LONG").is_some() { 256 } else { 64 };
    let (file_bytes, reads) = (blocks * BLOCK_BYTES, blocks * 16);
    for (delay, compression, cipher) in [
        (0, Compression::Lz4, Cipher::Aes256Gcm),
        // Where requests are slow, what lies between two reads may be fetched along.
        (5, Compression::Zstd(1), Cipher::ChaCha20Poly1305),
    ] {
        let (store, key) = (Arc::new(TestStore::new(0.0)), VolumeKey::generate());
        let folder = tempfile::tempdir().unwrap();
        let kv = |create| SqliteKv::open(&folder.path().join("a.db"), create).unwrap();
        format(&*kv(true));
        let volume = started(kv(false), &store, &key, compression, cipher);
        let ino = create_open(&volume, 0, "f");
        for block in 0..blocks {
            let pieces = (block * BLOCK_BYTES..(block + 1) * BLOCK_BYTES).step_by(READ_BYTES as usize);
            write(&volume, 0, ino, block * BLOCK_BYTES, pieces.flat_map(content).collect()).unwrap();
        }
        flush(&volume, 0, ino).unwrap();
        close(&volume, 0, ino);
        volume.stop().unwrap();
        let frame_bytes = store.bytes() as f64 / (file_bytes / FRAME) as f64;
        assert!(frame_bytes < 0.75 * FRAME as f64, "the objects are compressed: {frame_bytes}");
        store.get_delay_ms.store(delay, SeqCst);
        let (volume, mut random, mut touched) =
            (started(kv(false), &store, &key, compression, cipher), Random::new(5), BTreeSet::new());
        open(&volume, 0, ino).unwrap();
        for _ in 0..reads {
            let at = random.below(file_bytes / READ_BYTES) * READ_BYTES;
            assert!(read(&volume, 0, ino, at, READ_BYTES as usize).unwrap() == content(at), "wrong bytes at {at}");
            touched.insert(at / FRAME);
        }
        close(&volume, 0, ino);
        volume.stop().unwrap();
        let (got, frames) = (store.bytes_got.load(SeqCst) as f64, touched.len() as f64 * frame_bytes);
        println!(
            "{reads} reads, {delay} ms away: {got} bytes in {} requests, {:.3} of the frames touched",
            store.gets.load(SeqCst),
            got / frames
        );
        assert!(got <= 1.2 * frames, "{got} bytes were fetched for frames of {frames}");
    }
}
