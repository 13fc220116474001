//! Reads at a transaction's version. What is asked for together goes out together; a key that was read once is not asked for
//! again.

use crate::c::Transaction;
use crate::client::Client;
use shoal_kv::limits::KEY_BYTES_MAX;
use shoal_kv::{Direction, KeyRange, KvError, KvResult, Pair, Reader};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

pub(crate) struct Reads<'a> {
    pub client: &'a Client,
    pub transaction: &'a Transaction,
    /// By the volume's own keys.
    known: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// What has ended the reads, whatever the body has made of it.
    trouble: &'a RefCell<Option<KvError>>,
}

pub(crate) type Batch = (Vec<Pair>, bool);

impl<'a> Reads<'a> {
    pub fn new(client: &'a Client, transaction: &'a Transaction, trouble: &'a RefCell<Option<KvError>>) -> Self {
        Reads { client, transaction, known: BTreeMap::new(), trouble }
    }

    /// The value of one of the volume's keys that was read.
    pub fn known(&self, key: &[u8]) -> Option<&Vec<u8>> {
        self.known.get(key).expect("it was read").as_ref()
    }

    /// Keys of the cluster, in one round trip.
    pub fn get_raw(&self, keys: &[Vec<u8>]) -> KvResult<Vec<Option<Vec<u8>>>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.begin()?;
        let asked: Vec<_> = keys.iter().map(|key| self.transaction.get(key)).collect();
        let answers = asked.iter().map(|future| {
            self.client.wait(future)?;
            future.value().map_err(|code| self.client.error(code))
        });
        self.note(answers.collect())
    }

    /// Pairs of the cluster in a range, batch by batch.
    pub fn scan_raw(&self, range: &KeyRange, limit: usize, direction: Direction) -> KvResult<Vec<Pair>> {
        let (mut found, mut rest) = (Vec::<Pair>::new(), range.clone());
        while found.len() < limit && rest.start < rest.end {
            let batch = self.scan_batches(std::slice::from_ref(&rest), limit - found.len(), direction)?.pop();
            let (pairs, more) = batch.expect("a range has an answer");
            let Some((last, _)) = pairs.last().filter(|_| more) else {
                found.extend(pairs);
                break;
            };
            match direction {
                Direction::Forward => rest.start = [last.as_slice(), &[0]].concat(),
                Direction::Backward => rest.end.clone_from(last),
            }
            found.extend(pairs);
        }
        Ok(found)
    }

    /// Of each range as many as the library gives at once, and whether there may be more; in one round trip.
    pub fn scan_batches(&self, ranges: &[KeyRange], limit: usize, direction: Direction) -> KvResult<Vec<Batch>> {
        self.begin()?;
        let backward = direction == Direction::Backward;
        let ask = |range: &KeyRange| self.transaction.get_range(&range.start, &range.end, limit, backward);
        let asked: Vec<_> = ranges.iter().map(ask).collect();
        let answers = asked.iter().map(|future| {
            self.client.wait(future)?;
            future.pairs().map_err(|code| self.client.error(code))
        });
        self.note(answers.collect())
    }

    fn begin(&self) -> KvResult<()> {
        if let Some(trouble) = &*self.trouble.borrow() {
            return Err(trouble.clone());
        }
        self.client.round_trips.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn note<T>(&self, answer: KvResult<T>) -> KvResult<T> {
        answer.inspect_err(|error| *self.trouble.borrow_mut() = Some(error.clone()))
    }
}

impl Reader for Reads<'_> {
    fn get(&mut self, key: &[u8]) -> KvResult<Option<Vec<u8>>> {
        Ok(self.get_many(&[key])?.pop().expect("every key has an answer"))
    }

    fn get_many(&mut self, keys: &[&[u8]]) -> KvResult<Vec<Option<Vec<u8>>>> {
        let mut unknown: Vec<&[u8]> = keys.iter().copied().filter(|key| !self.known.contains_key(*key)).collect();
        unknown.sort_unstable();
        unknown.dedup();
        if let Some(key) = unknown.iter().find(|key| key.len() > KEY_BYTES_MAX) {
            return Err(KvError::Limit(format!("a read of a key of {} bytes", key.len())));
        }
        let asked: Vec<_> = unknown.iter().map(|key| self.client.keys.data(key)).collect();
        let found = self.get_raw(&asked)?;
        self.known.extend(unknown.into_iter().map(<[u8]>::to_vec).zip(found));
        Ok(keys.iter().map(|key| self.known[*key].clone()).collect())
    }

    fn scan(&mut self, range: &KeyRange, limit: usize, direction: Direction) -> KvResult<Vec<Pair>> {
        if range.start >= range.end || limit == 0 {
            return Ok(Vec::new());
        }
        let keys = &self.client.keys;
        let found = self.scan_raw(&keys.data_range(range), limit, direction)?;
        Ok(found.into_iter().map(|(key, value)| (keys.own(&key), value)).collect())
    }
}
