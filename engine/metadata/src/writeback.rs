//! Write-back folders: where objects are that files need already and the store doesn't have yet (`shoal mount --writeback`).
//!
//! A folder is known here before the first object comes into it and until it's empty. Whoever misses an object in the store can
//! so tell what is late from what is lost. An object that another mount deletes meanwhile may still be uploaded: its number is
//! left here for the folder's mount, which deletes it once more.
//!
//! These are no operations of the file system: they change nothing of it.

use crate::keys::{self, Key};
use crate::records::WritebackFolder;
use crate::{MetaResult, Metadata};
use shoal_kv::{Direction, Durability, KeyRange, KvResult, Pair, Reader, Transaction, Verdict};
use shoal_types::ObjectId;

impl Metadata {
    /// Makes the folder of this number known, which must be durable before anything comes into it, or brings up to date what is
    /// known of it.
    pub fn note_writeback_folder(
        &self,
        number: u64,
        folder: &WritebackFolder,
        durability: Durability,
    ) -> MetaResult<()> {
        let record = folder.encode();
        self.kv().transact(durability, move |transaction, _| {
            transaction.put(&Key::WritebackFolder(number).encode(), &record);
            Ok(((), Verdict::Commit))
        })?;
        Ok(())
    }

    /// All that are known, by number.
    pub fn writeback_folders(&self) -> MetaResult<Vec<(u64, WritebackFolder)>> {
        self.at_snapshot(|reader| {
            let pairs = scan_all(reader, keys::writeback_folders())?;
            let folder = |(key, value): &Pair| match Key::parse(key) {
                Some(Key::WritebackFolder(number)) => {
                    Some(WritebackFolder::decode(value).map(|folder| (number, folder)))
                }
                // The consistency check names keys that are none.
                _ => None,
            };
            Ok(pairs.iter().filter_map(folder).collect::<KvResult<_>>()?)
        })
    }

    pub fn has_writeback_folders(&self) -> MetaResult<bool> {
        self.at_snapshot(|reader| Ok(!reader.scan(&keys::writeback_folders(), 1, Direction::Forward)?.is_empty()))
    }

    /// Objects that have been deleted while they may have been in this folder.
    pub fn deleted_in_writeback(&self, number: u64) -> MetaResult<Vec<ObjectId>> {
        self.at_snapshot(|reader| {
            let pairs = scan_all(reader, keys::deleted_in_writeback(number))?;
            let object = |(key, _): &Pair| match Key::parse(key) {
                Some(Key::DeletedInWriteback(_, object)) => Some(object),
                _ => None,
            };
            Ok(pairs.iter().filter_map(object).collect())
        })
    }

    /// These are neither in the folder nor in the store any more.
    pub fn forget_deleted_in_writeback(&self, number: u64, objects: &[ObjectId]) -> MetaResult<()> {
        let keys: Vec<Vec<u8>> =
            objects.iter().map(|object| Key::DeletedInWriteback(number, *object).encode()).collect();
        self.kv().transact(Durability::Visible, move |transaction, _| {
            keys.iter().for_each(|key| transaction.delete(key));
            Ok(((), Verdict::Commit))
        })?;
        Ok(())
    }

    /// The folder is empty and not used any more. `false`, and nothing happens, while deleted objects wait for its mount.
    pub fn forget_writeback_folder(&self, number: u64) -> MetaResult<bool> {
        let forgotten = self.kv().transact(Durability::Visible, move |transaction, _| {
            if !transaction.scan(&keys::deleted_in_writeback(number), 1, Direction::Forward)?.is_empty() {
                return Ok((false, Verdict::Abort));
            }
            transaction.delete(&Key::WritebackFolder(number).encode());
            Ok((true, Verdict::Commit))
        })?;
        Ok(forgotten)
    }

    /// All objects of one folder are in another one now.
    pub fn merge_writeback_folder(&self, from: u64, into: u64) -> MetaResult<()> {
        self.kv().transact(Durability::Durable, move |transaction, _| {
            for (key, _) in scan_all(transaction, keys::deleted_in_writeback(from))? {
                if let Some(Key::DeletedInWriteback(_, object)) = Key::parse(&key) {
                    transaction.put(&Key::DeletedInWriteback(into, object).encode(), &[]);
                }
                transaction.delete(&key);
            }
            transaction.delete(&Key::WritebackFolder(from).encode());
            Ok(((), Verdict::Commit))
        })?;
        Ok(())
    }
}

/// An object has been deleted from the store: the mounts of folders in which it may be shall know.
pub(crate) fn note_deleted(transaction: &mut dyn Transaction, objects: &[ObjectId]) -> KvResult<()> {
    for (key, _) in scan_all(transaction, keys::writeback_folders())? {
        if let Some(Key::WritebackFolder(number)) = Key::parse(&key) {
            for object in objects {
                transaction.put(&Key::DeletedInWriteback(number, *object).encode(), &[]);
            }
        }
    }
    Ok(())
}

fn scan_all<R: Reader + ?Sized>(reader: &mut R, mut range: KeyRange) -> KvResult<Vec<Pair>> {
    let mut all = Vec::new();
    loop {
        let pairs = reader.scan(&range, BATCH, Direction::Forward)?;
        let last = pairs.last().filter(|_| pairs.len() == BATCH).map(|(key, _)| key.clone());
        all.extend(pairs);
        match last {
            Some(last) => range = keys::behind(&last, &range),
            None => return Ok(all),
        }
    }
}

const BATCH: usize = 1000;

#[cfg(test)]
mod tests;
