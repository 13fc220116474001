//! Sets what is given, and the change time.

use super::charges::{Charges, Fit};
use super::session;
use crate::inode;
use crate::keys::{Accumulator, Key};
use crate::{MetaReply, MetaResult, SetAttributes};
use shoal_kv::Transaction;

pub(super) fn run(transaction: &mut dyn Transaction, operation: &SetAttributes) -> MetaResult<MetaReply> {
    let SetAttributes { ino, mode, uid, gid, atime, mtime, exempt, session, now } = operation;
    let rules = session::require(transaction, *session)?;
    let before = inode::identity(transaction, *ino)?;
    let mut identity = before.clone();
    identity.mode = mode.map_or(identity.mode, |mode| mode & 0o7777);
    identity.uid = uid.unwrap_or(identity.uid);
    identity.gid = gid.unwrap_or(identity.gid);
    identity.atime = atime.unwrap_or(identity.atime);
    identity.ctime = *now;
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
