//! Removes the name of anything but a directory.

use super::charges::Charges;
use super::parent::{self, Counts};
use super::{orphan, trash};
use crate::keys::Key;
use crate::{MetaReply, MetaResult, Removed, Unlink};
use shoal_kv::Transaction;
use shoal_types::{Errno, FileKind, Ino, InodeFlags, Name, SessionId, Timestamp};

pub(super) fn run(transaction: &mut dyn Transaction, operation: &Unlink) -> MetaResult<MetaReply> {
    let Unlink { parent, name, open, session, now } = operation;
    let (rules, found) = parent::find_name(transaction, *session, *parent, name)?;
    if found.kind == FileKind::Directory {
        return Err(Errno::EISDIR.into());
    }
    let mut charges = Charges::new(rules);
    let removed = drop_name(transaction, &mut charges, found.ino, (*parent, name), (open, *session), *now)?;
    charges.write(transaction)?;
    parent::delete_name(transaction, *parent, name);
    parent::touch(transaction, *parent, Counts::default().lose(found.kind), *now);
    Ok(MetaReply::Removed(removed))
}

/// What becomes of an inode, no directory, by losing this name. The name itself is the caller's. `EPERM` for one that is
/// protected.
pub(super) fn drop_name(
    transaction: &mut dyn Transaction,
    charges: &mut Charges,
    ino: Ino,
    from: (Ino, &Name),
    (open, session): (&[Ino], SessionId),
    now: Timestamp,
) -> MetaResult<Removed> {
    let mut identity = parent::named_identity(transaction, ino)?;
    identity.refuse(InodeFlags::PROTECTION)?;
    let last = trash::lose_name(transaction, ino, &mut identity);
    identity.ctime = now;
    if !last {
        transaction.put(&Key::Identity(ino).encode(), &identity.encode());
        return Ok(Removed { ino, last, sustained: false });
    }
    if trash::keeps(transaction, charges.rules(), from.0)? {
        trash::keep(transaction, charges, (ino, &identity), from, now)?;
        return Ok(Removed { ino, last: false, sustained: false });
    }
    let open_in = open.contains(&ino).then_some(session);
    let sustained = orphan::orphan(transaction, (ino, &identity), open_in, now)?;
    Ok(Removed { ino, last, sustained })
}
