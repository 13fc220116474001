//! What is noted of packs, so that one of which little is left can be made anew: the files that it was made of, and that
//! little is left.
//!
//! Invariant: what has a list of files has live bytes. Notes go with the last of those, in the same transaction. The list is
//! where to look, no more: who has copied from a file has bytes of the pack as well, and a listed file may have none any
//! more.
//!
//! A pack that is filled by several transactions is noted as sparse until the last. Files that came first may all be gone by
//! then, and the object deleted; so whoever comes later looks for the note first.

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

/// Whether files may come to refer to a new pack: they are the first, or the pack is being filled.
pub(super) fn can_grow(transaction: &mut dyn Transaction, object: ObjectId, first: bool) -> KvResult<bool> {
    Ok(first || transaction.get(&Key::SparsePack(object).encode())?.is_some())
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
    /// Lists the files. Until the last have come, the pack is noted as sparse: they may never come.
    pub fn note(&self, transaction: &mut dyn Transaction, now: Timestamp) -> MetaResult<()> {
        let NewPack { object, length, .. } = *self;
        if let Some((place, _)) = self.files.first() {
            let key = Key::PackFiles(object, *place).encode();
            // Another part may begin with the same bytes: files can share them.
            let mut files =
                transaction.get(&key)?.map(|list| decode_pack_files(&list)).transpose()?.unwrap_or_default();
            files.extend(self.files.iter().map(|(_, ino)| *ino));
            transaction.put(&key, &encode_pack_files(&files));
        }
        let sparse = match self.last {
            true => is_sparse(live_bytes(object, transaction.get(&Key::Object(object).encode())?.as_deref())?, length),
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
    let keys: Vec<Vec<u8>> = operation.packs.iter().map(|(object, _)| Key::SparsePack(*object).encode()).collect();
    let notes = transaction.get_many(&keys.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
    for (((_, since), key), note) in operation.packs.iter().zip(&keys).zip(notes) {
        if let Some(note) = note
            && SparseNote::decode(&note)?.since == since.as_nanos()
        {
            transaction.delete(key);
        }
    }
    Ok(MetaReply::Done)
}

const SPARSE_DIVISOR: i64 = 4;
