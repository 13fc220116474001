//! A transaction as engines without one of their own run it: reads from a snapshot, writes into a buffer.
//!
//! Relies on a `Reader` below that stands still for as long as the transaction runs. It remembers what was read if the
//! engine validates reads at commit; an engine that runs bodies one after another asks for no such record.

use crate::limits::KEY_BYTES_MAX;
use crate::{Direction, KeyRange, KvError, KvResult, Pair, Reader, Transaction, WriteBuffer};
use std::collections::BTreeSet;

/// What a transaction has read and wants unchanged at commit.
#[derive(Debug, Default)]
pub struct ReadSet {
    pub keys: BTreeSet<Vec<u8>>,
    pub ranges: Vec<KeyRange>,
}

pub struct BufferedTransaction<R> {
    base: R,
    buffer: WriteBuffer,
    reads: Option<ReadSet>,
}

impl<R: Reader> BufferedTransaction<R> {
    /// For engines that validate reads at commit.
    pub fn tracking(base: R) -> Self {
        BufferedTransaction { base, buffer: WriteBuffer::default(), reads: Some(ReadSet::default()) }
    }

    /// For engines that let no one else write while the body runs.
    pub fn exclusive(base: R) -> Self {
        BufferedTransaction { base, buffer: WriteBuffer::default(), reads: None }
    }

    /// The base (a snapshot may have to live until the commit is validated), what to commit and what was read; or the
    /// limit that forbids it.
    pub fn finish(self) -> KvResult<(R, WriteBuffer, ReadSet)> {
        self.buffer.check()?;
        Ok((self.base, self.buffer, self.reads.unwrap_or_default()))
    }

    fn get_from_base(&mut self, key: &[u8]) -> KvResult<Option<Vec<u8>>> {
        if key.len() > KEY_BYTES_MAX {
            return Err(KvError::Limit(format!("a read of a key of {} bytes", key.len())));
        }
        let base = self.base.get(key)?;
        self.buffer.resolve(key, base)
    }
}

impl<R: Reader> Reader for BufferedTransaction<R> {
    fn get(&mut self, key: &[u8]) -> KvResult<Option<Vec<u8>>> {
        if let Some(own) = self.buffer.settled(key) {
            return Ok(own.map(<[u8]>::to_vec));
        }
        if let Some(reads) = &mut self.reads {
            reads.keys.insert(key.to_vec());
        }
        self.get_from_base(key)
    }

    fn get_many(&mut self, keys: &[&[u8]]) -> KvResult<Vec<Option<Vec<u8>>>> {
        if let Some(reads) = &mut self.reads {
            let unsettled = keys.iter().filter(|key| self.buffer.settled(key).is_none());
            reads.keys.extend(unsettled.map(|key| key.to_vec()));
        }
        // One question for all, also for the keys that the buffer settles: rare, and not worth a second list.
        let values = self.base.get_many(keys)?;
        keys.iter().zip(values).map(|(key, value)| self.buffer.resolve(key, value)).collect()
    }

    fn scan(&mut self, range: &KeyRange, limit: usize, direction: Direction) -> KvResult<Vec<Pair>> {
        let found = self.scan_unchecked(range, limit, direction)?;
        if let Some(reads) = &mut self.reads
            && limit > 0
        {
            reads.ranges.push(seen(range, &found, limit, direction));
        }
        Ok(found)
    }
}

/// The part of `range` on which the answer depends: a scan that stopped at its limit says nothing about the rest.
fn seen(range: &KeyRange, found: &[Pair], limit: usize, direction: Direction) -> KeyRange {
    let mut seen = range.clone();
    if found.len() >= limit
        && let Some((last, _)) = found.last()
    {
        match direction {
            Direction::Forward => {
                seen.end.clone_from(last);
                seen.end.push(0);
            }
            Direction::Backward => seen.start.clone_from(last),
        }
    }
    seen
}

impl<R: Reader> Transaction for BufferedTransaction<R> {
    fn get_unchecked(&mut self, key: &[u8]) -> KvResult<Option<Vec<u8>>> {
        if let Some(own) = self.buffer.settled(key) {
            return Ok(own.map(<[u8]>::to_vec));
        }
        self.get_from_base(key)
    }

    fn scan_unchecked(&mut self, range: &KeyRange, limit: usize, direction: Direction) -> KvResult<Vec<Pair>> {
        self.buffer.scan(range, limit, direction, &mut self.base)
    }

    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.buffer.put(key, value);
    }

    fn delete(&mut self, key: &[u8]) {
        self.buffer.delete(key);
    }

    fn delete_range(&mut self, range: &KeyRange) -> KvResult<()> {
        self.buffer.delete_range(range)
    }

    fn add(&mut self, key: &[u8], amount: i64) {
        self.buffer.add(key, amount);
    }

    fn max(&mut self, key: &[u8], value: u64) {
        self.buffer.max(key, value);
    }

    fn append(&mut self, key: &[u8], bytes: &[u8]) {
        self.buffer.append(key, bytes);
    }

    fn put_versionstamped(&mut self, prefix: &[u8], value: &[u8]) {
        self.buffer.put_versionstamped(prefix, value);
    }
}
