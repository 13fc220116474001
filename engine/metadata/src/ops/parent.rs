//! What operations by parent and name have in common: how the name is read, and what becomes of the parent.
//!
//! A directory's entries, subdirectories and modification time change by commutative updates alone. Of its identity a
//! create reads that it is there, so that creates of different names never conflict with each other, and each of them
//! conflicts with the removal of the directory.

use super::{session, trash};
use crate::MetaResult;
use crate::keys::{Accumulator, Key};
use crate::records::{Dirent, Identity, Rules, damaged};
use shoal_kv::{KvResult, Transaction};
use shoal_types::{Errno, FileKind, Ino, InodeFlags, Name, SessionId, Timestamp};

/// Where a new name shall stand: the directory's identity, and what to count. One round trip.
///
/// `ESTALE` for a session that has ended, `ENOENT` for a directory that is gone or removed, `ENOTDIR`; `EEXIST` where the
/// name is taken; `EPERM` in the trash and in an immutable directory.
pub(super) fn require_free_name(
    transaction: &mut dyn Transaction,
    session: SessionId,
    parent: Ino,
    name: &Name,
) -> MetaResult<(Rules, Identity)> {
    let keys = [Key::Session(session).encode(), Key::Identity(parent).encode(), Key::dirent(parent, name).encode()];
    let [record, identity, dirent] = get_all(transaction, &keys)?;
    let rules = session::alive(record.as_deref())?;
    let identity = living_directory(identity)?;
    if dirent.is_some() || trash::is_trash(transaction, parent, name)? {
        return Err(Errno::EEXIST.into());
    }
    if parent.is_trash() {
        return Err(Errno::EPERM.into());
    }
    identity.refuse(InodeFlags::IMMUTABLE)?;
    Ok((rules, identity))
}

/// What a name stands for that is to be taken away. One round trip.
///
/// `ESTALE` for a session that has ended, `ENOENT`, `ENOTDIR`; `EPERM` for the trash, which no entry names, and in a
/// directory that keeps its names.
pub(super) fn find_name(
    transaction: &mut dyn Transaction,
    session: SessionId,
    parent: Ino,
    name: &Name,
) -> MetaResult<(Rules, Dirent)> {
    let keys = [Key::Session(session).encode(), Key::dirent(parent, name).encode(), Key::Identity(parent).encode()];
    let [record, dirent, directory] = get_all(transaction, &keys)?;
    let rules = session::alive(record.as_deref())?;
    let directory = directory.map(|bytes| Identity::decode(&bytes)).transpose()?;
    let found = found(transaction, (parent, directory.as_ref()), name, dirent)?;
    directory.iter().try_for_each(|directory| directory.refuse(InodeFlags::PROTECTION))?;
    Ok((rules, found))
}

/// What a rename is about.
pub(super) struct BothNames {
    pub rules: Rules,
    /// What the old name stands for.
    pub source: Dirent,
    /// What the new name stands for, if it's taken.
    pub target: Option<Dirent>,
    pub old_directory: Identity,
    pub new_directory: Identity,
}

/// What the old name of a rename stands for, and the new one if it's taken. One round trip.
///
/// `ESTALE` for a session that has ended; then as `find_name` of the old name; then, for the new parent, `ENOENT` if it is
/// gone or removed, and `ENOTDIR`.
pub(super) fn find_both_names(
    transaction: &mut dyn Transaction,
    session: SessionId,
    (old_parent, old_name): (Ino, &Name),
    (new_parent, new_name): (Ino, &Name),
) -> MetaResult<BothNames> {
    let keys = [
        Key::Session(session).encode(),
        Key::dirent(old_parent, old_name).encode(),
        Key::Identity(old_parent).encode(),
        Key::dirent(new_parent, new_name).encode(),
        Key::Identity(new_parent).encode(),
    ];
    // Of one directory its identity is asked for once.
    let keys = if old_parent == new_parent { &keys[..4] } else { &keys[..] };
    let mut values = transaction.get_many(&keys.iter().map(Vec::as_slice).collect::<Vec<_>>())?.into_iter();
    let mut next = || values.next().flatten();
    let rules = session::alive(next().as_deref())?;
    let (old, old_directory, new) = (next(), next(), next());
    let new_directory = if old_parent == new_parent { old_directory.clone() } else { next() };
    let old_directory = old_directory.map(|bytes| Identity::decode(&bytes)).transpose()?;
    let source = found(transaction, (old_parent, old_directory.as_ref()), old_name, old)?;
    let new_directory = living_directory(new_directory)?;
    let target = new.map(|bytes| Dirent::decode(&bytes)).transpose()?;
    let old_directory = old_directory.ok_or_else(|| {
        damaged("a directory entry", format!("directory {old_parent} has one and does not exist; see fsck"))
    })?;
    Ok(BothNames { rules, source, target, old_directory, new_directory })
}

/// Only where there is no such entry does it matter what the parent is.
fn found(
    transaction: &mut dyn Transaction,
    (parent, directory): (Ino, Option<&Identity>),
    name: &Name,
    dirent: Option<Vec<u8>>,
) -> MetaResult<Dirent> {
    match (dirent, directory) {
        (Some(bytes), _) => Ok(Dirent::decode(&bytes)?),
        (None, _) if trash::is_trash(transaction, parent, name)? => Err(Errno::EPERM.into()),
        (None, Some(directory)) if !directory.is_directory() => Err(Errno::ENOTDIR.into()),
        (None, _) => Err(Errno::ENOENT.into()),
    }
}

fn living_directory(identity: Option<Vec<u8>>) -> MetaResult<Identity> {
    let identity = Identity::decode(&identity.ok_or(Errno::ENOENT)?)?;
    if !identity.is_directory() {
        return Err(Errno::ENOTDIR.into());
    }
    if identity.nlink == 0 {
        return Err(Errno::ENOENT.into());
    }
    Ok(identity)
}

/// The identity of an inode that an entry names: it is there and counts at least this name, or the volume is damaged.
pub(super) fn named_identity(transaction: &mut dyn Transaction, ino: Ino) -> MetaResult<Identity> {
    match transaction.get(&Key::Identity(ino).encode())?.map(|bytes| Identity::decode(&bytes)).transpose()? {
        Some(identity) if trash::has_name(&identity) => Ok(identity),
        Some(_) => Err(damaged("an inode", format!("{ino} has a name and counts none; see fsck")).into()),
        None => Err(damaged("an inode", format!("{ino} has a name and does not exist; see fsck")).into()),
    }
}

pub(super) fn put_name(transaction: &mut dyn Transaction, parent: Ino, name: &Name, ino: Ino, kind: FileKind) {
    transaction.put(&Key::dirent(parent, name).encode(), &Dirent { ino, kind }.encode());
}

pub(super) fn delete_name(transaction: &mut dyn Transaction, parent: Ino, name: &Name) {
    transaction.delete(&Key::dirent(parent, name).encode());
}

/// By how much a directory's counts change.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Counts {
    entries: i64,
    subdirectories: i64,
}

impl Counts {
    pub fn gain(mut self, kind: FileKind) -> Self {
        self.entries += 1;
        self.subdirectories += i64::from(kind == FileKind::Directory);
        self
    }

    pub fn lose(mut self, kind: FileKind) -> Self {
        self.entries -= 1;
        self.subdirectories -= i64::from(kind == FileKind::Directory);
        self
    }
}

/// A directory's content has changed. Never reads anything.
pub(super) fn touch(transaction: &mut dyn Transaction, parent: Ino, counts: Counts, now: Timestamp) {
    for (field, amount) in
        [(Accumulator::Entries, counts.entries), (Accumulator::Subdirectories, counts.subdirectories)]
    {
        if amount != 0 {
            transaction.add(&Key::Accumulator(parent, field).encode(), amount);
        }
    }
    transaction.max(&Key::Accumulator(parent, Accumulator::Mtime).encode(), now.as_nanos());
}

fn get_all<const N: usize>(transaction: &mut dyn Transaction, keys: &[Vec<u8>; N]) -> KvResult<[Option<Vec<u8>>; N]> {
    let values = transaction.get_many(&keys.each_ref().map(Vec::as_slice))?;
    Ok(values.try_into().expect("every key has an answer"))
}
