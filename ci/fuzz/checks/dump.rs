//! What holds for any bytes in place of a dump: refused or read, never a panic, and never in more memory than a block takes.
//! Shared by the fuzz target and `engine/metadata-dump/tests`.

use shoal_kv::{KvError, KvResult, Pair, Snapshot};
use shoal_metadata_dump::DumpReader;

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
}
