//! Blocks of one file overwritten in place, as a database does it: after fsync a block holds what was written last.

use super::{Workload, told};
use crate::content::{bytes, seed};
use shoal_kv::Random;
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

#[derive(Default)]
pub struct Overwrite {
    /// Generations of each block that may be there: the acknowledged one first, then all written since.
    blocks: BTreeMap<u64, Vec<u64>>,
    generation: u64,
}

const BLOCKS: u64 = 160;
const BLOCK_BYTES: usize = 48 << 10;
const NEVER_WRITTEN: u64 = 0;

impl Workload for Overwrite {
    fn name(&self) -> &'static str {
        "overwrite"
    }

    fn step(&mut self, folder: &Path, random: &mut Random) -> io::Result<()> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(folder.join(NAME))?;
        let mut touched = Vec::new();
        for _ in 0..1 + random.below(6) {
            let block = random.below(BLOCKS);
            self.generation += 1;
            self.blocks.entry(block).or_insert_with(|| vec![NEVER_WRITTEN]).push(self.generation);
            touched.push(block);
            file.write_all_at(&content(block, self.generation), block * BLOCK_BYTES as u64)?;
        }
        file.sync_data()?;
        for block in touched {
            let generations = self.blocks.get_mut(&block).expect("written above");
            generations.drain(..generations.len() - 1);
        }
        Ok(())
    }

    fn verify(&mut self, folder: &Path) -> Result<(), String> {
        let path = folder.join(NAME);
        let found = match fs::read(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(told(&path)(error)),
        };
        for (block, generations) in &mut self.blocks {
            let start = (*block as usize * BLOCK_BYTES).min(found.len());
            let there = &found[start..(start + BLOCK_BYTES).min(found.len())];
            let is = |generation: &&u64| match **generation {
                NEVER_WRITTEN => there.iter().all(|byte| *byte == 0),
                generation => content(*block, generation) == there,
            };
            let Some(generation) = generations.iter().find(is).copied() else {
                return Err(format!("{}: block {block} is none of {generations:?}", path.display()));
            };
            *generations = vec![generation];
        }
        Ok(())
    }
}

const NAME: &str = "table";

fn content(block: u64, generation: u64) -> Vec<u8> {
    bytes(seed(block, generation), BLOCK_BYTES)
}
