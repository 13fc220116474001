//! Removes the name of anything but a directory.

use super::charges::Charges;
use super::orphan;
use super::parent::{self, Counts};
use crate::keys::Key;
use crate::{MetaReply, MetaResult, Removed, Unlink};
use shoal_kv::Transaction;
use shoal_types::{Errno, FileKind, Ino, SessionId, Timestamp};

pub(super) fn run(transaction: &mut dyn Transaction, operation: &Unlink) -> MetaResult<MetaReply> {
    let Unlink { parent, name, open, session, now } = operation;
    let (rules, found) = parent::find_name(transaction, *session, *parent, name)?;
    if found.kind == FileKind::Directory {
        return Err(Errno::EISDIR.into());
    }
    let mut charges = Charges::new(rules);
    let removed = drop_name(transaction, &mut charges, found.ino, open, *session, *now)?;
    charges.write(transaction)?;
    parent::delete_name(transaction, *parent, name);
    parent::touch(transaction, *parent, Counts::default().lose(found.kind), *now);
    Ok(MetaReply::Removed(removed))
}

/// What becomes of an inode, no directory, by losing one name. The name itself is the caller's.
pub(super) fn drop_name(
    transaction: &mut dyn Transaction,
    charges: &mut Charges,
    ino: Ino,
    open: &[Ino],
    session: SessionId,
    now: Timestamp,
) -> MetaResult<Removed> {
    let mut identity = parent::named_identity(transaction, ino)?;
    identity.nlink -= 1;
    identity.ctime = now;
    let last = identity.nlink == 0;
    let mut sustained = false;
    if last {
        sustained = orphan::orphan(transaction, charges, ino, &identity, session, open.contains(&ino), now)?;
    } else {
        transaction.put(&Key::Identity(ino).encode(), &identity.encode());
    }
    Ok(Removed { ino, last, sustained })
}
