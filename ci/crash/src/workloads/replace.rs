//! Files replaced as editors do it: write beside, close (often after fsync), rename over.

use super::{Workload, close, told};
use crate::content::{bytes, seed};
use shoal_kv::Random;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

#[derive(Default)]
pub struct Replace {
    /// Acknowledged generation of each file; 0: none.
    acknowledged: [u64; FILES],
    /// Begun and not acknowledged: it may be there.
    begun: Option<(usize, u64)>,
    generation: u64,
}

const FILES: usize = 12;
const LENGTHS: [usize; 7] = [0, 1, 700, 4096, 5000, 200_000, 5_000_000];

impl Workload for Replace {
    fn name(&self) -> &'static str {
        "replace"
    }

    fn step(&mut self, folder: &Path, random: &mut Random) -> io::Result<()> {
        let index = random.below(FILES as u64) as usize;
        self.generation += 1;
        let beside = folder.join(format!("beside-{}", self.generation));
        let mut file = File::create(&beside)?;
        let content = content(index, self.generation);
        for part in content.chunks(1 + random.below(300_000) as usize) {
            file.write_all(part)?;
        }
        if random.chance(0.6) {
            file.sync_all()?;
        }
        close(file)?;
        self.begun = Some((index, self.generation));
        fs::rename(&beside, folder.join(name(index)))?;
        if random.chance(0.3) {
            File::open(folder)?.sync_all()?;
        }
        self.acknowledged[index] = self.generation;
        self.begun = None;
        Ok(())
    }

    fn verify(&mut self, folder: &Path) -> Result<(), String> {
        for index in 0..FILES {
            let path = folder.join(name(index));
            let begun = self.begun.filter(|(begun, _)| *begun == index).map(|(_, generation)| generation);
            let found = match fs::read(&path) {
                Ok(found) => found,
                Err(error) if error.kind() == io::ErrorKind::NotFound && self.acknowledged[index] == 0 => continue,
                Err(error) => return Err(told(&path)(error)),
            };
            let allowed = [Some(self.acknowledged[index]).filter(|generation| *generation > 0), begun];
            let there = allowed.into_iter().flatten().find(|generation| content(index, *generation) == found);
            let Some(there) = there else {
                return Err(format!("{}: {} bytes that are none of {allowed:?}", path.display(), found.len()));
            };
            self.acknowledged[index] = there;
        }
        self.begun = None;
        for entry in fs::read_dir(folder).map_err(told(folder))? {
            let path = entry.map_err(told(folder))?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("beside-")) {
                fs::remove_file(&path).map_err(told(&path))?;
            }
        }
        Ok(())
    }
}

fn name(index: usize) -> String {
    format!("file-{index}")
}

fn content(index: usize, generation: u64) -> Vec<u8> {
    let seed = seed(index as u64, generation);
    bytes(seed, LENGTHS[(seed % LENGTHS.len() as u64) as usize])
}
