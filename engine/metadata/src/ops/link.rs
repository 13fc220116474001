//! One name more for an inode that has one.

use super::parent::{self, Counts};
use crate::inode;
use crate::keys::Key;
use crate::{Link, MetaReply, MetaResult};
use shoal_kv::Transaction;
use shoal_types::Errno;

pub(super) fn run(transaction: &mut dyn Transaction, operation: &Link) -> MetaResult<MetaReply> {
    let Link { ino, parent, name, session, now } = operation;
    let mut identity = inode::identity(transaction, *ino)?;
    parent::require_free_name(transaction, *session, *parent, name)?;
    match identity.nlink {
        _ if identity.is_directory() => return Err(Errno::EPERM.into()),
        // Nameless and still open, or waiting for its removal: from there is no way back.
        0 => return Err(Errno::ENOENT.into()),
        LINKS_MAX.. => return Err(Errno::EMLINK.into()),
        _ => identity.nlink += 1,
    }
    identity.ctime = *now;
    transaction.put(&Key::Identity(*ino).encode(), &identity.encode());
    parent::put_name(transaction, *parent, name, *ino, identity.kind);
    parent::touch(transaction, *parent, Counts::default().gain(identity.kind), *now);
    Ok(MetaReply::Attributes(inode::load_unchecked(transaction, *ino)?.attributes()))
}

/// Names of one inode: what every program that counts links in an `int` can hold.
const LINKS_MAX: u32 = i32::MAX as u32;
