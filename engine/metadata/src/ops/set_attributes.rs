//! Sets what is given, and the change time.
//!
//! A change of content or owner takes set-id bits and the capability away, in the transaction that makes the change or in
//! one of its own before it.

use super::charges::{Charges, Fit};
use super::xattrs::Xattrs;
use super::{acls, session};
use crate::inode;
use crate::keys::{Accumulator, Key};
use crate::records::Identity;
use crate::{MetaReply, MetaResult, SetAttributes};
use shoal_kv::Transaction;
use shoal_types::{Ino, InodeFlags, XattrName, without_set_id};

pub(super) fn run(transaction: &mut dyn Transaction, operation: &SetAttributes) -> MetaResult<MetaReply> {
    let SetAttributes { ino, mode, uid, gid, atime, mtime, drop_privileges, exempt, despite, session, now } = operation;
    let rules = session::require(transaction, *session)?;
    let before = inode::identity(transaction, *ino)?;
    before.refuse(InodeFlags::PROTECTION.without(*despite))?;
    let mut identity = before.clone();
    if let Some(mode) = mode {
        identity.mode = mode & 0o7777;
        acls::take_mode(transaction, *ino, &identity)?;
    }
    if *drop_privileges {
        drop_privileges_of(transaction, *ino, &mut identity)?;
    }
    identity.uid = uid.unwrap_or(identity.uid);
    identity.gid = gid.unwrap_or(identity.gid);
    identity.atime = atime.unwrap_or(identity.atime);
    identity.ctime = *now;
    if atime.is_some() {
        transaction.delete(&Key::Accumulator(*ino, Accumulator::Atime).encode());
    }
    if let Some(mtime) = mtime {
        identity.mtime = *mtime;
        // What was accumulated is over; the next change of the content begins anew, however far ahead `mtime` lies.
        transaction.delete(&Key::Accumulator(*ino, Accumulator::Mtime).encode());
    }
    transaction.put(&Key::Identity(*ino).encode(), &identity.encode());
    if before.owners != 0 && (before.uid, before.gid) != (identity.uid, identity.gid) {
        let mut charges = Charges::exempt(rules, *exempt);
        charges.shift(&before, &identity, inode::load(transaction, *ino)?.allocated);
        charges.settle(transaction, Fit::Whole)?;
    }
    Ok(MetaReply::Attributes(inode::load_unchecked(transaction, *ino)?.attributes()))
}

fn drop_privileges_of(transaction: &mut dyn Transaction, ino: Ino, identity: &mut Identity) -> MetaResult<()> {
    if !identity.is_directory() {
        identity.mode = without_set_id(identity.mode);
    }
    if identity.flags.has(InodeFlags::CAPABILITY) {
        let mut xattrs = Xattrs::load(transaction, ino, identity)?;
        xattrs.remove(transaction, &XattrName::known(XattrName::CAPABILITY));
        xattrs.save(transaction, identity);
    }
    Ok(())
}
