//! What is noted of packs, so that one of which little is left can be made anew: the files that it was made of, and that
//! little is left.
//!
//! Invariant: what has notes has live bytes. They go with the last of those, in the same transaction. The list of files is
//! where to look, no more: who has copied from one of them has bytes of the pack as well, and a listed file may have none
//! any more.

use super::live_bytes::live_bytes;
use crate::keys::{self, Key};
use crate::records::{SparseNote, decode_pack_files, encode_pack_files};
use crate::{ForgetSparsePacks, MetaReply, MetaResult};
use shoal_kv::{KvResult, Transaction};
use shoal_types::{Ino, ObjectId, Timestamp};

/// Little is left of a pack: less than a quarter.
pub(crate) fn is_sparse(live: i64, length: u32) -> bool {
    live > 0 && live.saturating_mul(SPARSE_DIVISOR) < i64::from(length)
}

/// A pack that this transaction has had files refer to.
pub(super) struct NewPack {
    pub object: ObjectId,
    pub length: u32,
    /// With the places of their bytes in it.
    pub files: Vec<(u32, Ino)>,
    /// Nobody else is to come.
    pub last: bool,
}

impl NewPack {
    /// Until the last have come, the pack is noted as sparse: they may never come.
    pub fn note(&self, transaction: &mut dyn Transaction, now: Timestamp) -> MetaResult<()> {
        let NewPack { object, length, .. } = *self;
        if let Some((place, _)) = self.files.first() {
            let key = Key::PackFiles(object, *place).encode();
            // There may be some from an earlier run that was not known to have committed.
            let mut files =
                transaction.get(&key)?.map(|list| decode_pack_files(&list)).transpose()?.unwrap_or_default();
            files.extend(self.files.iter().map(|(_, ino)| *ino));
            transaction.put(&key, &encode_pack_files(&files));
        }
        let sparse = match self.last {
            true => is_sparse(live_bytes(object, transaction.get(&Key::Object(object).encode())?.as_deref())?, length),
            false if self.files.is_empty() => return Ok(()),
            false => true,
        };
        let key = Key::SparsePack(object).encode();
        match sparse {
            true => transaction.put(&key, &SparseNote::new(now, length).encode()),
            false => transaction.delete(&key),
        }
        Ok(())
    }
}

/// A pack has lost bytes and has so many left. Each time it's noted anew: what goes on losing is left to do so.
pub(super) fn note_loss(transaction: &mut dyn Transaction, object: ObjectId, left: i64, length: u32, now: Timestamp) {
    if is_sparse(left, length) {
        transaction.put(&Key::SparsePack(object).encode(), &SparseNote::new(now, length).encode());
    }
}

/// Nothing refers to the pack any more.
pub(super) fn end(transaction: &mut dyn Transaction, object: ObjectId) -> KvResult<()> {
    transaction.delete(&Key::SparsePack(object).encode());
    transaction.delete_range(&keys::pack_files(object))
}

pub(super) fn forget_sparse(transaction: &mut dyn Transaction, operation: &ForgetSparsePacks) -> MetaResult<MetaReply> {
    for (object, places) in &operation.packs {
        transaction.delete(&Key::SparsePack(*object).encode());
        places.iter().for_each(|place| transaction.delete(&Key::PackFiles(*object, *place).encode()));
    }
    Ok(MetaReply::Done)
}

const SPARSE_DIVISOR: i64 = 4;
