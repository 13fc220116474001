//! Power loss: nothing is ever synced here, so any part of what was written may be missing afterwards.
//!
//! Each round works with the cache, copies what is in its files now and then, ends in the midst of stores, and makes the
//! files anew from pieces of all those copies: each piece as it once was, or never written. That is at least what a disk may do that
//! loses, tears and reorders unsynced writes. The next round finds this. `SHOAL_LONG=1`: 500 rounds.

use super::dice::Dice;
use super::work::{BLOCKS, FILES, Met, Truth, UNITS, store, work};
use super::*;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

const STEPS: u64 = 40;

/// The files of a cache as they were at one moment.
type Copy = BTreeMap<PathBuf, CopiedFile>;

#[derive(Clone)]
struct CopiedFile {
    length: u64,
    /// By their places: a block's first units, or the beginning of the index.
    pieces: BTreeMap<u64, Vec<u8>>,
}

#[test]
fn after_power_loss_the_cache_has_right_bytes_or_none() {
    lose_power_again_and_again(false);
}

#[test]
fn after_power_loss_an_encrypted_cache_has_right_bytes_or_none() {
    lose_power_again_and_again(true);
}

fn lose_power_again_and_again(encrypted: bool) {
    let rounds = if std::env::var_os("SHOAL_LONG").is_some_and(|value| value == "1") { 500 } else { 25 };
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("seed {seed}");
    let folder = tempfile::tempdir().unwrap();
    let (mut dice, mut truth, mut sum) = (Dice::new(seed), Truth::default(), Met::default());
    let mut before = Copy::new();
    let has_met_enough = |sum: &Met| sum.survivors > rounds / 4 && sum.refused > rounds / 4;
    let mut round = 0;
    // What a round meets is chance; a few of them may have met little.
    while round < rounds || (!has_met_enough(&sum) && round < 10 * rounds) {
        let (path, copies, met);
        (path, truth, copies, met) = run(folder.path(), truth, Dice::new(seed ^ round), before, encrypted);
        sum = Met {
            hits: sum.hits + met.hits,
            survivors: sum.survivors + met.survivors,
            refused: sum.refused + met.refused,
        };
        lose_power(&path, &copies, &mut dice);
        before = copy(&path);
        for _ in 0..dice.below(4) {
            // Another mount writes while this one is not there.
            truth.change(Ino(1 + dice.below(FILES)), dice.below(BLOCKS));
        }
        round += 1;
    }
    println!("{round} rounds: {sum:?}");
    assert!(has_met_enough(&sum), "the test has met what it is for: {sum:?}");
}

/// One run of a mount: the slot, the truth at its end, and copies of the files from before it to after it.
fn run(
    folder: &Path,
    mut truth: Truth,
    mut dice: Dice,
    before: Copy,
    encrypted: bool,
) -> (PathBuf, Truth, Vec<Copy>, Met) {
    let bytes_max = [1 << 30, 12 * UNIT_BYTES][dice.below(2) as usize];
    let encrypt = encrypted.then(sealer);
    let config = CacheConfig { verify_always: dice.one_in(3), encrypt, ..config(folder, bytes_max) };
    let cache = Cache::open(&config, "volume", 1).unwrap();
    let slot = cache.slots().next().unwrap().to_path_buf();
    let (path, moments) = (slot.clone(), [dice.below(STEPS), dice.below(STEPS)]);
    let (truth, mut copies, met) = on_shard(move || async move {
        let part = part_of(&cache);
        let mut copies = vec![before];
        let met = work(&part, &mut truth, &mut dice, STEPS, |step| {
            if moments.contains(&step) {
                copies.push(copy(&path));
            }
        })
        .await;
        assert!(!part.is_degraded(), "what a lost write leaves is no failing disk");
        // Killed with writes on their way.
        for _ in 0..2 {
            let file = part.open_file(Ino(1 + dice.below(FILES)));
            is_pending(&mut Box::pin(store(&part, &file, &truth, dice.below(BLOCKS), &mut dice))).await;
        }
        (truth, copies, met)
    });
    copies.push(copy(&slot));
    (slot, truth, copies, met)
}

fn copy(slot: &Path) -> Copy {
    let paths = ["data", "index"].map(|kind| files_on_disk(slot, kind)).concat();
    paths.into_iter().map(|path| (path.clone(), copy_file(&path))).collect()
}

fn copy_file(path: &Path) -> CopiedFile {
    let file = File::open(path).unwrap();
    let piece = |at: u64| {
        let mut bytes = vec![0; UNITS as usize * UNIT];
        let mut filled = 0;
        while let Ok(count @ 1..) = file.read_at(&mut bytes[filled..], at + filled as u64) {
            filled += count;
        }
        (at, bytes)
    };
    let blocks = if path.extension().unwrap() == "data" { BLOCKS } else { 1 };
    CopiedFile {
        length: file.metadata().unwrap().len(),
        pieces: (0..blocks).map(|block| piece(block * BLOCK_BYTES)).collect(),
    }
}

/// Makes the files anew out of all that they have been since they were last on disk as a whole.
fn lose_power(slot: &Path, copies: &[Copy], dice: &mut Dice) {
    let paths: Vec<_> =
        copies.iter().flat_map(Copy::keys).cloned().collect::<std::collections::BTreeSet<_>>().into_iter().collect();
    for path in paths {
        if dice.one_in(3) {
            // All of it had reached the disk.
            continue;
        }
        let _ = std::fs::remove_file(&path);
        let versions: Vec<_> = copies.iter().map(|copy| copy.get(&path)).collect();
        // Its name was made, or removed, too late; otherwise its length is one that it had.
        let Some(CopiedFile { length, .. }) = dice.pick(&versions) else { continue };
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = File::create(&path).unwrap();
        let known: Vec<_> = versions.iter().flatten().collect();
        for at in known[0].pieces.keys() {
            let pieces: Vec<_> = known.iter().map(|version| &version.pieces[at][..]).collect();
            let grain = [UNIT, 4096, 512, 64][dice.below(4) as usize];
            file.write_all_at(&mix(&pieces, grain, dice), *at).unwrap();
        }
        file.set_len(*length).unwrap();
    }
    assert!(slot.join("lock").exists());
}

/// Each grain as one of the versions has it, or zeros; most of a unit's grains of one version.
fn mix(versions: &[&[u8]], grain: usize, dice: &mut Dice) -> Vec<u8> {
    let mut mixed = vec![0; versions[0].len()];
    for (number, unit) in mixed.chunks_mut(UNIT).enumerate() {
        let whole = (!dice.one_in(3)).then(|| *dice.pick(versions));
        for (within, target) in unit.chunks_mut(grain).enumerate() {
            let at = number * UNIT + within * grain;
            match whole.or_else(|| (!dice.one_in(20)).then(|| *dice.pick(versions))) {
                Some(version) => target.copy_from_slice(&version[at..at + target.len()]),
                None => target.fill(0),
            }
        }
    }
    mixed
}
