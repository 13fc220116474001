//! Removes an extended attribute, and sets the change time.

use super::session;
use super::xattrs::Xattrs;
use crate::inode;
use crate::keys::Key;
use crate::{MetaReply, MetaResult, RemoveXattr};
use shoal_kv::Transaction;
use shoal_types::{Errno, InodeFlags, XattrName};

pub(super) fn run(transaction: &mut dyn Transaction, operation: &RemoveXattr) -> MetaResult<MetaReply> {
    let RemoveXattr { ino, name, session, now } = operation;
    session::require(transaction, *session)?;
    let mut identity = inode::identity(transaction, *ino)?;
    // An append takes the capability away, and is let in.
    let appended = name.is(XattrName::CAPABILITY);
    identity.refuse(if appended { InodeFlags::IMMUTABLE } else { InodeFlags::PROTECTION })?;
    let xattrs = Xattrs::load(transaction, *ino, &identity)?;
    match xattrs.remove_and_save(transaction, &mut identity, name) {
        true => {
            identity.ctime = *now;
            transaction.put(&Key::Identity(*ino).encode(), &identity.encode());
        }
        false if name.is_acl() => {}
        false => return Err(Errno::ENODATA.into()),
    }
    Ok(MetaReply::Attributes(inode::load_unchecked(transaction, *ino)?.attributes()))
}
