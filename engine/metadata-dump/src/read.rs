//! A dump read back, block by block. Whatever its bytes are, they are read or refused.

use crate::block::{self, BLOCK, END};
use crate::limits::{BLOCK_BYTES_MAX, STORED_BYTES_MAX};
use crate::{Header, Totals};
use shoal_kv::{KvError, KvResult, Pair, Snapshot};
use shoal_types::SCHEMA_VERSION;
use std::io::{self, Read};
use zstd::bulk::Decompressor;

/// A dump is a snapshot that was taken some time ago. It ends well only where the dump does.
pub struct DumpReader<R> {
    source: R,
    header: Header,
    decompressor: Decompressor<'static>,
    /// The last one.
    check: u32,
    last: Vec<u8>,
    totals: Totals,
    ended: bool,
}

impl<R: Read + Send> DumpReader<R> {
    /// Reads the header.
    pub fn open(mut source: R) -> KvResult<Self> {
        let (header, check) = Header::read(&mut source)?;
        if header.schema > SCHEMA_VERSION {
            return Err(KvError::Damaged(format!(
                "the dump is of a volume of schema {}, which is newer than this program (it knows {SCHEMA_VERSION})",
                header.schema
            )));
        }
        let decompressor = Decompressor::new().map_err(|error| KvError::Other(format!("starting zstd: {error}")))?;
        let (last, totals) = (Vec::new(), Totals::default());
        Ok(DumpReader { source, header, decompressor, check, last, totals, ended: false })
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    /// So far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    fn read(&mut self, bytes: &mut [u8]) -> KvResult<()> {
        self.source.read_exact(bytes).map_err(cut_off)
    }

    fn block(&mut self) -> KvResult<Vec<Pair>> {
        let mut head = [BLOCK; 13];
        self.read(&mut head[1..])?;
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (pairs, plain_bytes, stored_bytes) = (number(1), number(5) as usize, number(9) as usize);
        if plain_bytes > BLOCK_BYTES_MAX || stored_bytes > STORED_BYTES_MAX {
            return Err(damaged("a block is longer than it can be"));
        }
        let mut stored = vec![0; stored_bytes];
        self.read(&mut stored)?;
        self.verify(&[&head, &stored])?;
        let plain = self.decompressor.decompress(&stored, plain_bytes);
        let plain = plain.map_err(|_| damaged("a block can't be decompressed"))?;
        if plain.len() != plain_bytes {
            return Err(damaged("a block does not hold what it says"));
        }
        let pairs = block::parse(&plain, pairs, &self.last)?;
        let (last, _) = pairs.last().expect("a block holds pairs");
        self.last.clone_from(last);
        self.totals.blocks += 1;
        self.totals.pairs += pairs.len() as u64;
        self.totals.bytes += plain.len() as u64;
        Ok(pairs)
    }

    fn end(&mut self) -> KvResult<()> {
        let mut end = [END; 25];
        self.read(&mut end[1..])?;
        self.verify(&[&end])?;
        let Totals { blocks, pairs, bytes } = self.totals;
        let expected: Vec<u8> = [blocks, pairs, bytes].iter().flat_map(|number| number.to_le_bytes()).collect();
        if end[1..] != expected[..] {
            return Err(damaged("it does not hold what its end says"));
        }
        match self.source.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(damaged("something follows its end")),
            Err(error) => Err(cut_off(error)),
        }
    }

    fn verify(&mut self, pieces: &[&[u8]]) -> KvResult<()> {
        let mut found = [0; 4];
        self.read(&mut found)?;
        self.check = pieces.iter().fold(self.check, |check, piece| crc32c::crc32c_append(check, piece));
        match self.check.to_le_bytes() == found {
            true => Ok(()),
            false => Err(damaged("a check fails")),
        }
    }
}

impl<R: Read + Send> Snapshot for DumpReader<R> {
    fn next(&mut self) -> KvResult<Vec<Pair>> {
        if self.ended {
            return Ok(Vec::new());
        }
        let mut kind = [0];
        self.read(&mut kind)?;
        match kind[0] {
            BLOCK => self.block(),
            END => {
                self.end()?;
                self.ended = true;
                Ok(Vec::new())
            }
            _ => Err(damaged("it has a part of no known kind")),
        }
    }
}

pub(crate) fn damaged(why: &str) -> KvError {
    KvError::Damaged(format!("the dump is damaged: {why}"))
}

pub(crate) fn cut_off(error: io::Error) -> KvError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => KvError::Damaged("the dump is cut off: its end is missing".into()),
        io::ErrorKind::InvalidData => damaged(&error.to_string()),
        _ => KvError::Other(format!("reading the dump: {error}")),
    }
}
