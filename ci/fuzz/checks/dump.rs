//! What holds for any bytes in place of a dump: refused or read, never a panic, and never in more memory than a block takes.
//! Shared by the fuzz target and `engine/metadata-dump/tests`.

use shoal_encryption::{VolumeKey, VolumeSealer};
use shoal_kv::{KvError, KvResult, Pair, Snapshot};
use shoal_metadata_dump::DumpReader;
use shoal_metadata_dump::sealed::SealedHeader;
use std::io::Read;

/// All pairs, if it is a dump.
pub fn read(bytes: &[u8]) -> KvResult<Vec<Pair>> {
    let mut reader = DumpReader::open(bytes)?;
    let mut found: Vec<Pair> = Vec::new();
    loop {
        let pairs = reader.next()?;
        if pairs.is_empty() {
            assert_eq!(reader.totals().pairs, found.len() as u64);
            assert!(found.is_sorted_by(|one, other| one.0 < other.0), "keys ascend");
            assert_eq!(reader.next(), Ok(Vec::new()), "the end stays the end");
            return Ok(found);
        }
        found.extend(pairs);
    }
}

pub fn any(bytes: &[u8]) {
    if let Err(error) = read(bytes) {
        assert!(matches!(error, KvError::Damaged(_)), "{error}");
    }
    let key = VolumeKey::from_bytes(&[7; VolumeKey::BYTES]).expect("a key has so many bytes");
    if let Err(error) = unseal(bytes, |header| header.sealer(&key)) {
        assert!(matches!(error, KvError::Damaged(_)), "{error}");
    }
}

/// All bytes that were sealed for the volume of `sealer`, if all of them open.
pub fn unseal(mut bytes: &[u8], sealer: impl Fn(&SealedHeader) -> VolumeSealer) -> KvResult<Vec<u8>> {
    let header = SealedHeader::read(&mut bytes)?;
    let mut plain = Vec::new();
    let mut reader = header.open(&sealer(&header), bytes);
    let read = reader.read_to_end(&mut plain);
    read.map_err(|error| KvError::Damaged(error.to_string()))?;
    assert_eq!(reader.read(&mut [0]).map_err(|_| ()), Ok(0), "the end stays the end");
    Ok(plain)
}
