//! A snapshot written as a dump. In memory there is one block at a time.

use crate::block::{self, BLOCK, END};
use crate::limits::{BLOCK_BYTES, PROGRESS_EVERY, STORED_BYTES_MAX, ZSTD_LEVEL};
use crate::{DumpError, Header};
use shoal_kv::{Pair, Snapshot};
use std::io::{self, Write};
use zstd::bulk::Compressor;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    pub blocks: u64,
    pub pairs: u64,
    /// Of the pairs, before they are compressed.
    pub bytes: u64,
}

/// Writes all of it, the end included, and flushes. `progress` is told the number of pairs so far.
pub fn write(
    snapshot: &mut dyn Snapshot,
    header: &Header,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64),
) -> Result<Totals, DumpError> {
    let mut writer = Writer::begin(header, out).map_err(DumpError::Output)?;
    loop {
        let pairs = snapshot.next()?;
        if pairs.is_empty() {
            break;
        }
        for pair in &pairs {
            writer.pair(pair).map_err(DumpError::Output)?;
            if writer.totals.pairs.is_multiple_of(PROGRESS_EVERY) {
                progress(writer.totals.pairs);
            }
        }
    }
    let totals = writer.end().map_err(DumpError::Output)?;
    progress(totals.pairs);
    Ok(totals)
}

struct Writer<'a> {
    out: &'a mut dyn Write,
    compressor: Compressor<'static>,
    plain: Vec<u8>,
    /// In `plain`.
    pairs: u32,
    /// The last one.
    check: u32,
    totals: Totals,
}

impl<'a> Writer<'a> {
    fn begin(header: &Header, out: &'a mut dyn Write) -> io::Result<Self> {
        let bytes = header.encode();
        let (_, check) = bytes.split_last_chunk().expect("a header ends with its check");
        let check = u32::from_le_bytes(*check);
        out.write_all(&bytes)?;
        let compressor = Compressor::new(ZSTD_LEVEL)?;
        Ok(Writer { out, compressor, plain: Vec::new(), pairs: 0, check, totals: Totals::default() })
    }

    fn pair(&mut self, pair: &Pair) -> io::Result<()> {
        block::push(&mut self.plain, pair);
        self.pairs += 1;
        self.totals.pairs += 1;
        match self.plain.len() >= BLOCK_BYTES {
            true => self.block(),
            false => Ok(()),
        }
    }

    fn block(&mut self) -> io::Result<()> {
        if self.pairs == 0 {
            return Ok(());
        }
        let stored = self.compressor.compress(&self.plain)?;
        assert!(stored.len() <= STORED_BYTES_MAX, "zstd adds little");
        let mut head = vec![BLOCK];
        for number in [self.pairs, self.plain.len() as u32, stored.len() as u32] {
            head.extend_from_slice(&number.to_le_bytes());
        }
        self.part(&[&head, &stored])?;
        self.totals.blocks += 1;
        self.totals.bytes += self.plain.len() as u64;
        self.plain.clear();
        self.pairs = 0;
        Ok(())
    }

    fn end(mut self) -> io::Result<Totals> {
        self.block()?;
        let Totals { blocks, pairs, bytes } = self.totals;
        let mut end = vec![END];
        [blocks, pairs, bytes].iter().for_each(|number| end.extend_from_slice(&number.to_le_bytes()));
        self.part(&[&end])?;
        self.out.flush()?;
        Ok(self.totals)
    }

    fn part(&mut self, pieces: &[&[u8]]) -> io::Result<()> {
        for piece in pieces {
            self.check = crc32c::crc32c_append(self.check, piece);
            self.out.write_all(piece)?;
        }
        self.out.write_all(&self.check.to_le_bytes())
    }
}
