//! A reader on one shard against an owner on another that evicts and refills under it.

use super::*;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

const BLOCKS: u64 = 3;
const UNITS: u32 = 4;
const HITS_MIN: u32 = 300;
const ROUNDS: std::ops::Range<u32> = 100..200_000;

/// What both sides see of the race.
#[derive(Default)]
struct Race {
    file: Mutex<Option<Arc<CacheFile>>>,
    /// The oldest generation of each block that a read beginning now may still return.
    oldest: [AtomicU32; BLOCKS as usize],
    hits: AtomicU32,
    over: AtomicBool,
}

#[test]
fn a_reader_never_sees_mixed_or_outdated_bytes_while_blocks_are_evicted_and_refilled() {
    let folder = tempfile::tempdir().unwrap();
    // Room for two of three blocks: every round evicts; some blocks are also overwritten in place.
    let cache = open(folder.path(), u64::from(2 * UNITS) * UNIT_BYTES);
    let part = part_of(&cache);
    let race = Arc::new(Race::default());
    *race.file.lock().unwrap() = Some(part.open_file(INO));
    let (shared, part) = (race.clone(), Mutex::new(Some(part)));
    let threads = shard_threads(2, false, move |shard| {
        let race = shared.clone();
        let part = (shard == 0).then(|| part.lock().unwrap().take().unwrap());
        async move {
            match part {
                Some(part) => own(&part, &race).await,
                None => keep_reading(&race).await,
            }
        }
    });
    threads.unwrap().join();
    assert!(race.hits.load(SeqCst) >= HITS_MIN, "the reader has hit something");
}

async fn own(part: &CachePart, race: &Race) {
    let file = race.file.lock().unwrap().clone().unwrap();
    for generation in 1..ROUNDS.end {
        // Two rounds in a row on a block overwrite it in place, the third one's new block evicts another.
        let block = u64::from(generation) / 2 % BLOCKS;
        part.identify(&file, block, u64::from(generation));
        race.oldest[block as usize].store(generation, SeqCst);
        part.store(&file, block, 0, UNITS, content(generation, UNITS as usize * UNIT)).await;
        assert_eq!(file.valid_units(block).count_ones(), UNITS);
        assert!(part.usage() <= u64::from(2 * UNITS) * UNIT_BYTES);
        if generation >= ROUNDS.start && race.hits.load(SeqCst) >= HITS_MIN {
            break;
        }
    }
    race.over.store(true, SeqCst);
}

async fn keep_reading(race: &Race) {
    let file = race.file.lock().unwrap().clone().unwrap();
    let lengths = [4096, UNIT, 2 * UNIT, 12_345];
    for turn in 0.. {
        if race.over.load(SeqCst) {
            return;
        }
        let block = turn as u64 % BLOCKS;
        let within = turn * 4096 % (2 * UNIT);
        let oldest = race.oldest[block as usize].load(SeqCst);
        if let Some(bytes) = read(&file, in_block(block, within), lengths[turn % lengths.len()]).await {
            check(&bytes, within, oldest);
            race.hits.fetch_add(1, SeqCst);
        }
        shoal_runtime::yield_now().await;
    }
}

fn check(bytes: &[u8], within: usize, oldest: u32) {
    let words = bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap()));
    let generation = u32::from_le_bytes(bytes[4..8].try_into().unwrap());
    assert!(generation >= oldest, "generation {generation} was gone before the read began, at {oldest}");
    for (index, word) in (within as u64 / 8..).zip(words) {
        assert_eq!(word, u64::from(generation) << 32 | index, "mixed bytes");
    }
}

#[test]
fn a_read_in_flight_while_its_block_changes_is_a_miss() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), u64::from(UNITS) * UNIT_BYTES);
    on_shard(move || async move {
        let part = part_of(&cache);
        let file = part.open_file(INO);
        fill(&part, &file, 0, 1, UNITS).await;
        let mut overwritten = Box::pin(read(&file, 0, UNIT));
        assert!(is_pending(&mut overwritten).await);
        fill(&part, &file, 0, 2, UNITS).await;
        assert_eq!(overwritten.await, None);
        let mut evicted = Box::pin(read(&file, 0, UNIT));
        assert!(is_pending(&mut evicted).await);
        fill(&part, &file, 1, 3, UNITS).await;
        assert_eq!(evicted.await, None);
        let mut closed = Box::pin(read(&file, in_block(1, 0), UNIT));
        assert!(is_pending(&mut closed).await);
        part.close_file(&file);
        assert_eq!(closed.await, None);
    });
}
