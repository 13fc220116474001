//! One name more for an inode that has one, or the first for one that was made without.

use super::parent::{self, Counts};
use crate::inode;
use crate::keys::Key;
use crate::records::Identity;
use crate::{Link, MetaReply, MetaResult};
use shoal_kv::Transaction;
use shoal_types::{Errno, Ino, InodeFlags, SessionId};

pub(super) fn run(transaction: &mut dyn Transaction, operation: &Link) -> MetaResult<MetaReply> {
    let Link { ino, parent, name, session, now } = operation;
    let mut identity = inode::identity(transaction, *ino)?;
    let (_, directory) = parent::require_free_name(transaction, *session, *parent, name)?;
    match identity.nlink {
        _ if identity.is_directory() || identity.flags.any(InodeFlags::PROTECTION) => return Err(Errno::EPERM.into()),
        0 => stop_sustaining(transaction, *ino, *session, &mut identity)?,
        LINKS_MAX.. => return Err(Errno::EMLINK.into()),
        _ => identity.linked = true,
    }
    if identity.quota != directory.quota {
        // It's counted once, so it can't lie in places that are counted apart.
        return Err(Errno::EXDEV.into());
    }
    identity.nlink += 1;
    identity.ctime = *now;
    transaction.put(&Key::Identity(*ino).encode(), &identity.encode());
    parent::put_name(transaction, *parent, name, *ino, identity.kind);
    parent::touch(transaction, *parent, Counts::default().gain(identity.kind), *now);
    Ok(MetaReply::Attributes(inode::load_unchecked(transaction, *ino)?.attributes()))
}

/// The name takes the place of the session that keeps the inode. One that has had a name, and is still open or waits for its
/// removal, gets none any more.
fn stop_sustaining(
    transaction: &mut dyn Transaction,
    ino: Ino,
    session: SessionId,
    identity: &mut Identity,
) -> MetaResult<()> {
    let sustained = Key::Sustained(session, ino).encode();
    if !identity.flags.has(InodeFlags::NEVER_NAMED) || transaction.get(&sustained)?.is_none() {
        return Err(Errno::ENOENT.into());
    }
    identity.flags = identity.flags.with(InodeFlags::NEVER_NAMED, false);
    transaction.delete(&sustained);
    Ok(())
}

/// Names of one inode: what every program that counts links in an `int` can hold.
const LINKS_MAX: u32 = i32::MAX as u32;
