//! All pairs at one moment, on a server that knows no moments but the present one: while a snapshot is read, commits keep
//! what they overwrite (`scripts/commit.lua`), and who reads puts it back in its place.
//!
//! There is one snapshot of a volume at a time. One that is not read for a while is gone, and with it what was kept. The
//! server needs memory for what changes meanwhile.

use crate::connection::versioned;
use crate::error::unexpected;
use crate::scripts::{self, Script, Scripts};
use crate::server::Names;
use redis::{Connection, Value};
use shoal_kv::{KvError, KvResult, Pair, Snapshot};
use shoal_kv_remote::Failure;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) struct RedisSnapshot {
    wire: Connection,
    scripts: Scripts,
    names: Arc<Names>,
    number: u64,
    /// The last key so far.
    last: Vec<u8>,
}

impl RedisSnapshot {
    /// `number` is one that nobody else has.
    pub fn take(mut wire: Connection, scripts: Scripts, names: Arc<Names>, number: u64) -> Result<Self, Failure> {
        let mut command = scripts.call(Script::TakeSnapshot, &[&names.snapshot, &names.changed, &names.before]);
        command.arg(number).arg(UNREAD_SECONDS_MAX);
        match scripts::run(&mut wire, &command)? {
            Value::Int(1) => Ok(RedisSnapshot { wire, scripts, names, number, last: Vec::new() }),
            Value::Int(_) => Err(Failure::Refused(KvError::Unavailable(format!(
                "redis: another snapshot of the volume is being read; one that was given up is forgotten after \
                 {UNREAD_SECONDS_MAX} s"
            )))),
            _ => Err(unexpected("a snapshot's beginning")),
        }
    }

    /// What stands behind the last key now, and what stood there where something has changed.
    fn read_on(&mut self) -> Result<(Stored, Stored), Failure> {
        let Names { order, values, snapshot, changed, before, .. } = &*self.names;
        let mut command = self.scripts.call(Script::ReadSnapshot, &[order, values, snapshot, changed, before]);
        command.arg(self.number).arg(UNREAD_SECONDS_MAX).arg([b"(", self.last.as_slice()].concat()).arg(PAIRS);
        match scripts::run(&mut self.wire, &command)? {
            Value::Array(lists) => match <[Value; 2]>::try_from(lists) {
                Ok([now, before]) => Ok((stored(now)?, stored(before)?)),
                Err(_) => Err(unexpected("a snapshot that is no two lists")),
            },
            Value::Nil => Err(Failure::Refused(KvError::Unavailable(
                "redis: the snapshot is gone: it was not read for too long, or the server has lost it".into(),
            ))),
            _ => Err(unexpected("a snapshot that is no list")),
        }
    }
}

type Stored = Vec<(Vec<u8>, Vec<u8>)>;

fn stored(list: Value) -> Result<Stored, Failure> {
    let Value::Array(values) = list else { return Err(unexpected("pairs that are no list")) };
    let mut values = values.into_iter();
    let mut found = Vec::with_capacity(values.len() / 2);
    while let (Some(key), Some(value)) = (values.next(), values.next()) {
        match (key, value) {
            (Value::BulkString(key), Value::BulkString(value)) => found.push((key, value)),
            _ => return Err(Failure::Refused(KvError::Damaged("redis: a key in the order has no value".into()))),
        }
    }
    Ok(found)
}

/// What stood there, up to the key that both lists reach. `None` instead of a key: to the end.
fn merge(now: Stored, before: Stored) -> (Stored, Option<Vec<u8>>) {
    let reach = |list: &Stored| (list.len() == PAIRS).then(|| list.last().map(|(key, _)| key.clone())).flatten();
    let end = [reach(&now), reach(&before)].into_iter().flatten().min();
    let mut merged: BTreeMap<Vec<u8>, Vec<u8>> = now.into_iter().collect();
    merged.extend(before);
    let within = |key: &Vec<u8>| end.as_ref().is_none_or(|end| key <= end);
    let there = merged.into_iter().filter(|(key, value)| within(key) && !value.is_empty());
    (there.collect(), end)
}

impl Snapshot for RedisSnapshot {
    fn next(&mut self) -> KvResult<Vec<Pair>> {
        loop {
            let (now, before) = self.read_on().map_err(Failure::into_error)?;
            let (pairs, end) = merge(now, before);
            let at_end = end.is_none();
            if let Some(last) = end.or_else(|| pairs.last().map(|(key, _)| key.clone())) {
                self.last = last;
            }
            if !pairs.is_empty() || at_end {
                let plain = |(key, stored): Pair| match versioned(Value::BulkString(stored))? {
                    Some(versioned) => Ok((key, versioned.value)),
                    None => Err(unexpected("a value that is none")),
                };
                let pairs: Result<Vec<Pair>, Failure> = pairs.into_iter().map(plain).collect();
                return pairs.map_err(Failure::into_error);
            }
            // All that stood here has been made since.
        }
    }
}

impl Drop for RedisSnapshot {
    fn drop(&mut self) {
        let names = &self.names;
        let mut command = self.scripts.call(Script::EndSnapshot, &[&names.snapshot, &names.changed, &names.before]);
        command.arg(self.number);
        // Where this fails it is forgotten after a while.
        if let Err(failure) = scripts::run(&mut self.wire, &command) {
            drop(failure);
        }
    }
}

const UNREAD_SECONDS_MAX: u64 = 300;
/// Of which most are far smaller than a value may be.
const PAIRS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn list(pairs: impl IntoIterator<Item = (u32, &'static str)>) -> Stored {
        pairs.into_iter().map(|(key, value)| (key.to_be_bytes().to_vec(), value.into())).collect()
    }

    #[test]
    fn what_has_changed_stands_as_it_was_up_to_where_both_lists_reach() {
        let whole = merge(list([(1, "new"), (2, "same"), (4, "made")]), list([(1, "old"), (3, "gone"), (4, "")]));
        assert_eq!(whole, (list([(1, "old"), (2, "same"), (3, "gone")]), None));
        let full = |first: u32| list((first..).take(PAIRS).map(|key| (key, "x")));
        let (pairs, end) = merge(full(0), list([(5, ""), (1000, "old")]));
        assert_eq!((pairs.len(), end), (PAIRS - 1, Some((PAIRS as u32 - 1).to_be_bytes().to_vec())));
        let (pairs, end) = merge(full(10), full(0));
        assert_eq!((pairs.len(), end), (PAIRS, Some((PAIRS as u32 - 1).to_be_bytes().to_vec())));
        assert_eq!(merge(Vec::new(), Vec::new()), (Vec::new(), None));
    }
}
