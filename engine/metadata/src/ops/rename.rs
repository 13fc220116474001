//! Rename in all its cases, as `shoal_oracle` specifies them: the order of checks is that of its `rename.rs`.
//!
//! Two renames could together tie directories into a loop: each moves one below the other. So a transaction that moves a
//! directory to another parent reads the identities of all that lies above the new place, and every move of a directory
//! rewrites the identity of what it moves: of two such renames one conflicts.

use super::charges::{Charges, Fit};
use super::parent::{self, BothNames, Counts};
use super::{create, quota, rmdir, trash, unlink};
use crate::inode;
use crate::keys::Key;
use crate::reads::DEPTH_MAX;
use crate::records::{Dirent, Identity, damaged};
use crate::{MetaReply, MetaResult, Removed, Rename, Renamed};
use shoal_kv::Transaction;
use shoal_types::{Errno, FileKind, Ino, InodeFlags};

pub(super) fn run(transaction: &mut dyn Transaction, operation: &Rename) -> MetaResult<MetaReply> {
    if operation.exchange && (operation.no_replace || operation.whiteout.is_some()) {
        return Err(Errno::EINVAL.into());
    }
    let Rename { old_parent, old_name, new_parent, new_name, session, .. } = operation;
    let BothNames { rules, source, target, old_directory, new_directory } =
        parent::find_both_names(transaction, *session, (*old_parent, old_name), (*new_parent, new_name))?;
    if operation.no_replace && target.is_some() {
        return Err(Errno::EEXIST.into());
    }
    if operation.exchange && target.is_none() {
        return Err(Errno::ENOENT.into());
    }
    refuse_trash(transaction, operation, source)?;
    refuse_loops(transaction, operation, source, target)?;
    if target.is_some_and(|target| target.ino == source.ino) {
        return Ok(MetaReply::Renamed(Renamed { moved: source.ino, replaced: None }));
    }
    old_directory.refuse(InodeFlags::PROTECTION)?;
    new_directory.refuse(if target.is_some() { InodeFlags::PROTECTION } else { InodeFlags::IMMUTABLE })?;
    let moved = movable(transaction, source.ino)?;
    let mut charges = Charges::new(rules);
    let directories = (&old_directory, &new_directory);
    let replaced = match target {
        Some(target) if operation.exchange => {
            Some(exchange(transaction, &mut charges, operation, ((source, moved), target), directories)?)
        }
        _ => replace(transaction, &mut charges, operation, ((source, moved), target), directories)?,
    };
    charges.settle(transaction, Fit::Whole)?;
    Ok(MetaReply::Renamed(Renamed { moved: source.ino, replaced }))
}

/// The identity of what gets another name: `EPERM` for what is protected.
fn movable(transaction: &mut dyn Transaction, ino: Ino) -> MetaResult<Identity> {
    let identity = parent::named_identity(transaction, ino)?;
    identity.refuse(InodeFlags::PROTECTION)?;
    Ok(identity)
}

/// Things come into the trash by being removed, and leave it by being moved. Nothing takes its place, or that of an hour.
fn refuse_trash(transaction: &mut dyn Transaction, operation: &Rename, source: Dirent) -> MetaResult<()> {
    let Rename { old_parent, new_parent, new_name, exchange, whiteout, .. } = operation;
    let into = new_parent.is_trash() || source.ino.is_trash();
    let back = old_parent.is_trash() && (*exchange || whiteout.is_some());
    match into || back || trash::is_trash(transaction, *new_parent, new_name)? {
        true => Err(Errno::EPERM.into()),
        false => Ok(()),
    }
}

/// Within one directory nothing can come to lie below itself, and nothing is its own ancestor.
fn refuse_loops(
    transaction: &mut dyn Transaction,
    operation: &Rename,
    source: Dirent,
    target: Option<Dirent>,
) -> MetaResult<()> {
    let Rename { old_parent, new_parent, exchange, .. } = operation;
    if old_parent == new_parent {
        return Ok(());
    }
    if is_directory(source) && is_within(transaction, *new_parent, source.ino)? {
        return Err(Errno::EINVAL.into());
    }
    match target {
        Some(target) if is_directory(target) && is_within(transaction, *old_parent, target.ino)? => {
            Err(if *exchange { Errno::EINVAL } else { Errno::ENOTEMPTY }.into())
        }
        _ => Ok(()),
    }
}

/// Whether the directory is `ancestor` or lies below it.
fn is_within(transaction: &mut dyn Transaction, directory: Ino, ancestor: Ino) -> MetaResult<bool> {
    let mut ino = directory;
    for _ in 0..DEPTH_MAX {
        if ino == ancestor {
            return Ok(true);
        }
        if ino == Ino::ROOT {
            return Ok(false);
        }
        let identity = inode::identity(transaction, ino)?;
        if !trash::has_name(&identity) {
            // The top of a tree that is being removed; who is still in it may go on for a while.
            return Ok(false);
        }
        ino = identity.parent;
    }
    Err(damaged("the tree", format!("the directories above inode {directory} form a loop; see fsck")).into())
}

fn exchange(
    transaction: &mut dyn Transaction,
    charges: &mut Charges,
    operation: &Rename,
    ((source, moved), target): ((Dirent, Identity), Dirent),
    (old_directory, new_directory): (&Identity, &Identity),
) -> MetaResult<Removed> {
    let Rename { old_parent, old_name, new_parent, new_name, now, .. } = operation;
    let moved_back = movable(transaction, target.ino)?;
    place(transaction, charges, operation, (source.ino, moved), (*old_parent, *new_parent), new_directory)?;
    place(transaction, charges, operation, (target.ino, moved_back), (*new_parent, *old_parent), old_directory)?;
    parent::put_name(transaction, *new_parent, new_name, source.ino, source.kind);
    parent::put_name(transaction, *old_parent, old_name, target.ino, target.kind);
    parent::touch(transaction, *old_parent, Counts::default().lose(source.kind).gain(target.kind), *now);
    parent::touch(transaction, *new_parent, Counts::default().lose(target.kind).gain(source.kind), *now);
    Ok(Removed { ino: target.ino, last: false, sustained: false })
}

fn replace(
    transaction: &mut dyn Transaction,
    charges: &mut Charges,
    operation: &Rename,
    ((source, moved), target): ((Dirent, Identity), Option<Dirent>),
    (old_directory, new_directory): (&Identity, &Identity),
) -> MetaResult<Option<Removed>> {
    let Rename { old_parent, old_name, new_parent, new_name, now, .. } = operation;
    let replaced = target.map(|target| drop_target(transaction, charges, operation, source, target)).transpose()?;
    place(transaction, charges, operation, (source.ino, moved), (*old_parent, *new_parent), new_directory)?;
    parent::delete_name(transaction, *old_parent, old_name);
    parent::put_name(transaction, *new_parent, new_name, source.ino, source.kind);
    let mut old_counts = Counts::default().lose(source.kind);
    if let Some(whiteout) = operation.whiteout {
        create::put_whiteout(transaction, charges, whiteout, *old_parent, old_directory, *now)?;
        parent::put_name(transaction, *old_parent, old_name, whiteout.ino, FileKind::CharDevice);
        old_counts = old_counts.gain(FileKind::CharDevice);
    }
    parent::touch(transaction, *old_parent, old_counts, *now);
    let new_counts = target.iter().fold(Counts::default().gain(source.kind), |counts, target| counts.lose(target.kind));
    parent::touch(transaction, *new_parent, new_counts, *now);
    Ok(replaced)
}

/// Takes the new name from what has it, if the source may replace that.
fn drop_target(
    transaction: &mut dyn Transaction,
    charges: &mut Charges,
    operation: &Rename,
    source: Dirent,
    target: Dirent,
) -> MetaResult<Removed> {
    let Rename { new_parent, new_name, open, session, now, .. } = operation;
    let (from, open) = ((*new_parent, new_name), (open.as_slice(), *session));
    match (is_directory(source), is_directory(target)) {
        (true, false) => Err(Errno::ENOTDIR.into()),
        (false, true) => Err(Errno::EISDIR.into()),
        (false, false) => unlink::drop_name(transaction, charges, target.ino, from, open, *now),
        (true, true) => rmdir::drop_directory(transaction, charges, target.ino, from, open, *now),
    }
}

/// Notes at the inode where it lies from now on, and what it is counted for there.
fn place(
    transaction: &mut dyn Transaction,
    charges: &mut Charges,
    operation: &Rename,
    (ino, identity): (Ino, Identity),
    (from, to): (Ino, Ino),
    directory: &Identity,
) -> MetaResult<()> {
    let mut identity = Identity { parent: to, ctime: operation.now, ..identity };
    if identity.flags.has(InodeFlags::TRASHED) {
        trash::leave(transaction, ino, &mut identity);
        identity.nlink = 1;
    }
    if from != to {
        quota::enter(transaction, charges, (ino, &mut identity), from, directory)?;
    }
    transaction.put(&Key::Identity(ino).encode(), &identity.encode());
    Ok(())
}

fn is_directory(entry: Dirent) -> bool {
    entry.kind == FileKind::Directory
}
