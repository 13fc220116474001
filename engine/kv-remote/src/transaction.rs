//! A transaction: reads from a snapshot that remembers what the commit depends on, writes into a buffer.

use crate::server::{Connection, Evidence};
use crate::snapshot::Snapshot;
use shoal_kv::{Direction, KeyRange, KvError, KvResult, Pair, Reader, Transaction, WriteBuffer};

pub(crate) struct RemoteTransaction<'a, C> {
    snapshot: Snapshot<'a, C>,
    buffer: WriteBuffer,
}

impl<'a, C: Connection> RemoteTransaction<'a, C> {
    pub fn new(snapshot: Snapshot<'a, C>) -> Self {
        RemoteTransaction { snapshot, buffer: WriteBuffer::default() }
    }

    /// As of the snapshot.
    pub fn trouble(&self) -> (Option<KvError>, bool) {
        self.snapshot.trouble()
    }

    /// What to commit and what it depends on, or the limit that forbids it.
    pub fn finish(self) -> KvResult<(WriteBuffer, Evidence)> {
        self.buffer.check()?;
        Ok((self.buffer, self.snapshot.into_checked()))
    }

    fn get_over(&mut self, key: &[u8], checking: bool) -> KvResult<Option<Vec<u8>>> {
        if let Some(own) = self.buffer.settled(key) {
            return Ok(own.map(<[u8]>::to_vec));
        }
        let base = self.snapshot.checking(checking).get(key)?;
        self.buffer.resolve(key, base)
    }

    fn scan_over(
        &mut self,
        range: &KeyRange,
        limit: usize,
        direction: Direction,
        checking: bool,
    ) -> KvResult<Vec<Pair>> {
        self.buffer.scan(range, limit, direction, self.snapshot.checking(checking))
    }
}

impl<C: Connection> Reader for RemoteTransaction<'_, C> {
    fn get(&mut self, key: &[u8]) -> KvResult<Option<Vec<u8>>> {
        self.get_over(key, true)
    }

    fn get_many(&mut self, keys: &[&[u8]]) -> KvResult<Vec<Option<Vec<u8>>>> {
        let below: Vec<&[u8]> = keys.iter().copied().filter(|key| self.buffer.settled(key).is_none()).collect();
        let mut values = self.snapshot.checking(true).get_many(&below)?.into_iter();
        let mut value = |key: &&[u8]| match self.buffer.settled(key) {
            Some(own) => Ok(own.map(<[u8]>::to_vec)),
            None => self.buffer.resolve(key, values.next().expect("every key has an answer")),
        };
        keys.iter().map(&mut value).collect()
    }

    fn scan(&mut self, range: &KeyRange, limit: usize, direction: Direction) -> KvResult<Vec<Pair>> {
        self.scan_over(range, limit, direction, true)
    }
}

impl<C: Connection> Transaction for RemoteTransaction<'_, C> {
    fn get_unchecked(&mut self, key: &[u8]) -> KvResult<Option<Vec<u8>>> {
        self.get_over(key, false)
    }

    fn scan_unchecked(&mut self, range: &KeyRange, limit: usize, direction: Direction) -> KvResult<Vec<Pair>> {
        self.scan_over(range, limit, direction, false)
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
