//! Removes an empty directory.
//!
//! It reads the whole range of the directory's entries and rewrites or deletes its identity, so it conflicts with every
//! create in it, whichever comes first.

use super::charges::Charges;
use super::parent::{self, Counts};
use super::{orphan, trash};
use crate::keys;
use crate::{MetaReply, MetaResult, Removed, Rmdir};
use shoal_kv::{Direction, KvResult, Transaction};
use shoal_types::{Errno, FileKind, Ino, InodeFlags, Name, SessionId, Timestamp};

pub(super) fn run(transaction: &mut dyn Transaction, operation: &Rmdir) -> MetaResult<MetaReply> {
    let Rmdir { parent, name, open, session, now } = operation;
    let (rules, found) = parent::find_name(transaction, *session, *parent, name)?;
    if found.kind != FileKind::Directory {
        return Err(Errno::ENOTDIR.into());
    }
    let mut charges = Charges::new(rules);
    let removed = drop_directory(transaction, &mut charges, found.ino, (*parent, name), (open, *session), *now)?;
    charges.write(transaction)?;
    parent::delete_name(transaction, *parent, name);
    parent::touch(transaction, *parent, Counts::default().lose(found.kind), *now);
    Ok(MetaReply::Removed(removed))
}

/// A transaction that has found a directory empty conflicts with whatever puts something into it.
pub(super) fn is_empty(transaction: &mut dyn Transaction, ino: Ino) -> KvResult<bool> {
    Ok(transaction.scan(&keys::dirents(ino), 1, Direction::Forward)?.is_empty())
}

/// What becomes of a directory by losing its name. The name itself is the caller's. `EPERM` for one that is protected,
/// `ENOTEMPTY`.
pub(super) fn drop_directory(
    transaction: &mut dyn Transaction,
    charges: &mut Charges,
    ino: Ino,
    from: (Ino, &Name),
    (open, session): (&[Ino], SessionId),
    now: Timestamp,
) -> MetaResult<Removed> {
    let mut identity = parent::named_identity(transaction, ino)?;
    identity.refuse(InodeFlags::PROTECTION)?;
    if !is_empty(transaction, ino)? {
        return Err(Errno::ENOTEMPTY.into());
    }
    trash::lose_name(transaction, ino, &mut identity);
    identity.ctime = now;
    if trash::keeps(transaction, charges.rules(), from.0)? {
        trash::keep(transaction, charges, (ino, &identity), from, now)?;
        return Ok(Removed { ino, last: false, sustained: false });
    }
    if ino.is_trash() {
        // An hour of the trash may be wanted again at once, under the same number.
        orphan::delete_inode(transaction, charges, ino, &identity)?;
        return Ok(Removed { ino, last: true, sustained: false });
    }
    let open_in = open.contains(&ino).then_some(session);
    let sustained = orphan::orphan(transaction, (ino, &identity), open_in, now)?;
    Ok(Removed { ino, last: true, sustained })
}
