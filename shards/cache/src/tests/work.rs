//! A mount's random work with its cache, held to what the files are known to contain.

use super::dice::Dice;
use super::*;
use std::collections::HashMap;

pub(super) const FILES: u64 = 4;
pub(super) const BLOCKS: u64 = 2;
pub(super) const UNITS: u32 = 4;

/// What every block is made of now: what metadata would tell. It survives everything.
#[derive(Clone, Default)]
pub(super) struct Truth(HashMap<(u64, u64), u32>);

impl Truth {
    pub fn generation(&self, ino: Ino, block: u64) -> u32 {
        self.0.get(&(ino.0, block)).copied().unwrap_or(1)
    }

    /// The block is written anew, by us or another mount.
    pub fn change(&mut self, ino: Ino, block: u64) {
        *self.0.entry((ino.0, block)).or_insert(1) += 1;
    }
}

/// What a run has met.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Met {
    pub hits: u64,
    /// Of them, of what an earlier run has left.
    pub survivors: u64,
    /// Units of the present identity that the index named and the checksums refused.
    pub refused: u64,
}

/// Does some steps. Every hit is compared with the truth.
pub(super) async fn work(
    part: &CachePart,
    truth: &mut Truth,
    dice: &mut Dice,
    steps: u64,
    mut between: impl FnMut(u64),
) -> Met {
    let (mut met, mut fresh) = (Met::default(), HashMap::new());
    for step in 0..steps {
        between(step);
        let (ino, block) = (Ino(1 + dice.below(FILES)), dice.below(BLOCKS));
        let file = part.open_file(ino);
        match dice.below(16) {
            0 => part.remove(ino),
            1 => part.drop_file(&file).await,
            2 => _ = part.set_pinned(&file, dice.one_in(2)),
            3 => _ = part.adopt_step().await,
            4..7 => {
                truth.change(ino, block);
                part.invalidate(&file, block..block + 1);
                store(part, &file, truth, block, dice).await;
                fresh.insert((ino, block), ());
            }
            7..10 => {
                store(part, &file, truth, block, dice).await;
                fresh.insert((ino, block), ());
            }
            _ => {
                let found = look(part, &file, truth, block, dice).await;
                met.hits += found.hits;
                met.refused += found.refused;
                if !fresh.contains_key(&(ino, block)) {
                    met.survivors += found.hits;
                }
            }
        }
        if dice.one_in(3) {
            part.close_file(&file);
        }
    }
    met
}

/// Begins to store part of a block, as its present content is.
pub(super) fn store<'a>(
    part: &'a CachePart,
    file: &'a Arc<CacheFile>,
    truth: &Truth,
    block: u64,
    dice: &mut Dice,
) -> impl Future<Output = ()> + 'a {
    let generation = truth.generation(file.ino(), block);
    let first = dice.below(UNITS.into()) as u32;
    let count = 1 + dice.below(u64::from(UNITS - first)) as u32;
    part.identify(file, block, identity(file.ino(), block, generation));
    let whole = whole_block(file.ino(), block, generation);
    let bytes = whole.slice(first as usize * UNIT..(first + count) as usize * UNIT);
    async move { part.store(file, block, first, count, bytes).await }
}

async fn look(part: &CachePart, file: &Arc<CacheFile>, truth: &Truth, block: u64, dice: &mut Dice) -> Met {
    let generation = truth.generation(file.ino(), block);
    part.identify(file, block, identity(file.ino(), block, generation));
    let named = file.valid_units(block);
    let good = part.verify_units(file, block, named).await;
    let refused = u64::from((named & !good).count_ones());
    let missed = Met { refused, ..Met::default() };
    if good == 0 {
        return missed;
    }
    // From somewhere in the first good unit to somewhere in the last that follows without a gap.
    let first = good.trailing_zeros() as usize;
    let end = (first + (good >> first).trailing_ones() as usize) * UNIT;
    let within = first * UNIT + dice.below(UNIT_BYTES) as usize;
    let length = 1 + dice.below((end - within) as u64) as usize;
    let Some(found) = read(file, in_block(block, within), length).await else { return missed };
    let expected = whole_block(file.ino(), block, generation);
    assert!(
        found == expected[within..within + length],
        "wrong bytes of {} {block}, generation {generation}",
        file.ino()
    );
    Met { hits: 1, refused, ..Met::default() }
}

/// Other files, blocks and generations have other bytes.
fn whole_block(ino: Ino, block: u64, generation: u32) -> Bytes {
    content(identity(ino, block, generation) as u32, UNITS as usize * UNIT)
}

fn identity(ino: Ino, block: u64, generation: u32) -> u64 {
    u64::from(generation) << 8 | ino.0 << 4 | block
}
