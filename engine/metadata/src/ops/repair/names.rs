//! Entries of directories, and what inodes say about their names.

use super::{Places, Repair, lost_found};
use crate::MetaResult;
use crate::inode;
use crate::keys::{self, Accumulator, Key};
use crate::records::{Dirent, Identity};
use shoal_kv::Transaction;
use shoal_types::{FileKind, Ino, InodeFlags, Timestamp};

/// An entry that leads to no inode.
pub(super) fn drop_dangling(
    transaction: &mut dyn Transaction,
    directory: Ino,
    name: &[u8],
    target: Ino,
) -> MetaResult<Repair> {
    if transaction.get(&Key::Identity(target).encode())?.is_some() {
        return Ok(Repair::NotNeeded);
    }
    match drop_entry(transaction, directory, name, target)? {
        true => Ok(Repair::Done("the entry is removed")),
        false => Ok(Repair::NotNeeded),
    }
}

pub(super) fn set_kind(
    transaction: &mut dyn Transaction,
    directory: Ino,
    name: &[u8],
    target: Ino,
) -> MetaResult<Repair> {
    let kind = inode::identity(transaction, target)?.kind;
    let Some(found) = find(transaction, directory, name, target)? else { return Ok(Repair::NotNeeded) };
    if found.kind == kind {
        return Ok(Repair::NotNeeded);
    }
    let directories = i64::from(kind == FileKind::Directory) - i64::from(found.kind == FileKind::Directory);
    transaction.put(&place(directory, name), &Dirent { ino: target, kind }.encode());
    count(transaction, directory, 0, directories);
    Ok(Repair::Done("the entry tells the kind that the inode has"))
}

/// An entry where nobody looks for its name.
pub(super) fn put_in_place(transaction: &mut dyn Transaction, directory: Ino, name: &[u8]) -> MetaResult<Repair> {
    let right = place(directory, name);
    let mut misplaced = Vec::new();
    super::for_each(transaction, keys::dirents(directory), &mut |key, value| {
        if matches!(Key::parse(key), Some(Key::Dirent(_, _, found)) if found == name) && key != right {
            misplaced.push((key.to_vec(), value.to_vec()));
        }
    })?;
    let taken = transaction.get(&right)?.is_some();
    match misplaced.pop() {
        None => Ok(Repair::NotNeeded),
        Some((key, value)) if taken => {
            transaction.delete(&key);
            let was_directory = Dirent::decode(&value)?.kind == FileKind::Directory;
            count(transaction, directory, -1, -i64::from(was_directory));
            Ok(Repair::Done("the entry is removed, for there is another of that name"))
        }
        Some((key, value)) => {
            transaction.delete(&key);
            transaction.put(&right, &value);
            Ok(Repair::Done("the entry is where its name belongs"))
        }
    }
}

/// A directory that is below itself hangs in `lost+found` from now on, with the others of the loop below it.
pub(super) fn cut_loop(
    transaction: &mut dyn Transaction,
    ino: Ino,
    places: &Places,
    now: Timestamp,
) -> MetaResult<Repair> {
    let mut at = ino;
    for _ in 0..LOOP_MAX {
        at = inode::identity(transaction, at)?.parent;
        if at == Ino::ROOT || at.is_trash() {
            return Ok(Repair::NotNeeded);
        }
    }
    for (directory, name) in &places.entries {
        drop_entry(transaction, *directory, name, ino)?;
    }
    lost_found::take(transaction, ino, now)
}

/// A directory has one name: the one in the directory that it takes for its parent, if it has that.
pub(super) fn keep_one(transaction: &mut dyn Transaction, ino: Ino, places: &Places) -> MetaResult<Repair> {
    let parent = inode::identity(transaction, ino)?.parent;
    let own = places.entries.iter().position(|(directory, _)| *directory == parent).unwrap_or(0);
    let mut dropped = false;
    for (number, (directory, name)) in places.entries.iter().enumerate() {
        if number != own || ino == Ino::ROOT {
            dropped |= drop_entry(transaction, *directory, name, ino)?;
        }
    }
    match dropped {
        true => Ok(Repair::Done("all its names but one are removed")),
        false => Ok(Repair::NotNeeded),
    }
}

pub(super) fn set_link_count(
    transaction: &mut dyn Transaction,
    ino: Ino,
    recorded: u32,
    names: u64,
) -> MetaResult<Repair> {
    let is_clone = transaction.get(&Key::Clone(ino).encode())?.is_some();
    change(transaction, ino, "the count is what there is", |identity| {
        let wanted = match identity.kind {
            _ if identity.flags.has(InodeFlags::TRASHED) => 0,
            _ if ino == Ino::ROOT || ino == Ino::TRASH || is_clone => 1,
            FileKind::Directory => names.min(1),
            _ => names,
        };
        if identity.nlink == recorded {
            identity.nlink = u32::try_from(wanted).unwrap_or(u32::MAX);
        }
    })
}

pub(super) fn set_parent(
    transaction: &mut dyn Transaction,
    ino: Ino,
    recorded: Ino,
    actual: Ino,
) -> MetaResult<Repair> {
    change(transaction, ino, "it says where it is", |identity| {
        if identity.parent == recorded {
            identity.parent = actual;
        }
    })
}

/// In the trash is what has a name there and no other.
pub(super) fn settle_trash(transaction: &mut dyn Transaction, ino: Ino, places: &Places) -> MetaResult<Repair> {
    let (kept, named): (Vec<_>, Vec<_>) = places.entries.iter().partition(|(directory, _)| directory.is_trash());
    let in_trash = !kept.is_empty() && named.is_empty();
    let mut dropped = false;
    for (directory, name) in kept.iter().skip(usize::from(in_trash)) {
        dropped |= drop_entry(transaction, *directory, name, ino)?;
    }
    let origin = Key::Origin(ino).encode();
    let has_origin = transaction.get(&origin)?.is_some();
    if !in_trash && has_origin {
        transaction.delete(&origin);
    }
    const SETTLED: &str = "it is where its names are";
    let repair = change(transaction, ino, SETTLED, |identity| {
        let directory = identity.kind == FileKind::Directory;
        // Without any name it was in the trash: nobody wanted it to be gone at once, so that it's for `lost+found`.
        identity.flags = identity.flags.with(InodeFlags::TRASHED, in_trash);
        identity.nlink = match named.len() as u32 {
            _ if in_trash => 0,
            0 => 1,
            names if directory => names.min(1),
            names => names,
        };
    })?;
    Ok(if dropped || (!in_trash && has_origin) { Repair::Done(SETTLED) } else { repair })
}

/// An entry goes, if it still leads there.
pub(super) fn drop_entry(
    transaction: &mut dyn Transaction,
    directory: Ino,
    name: &[u8],
    target: Ino,
) -> MetaResult<bool> {
    let Some(found) = find(transaction, directory, name, target)? else { return Ok(false) };
    transaction.delete(&place(directory, name));
    count(transaction, directory, -1, -i64::from(found.kind == FileKind::Directory));
    Ok(true)
}

fn find(transaction: &mut dyn Transaction, directory: Ino, name: &[u8], target: Ino) -> MetaResult<Option<Dirent>> {
    let found = transaction.get(&place(directory, name))?.map(|value| Dirent::decode(&value)).transpose()?;
    Ok(found.filter(|entry| entry.ino == target))
}

fn place(directory: Ino, name: &[u8]) -> Vec<u8> {
    Key::Dirent(directory, keys::cookie(directory, name), name).encode()
}

fn count(transaction: &mut dyn Transaction, directory: Ino, entries: i64, subdirectories: i64) {
    for (field, amount) in [(Accumulator::Entries, entries), (Accumulator::Subdirectories, subdirectories)] {
        if amount != 0 {
            transaction.add(&Key::Accumulator(directory, field).encode(), amount);
        }
    }
}

fn change(
    transaction: &mut dyn Transaction,
    ino: Ino,
    what: &'static str,
    change: impl FnOnce(&mut Identity),
) -> MetaResult<Repair> {
    let before = inode::identity(transaction, ino)?;
    let mut identity = before.clone();
    change(&mut identity);
    if identity == before {
        return Ok(Repair::NotNeeded);
    }
    transaction.put(&Key::Identity(ino).encode(), &identity.encode());
    Ok(Repair::Done(what))
}

/// No path is longer.
const LOOP_MAX: usize = 4096;
