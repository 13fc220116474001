//! Sets an extended attribute, and the change time.

use super::xattrs::Xattrs;
use super::{acls, session};
use crate::inode;
use crate::keys::Key;
use crate::{MetaReply, MetaResult, SetXattr};
use shoal_kv::Transaction;
use shoal_types::InodeFlags;

pub(super) fn run(transaction: &mut dyn Transaction, operation: &SetXattr) -> MetaResult<MetaReply> {
    let SetXattr { ino, name, value, mode, drop_setgid, session, now } = operation;
    session::require(transaction, *session)?;
    let mut identity = inode::identity(transaction, *ino)?;
    identity.refuse(InodeFlags::PROTECTION)?;
    let changed = match name.is_acl() {
        true => acls::set(transaction, *ino, &mut identity, (name, value), *drop_setgid)?,
        false => {
            let mut xattrs = Xattrs::load(transaction, *ino, &identity)?;
            xattrs.set(transaction, name, value, *mode)?;
            xattrs.save(transaction, &mut identity);
            true
        }
    };
    if changed {
        identity.ctime = *now;
        transaction.put(&Key::Identity(*ino).encode(), &identity.encode());
    }
    Ok(MetaReply::Attributes(inode::load_unchecked(transaction, *ino)?.attributes()))
}
