//! A new file without a name (`O_TMPFILE`): its session keeps it, as it keeps open files whose last name is gone.

use super::charges::{Charges, Fit};
use super::create::{SUPERUSER, inherited_group, put_new};
use super::{acls, orphan, session};
use crate::inode::{self, Inode};
use crate::records::Identity;
use crate::{CreateNameless, MetaReply, MetaResult};
use shoal_kv::Transaction;
use shoal_types::{Errno, FileKind, InodeFlags};

pub(super) fn run(transaction: &mut dyn Transaction, operation: &CreateNameless) -> MetaResult<MetaReply> {
    let CreateNameless { directory, ino, mode, umask, uid, gid, session, now } = *operation;
    let rules = session::require(transaction, session)?;
    let parent = inode::identity(transaction, directory)?;
    if !parent.is_directory() {
        return Err(Errno::ENOTDIR.into());
    }
    if directory.is_trash() {
        return Err(Errno::EPERM.into());
    }
    parent.refuse(InodeFlags::IMMUTABLE)?;
    let identity = Identity {
        mode: mode & 0o7777,
        uid,
        gid: inherited_group(&parent).unwrap_or(gid),
        flags: parent.flags.inherited(FileKind::Regular).with(InodeFlags::NEVER_NAMED, true),
        nlink: 0,
        quota: parent.quota,
        owners: rules.owners,
        ..Identity::new(FileKind::Regular, directory, now)
    };
    let mut inode = Inode::new(ino, identity);
    acls::inherit(transaction, &mut inode, (directory, &parent), umask)?;
    let mut charges = Charges::exempt(rules, uid == SUPERUSER);
    put_new(transaction, &mut charges, ino, &inode.identity);
    charges.settle(transaction, Fit::Whole)?;
    orphan::sustain(transaction, ino, session);
    Ok(MetaReply::Attributes(inode.attributes()))
}
