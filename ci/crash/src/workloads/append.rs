//! A log: records appended one after the other, acknowledged by fsync or close. What is there must be a beginning of what was
//! written, and hold at least what was acknowledged.

use super::{Workload, close, told};
use crate::content::{bytes, seed};
use shoal_kv::Random;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

#[derive(Default)]
pub struct Append {
    file: u64,
    /// The stream as written so far.
    written: Vec<u8>,
    acknowledged: usize,
    records: u64,
    open: Option<File>,
}

const STREAM_BYTES_MAX: usize = 12 << 20;

impl Workload for Append {
    fn name(&self) -> &'static str {
        "append"
    }

    fn step(&mut self, folder: &Path, random: &mut Random) -> io::Result<()> {
        if self.written.len() > STREAM_BYTES_MAX {
            self.open = None;
            *self = Append { file: self.file + 1, ..Append::default() };
        }
        let mut file = match self.open.take() {
            Some(file) => file,
            None => OpenOptions::new().append(true).create(true).open(folder.join(name(self.file)))?,
        };
        for _ in 0..1 + random.below(20) {
            let record = bytes(seed(self.file, self.records), 1 + random.below(9000) as usize);
            self.records += 1;
            self.written.extend_from_slice(&record);
            file.write_all(&record)?;
        }
        match random.below(3) {
            0 => close(file)?,
            1 => {
                file.sync_data()?;
                self.open = Some(file);
            }
            _ => {
                // Not acknowledged: a later step's fsync or close covers it.
                self.open = Some(file);
                return Ok(());
            }
        }
        self.acknowledged = self.written.len();
        Ok(())
    }

    fn verify(&mut self, folder: &Path) -> Result<(), String> {
        self.open = None;
        let path = folder.join(name(self.file));
        let found = match fs::read(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.acknowledged == 0 => Vec::new(),
            Err(error) => return Err(told(&path)(error)),
        };
        if found.len() < self.acknowledged {
            return Err(format!("{}: {} bytes, {} were acknowledged", path.display(), found.len(), self.acknowledged));
        }
        if !self.written.starts_with(&found) {
            let at = found.iter().zip(&self.written).take_while(|(found, written)| found == written).count();
            return Err(format!("{}: wrong from byte {at} of {}", path.display(), found.len()));
        }
        // Goes on behind what is there, as a program that recovers its log.
        self.written.truncate(found.len());
        self.acknowledged = found.len();
        Ok(())
    }
}

fn name(file: u64) -> String {
    format!("log-{file}")
}
