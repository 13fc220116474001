//! Who keeps the books of bytes: objects' live bytes, an inode's allocated bytes. What those add up to is `charges`' part.
//!
//! Invariant: the live bytes of an object are the sum of the lengths of all slices, in all lists, that name it. An
//! object at zero leaves `o` and enters the deletion queue in the same transaction, so that it's always in exactly one. A
//! pack of which little is left is noted.

use super::charges::Charges;
use super::{pack_notes, slice_list};
use crate::MetaResult;
use crate::keys::{Accumulator, Key};
use crate::records::{Identity, encode_deletion, encode_slices};
use shoal_kv::{KvError, Transaction};
use shoal_types::{Ino, ObjectId, ObjectKind, Slice, Timestamp};
use std::collections::BTreeMap;

/// What a transaction does to one inode's lists, and so to the objects in them.
pub(super) struct Books {
    ino: Ino,
    allocated: i64,
    objects: Objects,
}

/// What a transaction does to objects alone.
#[derive(Default)]
pub(super) struct Objects(BTreeMap<ObjectId, Change>);

struct Change {
    kind: ObjectKind,
    /// Of the object's plain content.
    length: u32,
    bytes: i64,
    /// A slice that names it is written by this transaction, so it need not be looked at unless it loses bytes.
    stays: bool,
}

impl Change {
    fn may_end(&self) -> bool {
        self.bytes < 0 || (self.bytes == 0 && !self.stays)
    }
}

impl Books {
    pub fn new(ino: Ino) -> Self {
        Books { ino, allocated: 0, objects: Objects::default() }
    }

    pub fn add(&mut self, slices: &[Slice]) {
        self.count(slices, 1);
    }

    /// Slices that were meant to be written and are not: what they name may have no other reference.
    pub fn pass_over(&mut self, slices: &[Slice]) {
        self.count(slices, 0);
    }

    /// Bytes that are not in objects.
    pub fn add_inline(&mut self, bytes: i64) {
        self.allocated += bytes;
    }

    /// The change so far.
    pub fn allocated(&self) -> i64 {
        self.allocated
    }

    /// Whether an object may be left without references.
    pub fn may_end_objects(&self) -> bool {
        self.objects.0.values().any(Change::may_end)
    }

    /// Puts `new` in the place of a chunk's whole list `old`, which the caller has read.
    pub fn rewrite(&mut self, transaction: &mut dyn Transaction, chunk: u64, old: &[Slice], new: &[Slice]) {
        self.count(old, -1);
        self.add(new);
        let key = Key::Chunk(self.ino, chunk).encode();
        match new {
            [] => transaction.delete(&key),
            _ => transaction.put(&key, &encode_slices(new)),
        }
    }

    /// Writes it all down, apart from what goes to `charges`. Only objects that may end are read; those that do are queued
    /// at `now`.
    pub fn close(
        self,
        transaction: &mut dyn Transaction,
        charges: &mut Charges,
        identity: &Identity,
        now: Timestamp,
    ) -> MetaResult<()> {
        if self.allocated != 0 {
            transaction.add(&Key::Accumulator(self.ino, Accumulator::Allocated).encode(), self.allocated);
            charges.add(identity, 0, self.allocated);
        }
        self.objects.close(transaction, now)
    }

    /// Writes it all down for an inode that this transaction makes, which has only gained: nothing is read. Tells what is
    /// allocated.
    pub fn close_new(self, transaction: &mut dyn Transaction, charges: &mut Charges, identity: &Identity) -> u64 {
        let Books { ino, allocated, objects } = self;
        if allocated != 0 {
            transaction.put(&Key::Accumulator(ino, Accumulator::Allocated).encode(), &allocated.to_le_bytes());
        }
        charges.add(identity, 1, allocated);
        for (object, change) in objects.0 {
            assert!(change.bytes > 0, "what is new gives nothing up");
            transaction.add(&Key::Object(object).encode(), change.bytes);
        }
        allocated.cast_unsigned()
    }

    fn count(&mut self, slices: &[Slice], sign: i64) {
        self.allocated += sign * slice_list::allocated(slices);
        self.objects.count(slices, sign);
    }
}

impl Objects {
    pub fn count(&mut self, slices: &[Slice], sign: i64) {
        for slice in slices.iter().filter(|slice| slice.kind != ObjectKind::Hole) {
            let fresh = Change { kind: slice.kind, length: slice.object_length, bytes: 0, stays: false };
            let change = self.0.entry(slice.object).or_insert(fresh);
            change.bytes += sign * i64::from(slice.length);
            change.stays |= sign > 0;
        }
    }

    /// Only objects that may end are read; those that do are queued at `now`.
    pub fn close(self, transaction: &mut dyn Transaction, now: Timestamp) -> MetaResult<()> {
        let (ending, growing): (Vec<_>, Vec<_>) = self.0.into_iter().partition(|(_, change)| change.may_end());
        for (object, change) in growing {
            if change.bytes > 0 {
                transaction.add(&Key::Object(object).encode(), change.bytes);
            }
        }
        let keys: Vec<Vec<u8>> = ending.iter().map(|(object, _)| Key::Object(*object).encode()).collect();
        let values = transaction.get_many(&keys.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
        for ((key, value), (object, change)) in keys.iter().zip(values).zip(ending) {
            let left = live_bytes(object, value.as_deref())?.saturating_add(change.bytes);
            let pack = change.kind == ObjectKind::Pack;
            if left > 0 {
                transaction.add(key, change.bytes);
                if pack && change.bytes < 0 {
                    pack_notes::note_loss(transaction, object, left, change.length, now);
                }
            } else {
                transaction.delete(key);
                transaction.put(&Key::Deletion(now.as_nanos(), object).encode(), &encode_deletion(change.kind));
                if pack {
                    pack_notes::end(transaction, object)?;
                }
            }
        }
        Ok(())
    }
}

/// The value under `Key::Object`.
pub(crate) fn live_bytes(object: ObjectId, value: Option<&[u8]>) -> Result<i64, KvError> {
    let Some(value) = value else { return Ok(0) };
    let bytes: [u8; 8] = value.try_into().map_err(|_| {
        KvError::Damaged(format!("the live bytes of object {object} are {} bytes instead of 8", value.len()))
    })?;
    Ok(i64::from_le_bytes(bytes))
}
