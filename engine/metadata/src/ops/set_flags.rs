//! Sets the flags that users set (`chattr(1)`). Who may is the kernel's check.
//!
//! The first inode of a volume that is protected leaves a mark that stays: as long as there is none, trees can be removed
//! as a whole without a look into them.

use super::session;
use crate::inode;
use crate::keys::Key;
use crate::{MetaReply, MetaResult, SetFlags};
use shoal_kv::{KvResult, Reader, Transaction};
use shoal_types::{Errno, InodeFlags};

pub(super) fn run(transaction: &mut dyn Transaction, operation: &SetFlags) -> MetaResult<MetaReply> {
    let SetFlags { ino, flags, decided, session, now } = *operation;
    session::require(transaction, session)?;
    let mut identity = inode::identity(transaction, ino)?;
    let decided = decided.only(InodeFlags::BY_USERS);
    if !flags.only(decided).suit(identity.kind) {
        return Err(Errno::EOPNOTSUPP.into());
    }
    let flags = InodeFlags(identity.flags.without(decided).0 | flags.only(decided).0);
    if flags.has(InodeFlags::IMMUTABLE) && flags != identity.flags {
        identity.refuse(InodeFlags::IMMUTABLE)?;
    }
    if flags.any(InodeFlags::PROTECTION) && !has_protected(transaction)? {
        transaction.put(&Key::Protected.encode(), PROTECTED);
    }
    identity.flags = flags;
    identity.ctime = now;
    transaction.put(&Key::Identity(ino).encode(), &identity.encode());
    Ok(MetaReply::Attributes(inode::load_unchecked(transaction, ino)?.attributes()))
}

/// Whether there is, or ever was, an inode that is immutable or append-only.
pub(crate) fn has_protected(reader: &mut dyn Reader) -> KvResult<bool> {
    Ok(reader.get(&Key::Protected.encode())?.is_some())
}

/// A format byte alone.
const PROTECTED: &[u8] = &[1];
