//! The buffered writes of one transaction (or of a group of them), with read-your-writes over any base.
//!
//! A buffer knows for each key either its final value or what to do to the value below; ranges deleted are kept as
//! ranges. Invariant that makes applying simple: *deleted ranges first, then the keys* is always right, because deleting
//! a range drops the earlier key effects inside it, and a key written later inside a deleted range is settled at once
//! (its base is known to be absent).
//!
//! `put` and its like cannot fail in the trait, so a breach of the limits is remembered and refused at commit.
//! All versionstamped writes of one transaction bear the same stamp: two under one prefix are one key, the later wins.
//! This file never touches a store and never decides about conflicts.

use crate::limits::{KEY_BYTES_MAX, STAMP_BYTES, TRANSACTION_BYTES_MAX, VALUE_BYTES_MAX};
use crate::update::Update;
use crate::{Direction, KeyRange, KvError, KvResult, Pair, RangeSet, Reader};
use std::collections::{BTreeMap, btree_map};
use std::ops::Bound;

/// What the buffer does to one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    Put(Vec<u8>),
    Delete,
    /// On a base that the buffer does not know: nearly always one update.
    Update(Update),
    Updates(Vec<Update>),
}

#[derive(Debug, Default)]
pub struct WriteBuffer {
    cleared: RangeSet,
    effects: BTreeMap<Vec<u8>, Effect>,
    stamped: Vec<Pair>,
    /// Bytes of all writes asked for, also of those overwritten since: what a networked engine would have to carry.
    bytes: usize,
    fault: Option<KvError>,
}

/// A buffer taken apart to be applied: `cleared`, then `effects`, then each of `stamped` with the stamp appended.
#[derive(Debug)]
pub struct WriteSet {
    pub cleared: RangeSet,
    pub effects: BTreeMap<Vec<u8>, Effect>,
    pub stamped: Vec<Pair>,
}

impl WriteBuffer {
    pub fn is_empty(&self) -> bool {
        self.effects.is_empty() && self.cleared.is_empty() && self.stamped.is_empty()
    }

    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        if self.admit(key, value.len()) {
            self.effects.insert(key.to_vec(), Effect::Put(value.to_vec()));
        }
    }

    pub fn delete(&mut self, key: &[u8]) {
        if self.admit(key, 0) {
            self.effects.insert(key.to_vec(), Effect::Delete);
        }
    }

    pub fn delete_range(&mut self, range: &KeyRange) -> KvResult<()> {
        if !self.admit(&range.start, 0) || !self.admit(&range.end, 0) {
            return self.check();
        }
        self.clear_range(range);
        Ok(())
    }

    pub fn add(&mut self, key: &[u8], amount: i64) {
        self.update(key, 8, Update::Add(amount));
    }

    pub fn max(&mut self, key: &[u8], value: u64) {
        self.update(key, 8, Update::Max(value));
    }

    pub fn append(&mut self, key: &[u8], bytes: &[u8]) {
        self.update(key, bytes.len(), Update::Append(bytes.to_vec()));
    }

    pub fn put_versionstamped(&mut self, prefix: &[u8], value: &[u8]) {
        let key_bytes = prefix.len() + STAMP_BYTES;
        if self.admit_bytes(key_bytes, value.len()) {
            self.stamped.push((prefix.to_vec(), value.to_vec()));
        }
    }

    /// The first breach of a limit, which forbids the commit.
    pub fn check(&self) -> KvResult<()> {
        self.fault.clone().map_or(Ok(()), Err)
    }

    /// `Some` if the buffer alone decides the key's value (`Some(None)`: it is absent).
    pub fn settled(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        match self.effects.get(key) {
            Some(Effect::Put(value)) => Some(Some(value)),
            Some(Effect::Delete) => Some(None),
            Some(Effect::Update(_) | Effect::Updates(_)) => None,
            None => self.cleared.contains(key).then_some(None),
        }
    }

    /// The key's value over `base`, its value below this buffer.
    pub fn resolve(&self, key: &[u8], base: Option<Vec<u8>>) -> KvResult<Option<Vec<u8>>> {
        match self.effects.get(key) {
            Some(effect) => effect.resolve(key, base),
            None if self.cleared.contains(key) => Ok(None),
            None => Ok(base),
        }
    }

    /// The first `limit` pairs of `range` in the given direction, over `base`.
    pub fn scan(
        &self,
        range: &KeyRange,
        limit: usize,
        direction: Direction,
        base: &mut dyn Reader,
    ) -> KvResult<Vec<Pair>> {
        if range.start >= range.end || limit == 0 {
            return Ok(Vec::new());
        }
        if self.effects_in(range).next().is_none() && !self.cleared.intersects(range) {
            return base.scan(range, limit, direction);
        }
        let mut found = Vec::new();
        let mut rest = range.clone();
        while found.len() < limit && rest.start < rest.end {
            // Room for pairs that this buffer removes; should it not be enough, the loop asks again.
            let removed = self.effects_in(&rest).filter(|(_, effect)| **effect == Effect::Delete).take(limit).count();
            let wanted = (limit - found.len()).saturating_add(removed);
            let below = base.scan(&rest, wanted, direction)?;
            // What this batch speaks for: all of the rest if it was not cut off, else up to its last key.
            let covered = match below.last() {
                Some((last, _)) if below.len() >= wanted => split_after(&mut rest, last, direction),
                _ => std::mem::replace(&mut rest, KeyRange { start: Vec::new(), end: Vec::new() }),
            };
            self.merge(&covered, below, limit, direction, &mut found)?;
        }
        Ok(found)
    }

    /// Makes every effect final by reading what is below. After it, the buffer can be applied blindly.
    pub fn settle(&mut self, base: &mut dyn Reader) -> KvResult<()> {
        for (key, effect) in &mut self.effects {
            if let Effect::Update(_) | Effect::Updates(_) = effect {
                let value = effect.resolve(key, base.get(key)?)?.expect("an update leaves a value");
                *effect = Effect::Put(value);
            }
        }
        Ok(())
    }

    /// Lays a later, settled transaction over this buffer, its stamped keys completed with `stamp`.
    pub fn absorb(&mut self, later: WriteBuffer, stamp: Option<[u8; STAMP_BYTES]>) {
        for (start, end) in later.cleared.iter() {
            self.clear_range(&KeyRange { start: start.to_vec(), end: end.to_vec() });
        }
        if self.effects.is_empty() {
            self.effects = later.effects;
        } else {
            self.effects.extend(later.effects);
        }
        for (mut key, value) in later.stamped {
            key.extend_from_slice(&stamp.expect("a transaction with stamped keys is given a stamp"));
            self.effects.insert(key, Effect::Put(value));
        }
    }

    /// Bytes of all writes asked for.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn needs_stamp(&self) -> bool {
        !self.stamped.is_empty()
    }

    pub fn into_parts(self) -> WriteSet {
        WriteSet { cleared: self.cleared, effects: self.effects, stamped: self.stamped }
    }

    fn update(&mut self, key: &[u8], bytes: usize, update: Update) {
        if !self.admit(key, bytes) {
            return;
        }
        if let Some(effect) = self.effects.get_mut(key) {
            if let Err(error) = effect.update(key, update) {
                self.fault.get_or_insert(error);
            }
            return;
        }
        let mut effect = if self.cleared.contains(key) { Effect::Delete } else { Effect::Updates(Vec::new()) };
        match effect.update(key, update) {
            Ok(()) => drop(self.effects.insert(key.to_vec(), effect)),
            Err(error) => drop(self.fault.get_or_insert(error)),
        }
    }

    fn clear_range(&mut self, range: &KeyRange) {
        if range.start < range.end {
            self.effects.extract_if(range.start.clone()..range.end.clone(), |_, _| true).for_each(drop);
            self.cleared.insert(range);
        }
    }

    fn effects_in(&self, range: &KeyRange) -> btree_map::Range<'_, Vec<u8>, Effect> {
        self.effects.range::<[u8], _>((Bound::Included(range.start.as_slice()), Bound::Excluded(range.end.as_slice())))
    }

    /// Two sorted sequences of one range into one. On a key in both, the buffer decides.
    fn merge(
        &self,
        covered: &KeyRange,
        below: Vec<Pair>,
        limit: usize,
        direction: Direction,
        found: &mut Vec<Pair>,
    ) -> KvResult<()> {
        let effects = self.effects_in(covered);
        let mut effects: Box<dyn Iterator<Item = (&Vec<u8>, &Effect)>> = match direction {
            Direction::Forward => Box::new(effects),
            Direction::Backward => Box::new(effects.rev()),
        };
        let mut below = below.into_iter().filter(|(key, _)| !self.cleared.contains(key)).peekable();
        // A key written in a deleted range is filtered from `below` and so gets no base, as it must.
        let mut effect = effects.next();
        while found.len() < limit {
            let base_first = match (below.peek(), effect) {
                (None, None) => break,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some((base_key, _)), Some((key, _))) => {
                    base_key != key && (base_key < key) == (direction == Direction::Forward)
                }
            };
            if base_first {
                found.extend(below.next());
                continue;
            }
            let (key, change) = effect.expect("an effect is there unless the base comes first");
            let base = below.next_if(|(base_key, _)| base_key == key).map(|(_, value)| value);
            if let Some(value) = change.resolve(key, base)? {
                found.push((key.clone(), value));
            }
            effect = effects.next();
        }
        Ok(())
    }

    fn admit(&mut self, key: &[u8], value_bytes: usize) -> bool {
        self.admit_bytes(key.len(), value_bytes)
    }

    fn admit_bytes(&mut self, key_bytes: usize, value_bytes: usize) -> bool {
        self.bytes += key_bytes + value_bytes;
        let breach = if key_bytes > KEY_BYTES_MAX {
            format!("a key of {key_bytes} bytes")
        } else if value_bytes > VALUE_BYTES_MAX {
            format!("a value of {value_bytes} bytes")
        } else if self.bytes > TRANSACTION_BYTES_MAX {
            format!("a transaction of more than {TRANSACTION_BYTES_MAX} bytes")
        } else {
            return true;
        };
        self.fault.get_or_insert(KvError::Limit(breach));
        false
    }
}

impl Effect {
    fn resolve(&self, key: &[u8], base: Option<Vec<u8>>) -> KvResult<Option<Vec<u8>>> {
        match self {
            Effect::Put(value) => Ok(Some(value.clone())),
            Effect::Delete => Ok(None),
            Effect::Update(update) => update.apply(key, base).map(Some),
            Effect::Updates(updates) => {
                updates.iter().try_fold(base, |value, update| update.apply(key, value).map(Some))
            }
        }
    }

    fn update(&mut self, key: &[u8], update: Update) -> KvResult<()> {
        *self = match std::mem::replace(self, Effect::Delete) {
            Effect::Put(value) => Effect::Put(update.apply(key, Some(value))?),
            Effect::Delete => Effect::Put(update.apply(key, None)?),
            Effect::Update(mut first) => match first.absorb(update) {
                None => Effect::Update(first),
                Some(update) => Effect::Updates(vec![first, update]),
            },
            Effect::Updates(updates) if updates.is_empty() => Effect::Update(update),
            Effect::Updates(mut updates) => {
                let last = updates.last_mut().expect("several updates have a last one");
                if let Some(update) = last.absorb(update) {
                    updates.push(update);
                }
                Effect::Updates(updates)
            }
        };
        Ok(())
    }
}

/// Cuts `rest` behind `last` (in the scan's direction) and gives back the part up to and including it.
fn split_after(rest: &mut KeyRange, last: &[u8], direction: Direction) -> KeyRange {
    match direction {
        Direction::Forward => {
            let mut next = last.to_vec();
            next.push(0);
            let start = std::mem::replace(&mut rest.start, next.clone());
            KeyRange { start, end: next }
        }
        Direction::Backward => {
            let end = std::mem::replace(&mut rest.end, last.to_vec());
            KeyRange { start: last.to_vec(), end }
        }
    }
}

#[cfg(test)]
#[path = "write_buffer_tests.rs"]
mod tests;
