//! What inodes say about their content, and what objects say about their files.

use super::{Places, Repair, kept};
use crate::MetaResult;
use crate::inode;
use crate::keys::{self, Accumulator, Key};
use crate::ops::charges::Charges;
use crate::ops::{live_bytes, pack_notes, quota};
use crate::records::{XattrIndex, decode_content, decode_slices, encode_deletion};
use shoal_kv::{Direction, Transaction};
use shoal_types::{CHUNK_BYTES, FileKind, Ino, InodeFlags, ObjectId, ObjectKind, Timestamp, XattrName};

/// What the inode counts, it is charged for.
pub(super) fn count_allocated(
    transaction: &mut dyn Transaction,
    ino: Ino,
    recorded: i64,
    counted: i64,
) -> MetaResult<Repair> {
    let inode = inode::load(transaction, ino)?;
    if inode.allocated != recorded {
        return Ok(Repair::NotNeeded);
    }
    transaction.add(&Key::Accumulator(ino, Accumulator::Allocated).encode(), counted - recorded);
    let mut charges = Charges::new(quota::load_accounting(transaction)?.rules());
    charges.add(&inode.identity, 0, counted - recorded);
    charges.write(transaction)?;
    Ok(Repair::Done("the count is what there is"))
}

/// The file reaches as far as its bytes do.
pub(super) fn raise_length(transaction: &mut dyn Transaction, ino: Ino, length: u64) -> MetaResult<Repair> {
    if inode::length(transaction, ino)? != length {
        return Ok(Repair::NotNeeded);
    }
    let inline = transaction.get(&Key::Inline(ino).encode())?.map(decode_content).transpose()?;
    let mut end = inline.map_or(0, |bytes| bytes.len() as u64);
    if let Some((key, value)) = transaction.scan(&keys::chunks(ino), 1, Direction::Backward)?.pop()
        && let Some(Key::Chunk(_, chunk)) = Key::parse(&key)
    {
        let list = decode_slices(&value)?;
        let stored = list.iter().filter(|slice| slice.kind != ObjectKind::Hole);
        end = end.max(stored.map(|slice| chunk * CHUNK_BYTES + u64::from(slice.end())).max().unwrap_or(0));
    }
    transaction.put(&Key::Accumulator(ino, Accumulator::Length).encode(), &end.max(length).to_le_bytes());
    Ok(Repair::Done("the file reaches as far as its bytes"))
}

pub(super) fn set_target_length(
    transaction: &mut dyn Transaction,
    ino: Ino,
    recorded: u64,
    counted: u64,
) -> MetaResult<Repair> {
    if counted == 0 {
        return Ok(Repair::NotPossible("its target is lost: remove it"));
    }
    if inode::length(transaction, ino)? != recorded {
        return Ok(Repair::NotNeeded);
    }
    transaction.put(&Key::Accumulator(ino, Accumulator::Length).encode(), &counted.to_le_bytes());
    Ok(Repair::Done("its length is its target's"))
}

/// Only a target is of no use where it is; all else may be somebody's bytes.
pub(super) fn drop_target(transaction: &mut dyn Transaction, ino: Ino, what: &str) -> MetaResult<Repair> {
    let target = Key::Target(ino).encode();
    let kind = inode::identity(transaction, ino)?.kind;
    if kind == FileKind::Symlink || transaction.get(&target)?.is_none() || !what.contains("target") {
        return Ok(Repair::NotPossible("it may be the kind that is wrong"));
    }
    transaction.delete(&target);
    Ok(Repair::Done("it is removed"))
}

/// The index, and the flags, tell of the values that there are.
pub(super) fn index_xattrs(transaction: &mut dyn Transaction, ino: Ino) -> MetaResult<Repair> {
    let mut index = XattrIndex::default();
    let mut failure = Ok(());
    super::for_each(transaction, keys::xattrs(ino), &mut |key, value| {
        if let Some(Key::Xattr(_, name)) = Key::parse(key)
            && let Ok(name) = XattrName::new(name)
        {
            match decode_content(value.to_vec()) {
                Ok(value) => drop(index.0.insert(name, value.len() as u32)),
                Err(error) => failure = Err(error),
            }
        }
    })?;
    failure?;
    let key = Key::XattrIndex(ino).encode();
    match index.0.is_empty() {
        true => transaction.delete(&key),
        false => transaction.put(&key, &index.encode()),
    }
    let mut identity = inode::identity(transaction, ino)?;
    identity.flags = index.flags(identity.flags.with(InodeFlags::ABOUT_XATTRS, false));
    transaction.put(&Key::Identity(ino).encode(), &identity.encode());
    Ok(Repair::Done("it has the attributes whose values are there"))
}

/// The inode is counted for what its directory is counted for.
pub(super) fn set_mark(
    transaction: &mut dyn Transaction,
    ino: Ino,
    recorded: Option<Ino>,
    wanted: Option<Ino>,
) -> MetaResult<Repair> {
    let inode = inode::load(transaction, ino)?;
    if inode.identity.quota == Some(ino) {
        return Ok(Repair::NotPossible("it has a quota of its own: delete that and set it again"));
    }
    if inode.identity.quota != recorded {
        return Ok(Repair::NotNeeded);
    }
    let mut identity = inode.identity.clone();
    identity.quota = wanted;
    let mut charges = Charges::new(quota::load_accounting(transaction)?.rules());
    charges.shift(&inode.identity, &identity, inode.allocated);
    charges.write(transaction)?;
    transaction.put(&Key::Identity(ino).encode(), &identity.encode());
    Ok(Repair::Done("it is counted as its directory is"))
}

/// An object that nothing refers to is queued for deletion, as it should have been.
pub(super) fn count_object(
    transaction: &mut dyn Transaction,
    object: ObjectId,
    (recorded, counted): (i64, i64),
    places: &Places,
    now: Timestamp,
) -> MetaResult<Repair> {
    let key = Key::Object(object).encode();
    if live_bytes::live_bytes(object, transaction.get(&key)?.as_deref())? != recorded {
        return Ok(Repair::NotNeeded);
    }
    if counted > 0 {
        kept::unqueue_object(transaction, object, places)?;
        transaction.put(&key, &counted.to_le_bytes());
        return Ok(Repair::Done("the count is what there is"));
    }
    transaction.delete(&key);
    pack_notes::end(transaction, object)?;
    if places.deletions.is_empty() {
        let entry = Key::Deletion(now.as_nanos(), object).encode();
        transaction.put(&entry, &encode_deletion(ObjectKind::Block));
    }
    Ok(Repair::Done("it is queued for deletion"))
}
