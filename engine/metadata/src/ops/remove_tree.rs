//! A directory loses its name together with all that lies below it, however much that is: one small transaction.
//!
//! It goes to the trash as it is, or to the removal queue as a nameless directory that still has entries. There it's taken
//! apart (`take_apart`), some entries a transaction: what is a directory comes into the queue itself; what is a file loses a
//! name, and goes where files go. Any mount may take the next step, at any time. Directories stand at the queue's
//! beginning: nobody needs time to say that he reads in one.
//!
//! That nothing below it is protected is for who asks to find out (`Metadata::has_protected`); what is protected only since
//! then goes with the rest.
//!
//! Nothing is made in a directory without a name. Below it directories still have theirs, until they are taken out.

use super::charges::Charges;
use super::parent::{self, Counts};
use super::{orphan, quota, trash};
use crate::keys::{self, Key};
use crate::records::{Dirent, Identity};
use crate::{MetaReply, MetaResult, RemoveTree, Removed};
use shoal_kv::{Direction, Transaction};
use shoal_types::{Errno, FileKind, Ino, InodeFlags, Timestamp};

pub(super) fn run(transaction: &mut dyn Transaction, operation: &RemoveTree) -> MetaResult<MetaReply> {
    let RemoveTree { parent, name, ino, keep, session, now } = operation;
    let (rules, found) = parent::find_name(transaction, *session, *parent, name)?;
    if found.ino != *ino {
        return Err(Errno::ENOENT.into());
    }
    if found.kind != FileKind::Directory {
        return Err(Errno::ENOTDIR.into());
    }
    if ino.is_trash() {
        return Err(Errno::EPERM.into());
    }
    let mut charges = Charges::new(rules);
    let mut identity = parent::named_identity(transaction, *ino)?;
    identity.refuse(InodeFlags::PROTECTION)?;
    trash::lose_name(transaction, *ino, &mut identity);
    identity.ctime = *now;
    let keep = *keep && trash::keeps(transaction, rules, *parent)?;
    match keep {
        true => trash::keep(transaction, &mut charges, (*ino, &identity), (*parent, name), *now)?,
        false => queue(transaction, *ino, &identity)?,
    }
    charges.write(transaction)?;
    parent::delete_name(transaction, *parent, name);
    parent::touch(transaction, *parent, Counts::default().lose(FileKind::Directory), *now);
    Ok(MetaReply::Removed(Removed { ino: *ino, last: !keep, sustained: false }))
}

/// A directory without a name, with all that is in it, waits to be taken apart.
fn queue(transaction: &mut dyn Transaction, ino: Ino, identity: &Identity) -> MetaResult<()> {
    if identity.quota == Some(ino) {
        quota::retire(transaction, ino)?;
    }
    transaction.put(&Key::Identity(ino).encode(), &identity.encode());
    orphan::queue_removal(transaction, ino, Timestamp::ZERO);
    Ok(())
}

/// Takes some entries out of a nameless directory, or an hour of the trash. Tells what they were, and whether there may be more.
pub(super) fn take_apart(
    transaction: &mut dyn Transaction,
    directory: Ino,
    now: Timestamp,
) -> MetaResult<(Vec<Ino>, bool)> {
    let entries = transaction.scan(&keys::dirents(directory), ENTRIES_MAX, Direction::Forward)?;
    let mut counts = Counts::default();
    let mut inodes = Vec::with_capacity(entries.len());
    for (key, value) in &entries {
        let entry = Dirent::decode(value)?;
        drop_entry(transaction, entry, now)?;
        transaction.delete(key);
        counts = counts.lose(entry.kind);
        inodes.push(entry.ino);
    }
    if !entries.is_empty() {
        parent::touch(transaction, directory, counts, now);
    }
    Ok((inodes, entries.len() == ENTRIES_MAX))
}

/// What becomes of an entry's inode when nobody has asked for its removal by name. The entry is the caller's. An inode
/// that is missing is damage, which must not keep the rest from going.
fn drop_entry(transaction: &mut dyn Transaction, entry: Dirent, now: Timestamp) -> MetaResult<()> {
    let ino = entry.ino;
    let Some(value) = transaction.get(&Key::Identity(ino).encode())? else { return Ok(()) };
    let mut identity = Identity::decode(&value)?;
    let last = trash::lose_name(transaction, ino, &mut identity);
    identity.ctime = now;
    match last {
        true if identity.is_directory() => queue(transaction, ino, &identity),
        true => orphan::orphan(transaction, (ino, &identity), None, now).map(drop),
        false => {
            transaction.put(&Key::Identity(ino).encode(), &identity.encode());
            Ok(())
        }
    }
}

/// Entries that one transaction takes out of a directory.
const ENTRIES_MAX: usize = 256;
