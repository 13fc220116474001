//! A new inode of any kind under a free name.
//!
//! Of the parent only its identity is read, so that creates of different names in one directory never conflict.

use super::charges::{Charges, Fit};
use super::{acls, parent};
use crate::inode::Inode;
use crate::keys::{Accumulator, Key};
use crate::records::{Identity, Rules, encode_content};
use crate::{Create, MetaReply, MetaResult};
use shoal_kv::Transaction;
use shoal_types::{Errno, FileKind, FsResult, Ino, Timestamp, Whiteout};

pub(super) fn run(transaction: &mut dyn Transaction, operation: &Create) -> MetaResult<MetaReply> {
    let Create { parent, name, ino, kind, target, session, now, .. } = operation;
    check_target(*kind, target)?;
    let (rules, directory) = parent::require_free_name(transaction, *session, *parent, name)?;
    let mut inode = Inode::new(*ino, new_identity(operation, &directory, rules));
    acls::inherit(transaction, &mut inode, (*parent, &directory), operation.umask)?;
    let mut charges = Charges::exempt(rules, operation.uid == SUPERUSER);
    put_new(transaction, &mut charges, *ino, &inode.identity);
    charges.settle(transaction, Fit::Whole)?;
    if *kind == FileKind::Symlink {
        inode.length = target.len() as u64;
        transaction.put(&Key::Target(*ino).encode(), &encode_content(target));
        transaction.max(&Key::Accumulator(*ino, Accumulator::Length).encode(), inode.length);
    }
    parent::put_name(transaction, *parent, name, *ino, *kind);
    parent::touch(transaction, *parent, parent::Counts::default().gain(*kind), *now);
    Ok(MetaReply::Attributes(inode.attributes()))
}

fn check_target(kind: FileKind, target: &[u8]) -> FsResult<()> {
    match kind {
        FileKind::Symlink if target.is_empty() => Err(Errno::ENOENT),
        FileKind::Symlink if target.len() > TARGET_BYTES_MAX => Err(Errno::ENAMETOOLONG),
        _ => Ok(()),
    }
}

fn new_identity(operation: &Create, directory: &Identity, rules: Rules) -> Identity {
    let group = inherited_group(directory);
    let mode = match operation.kind {
        FileKind::Symlink => 0o777,
        FileKind::Directory if group.is_some() => operation.mode | SETGID,
        _ => operation.mode,
    };
    let device = matches!(operation.kind, FileKind::CharDevice | FileKind::BlockDevice);
    Identity {
        mode: mode & 0o7777,
        uid: operation.uid,
        gid: group.unwrap_or(operation.gid),
        rdev: if device { operation.rdev } else { 0 },
        quota: directory.quota,
        owners: rules.owners,
        flags: directory.flags.inherited(operation.kind),
        ..Identity::new(operation.kind, operation.parent, operation.now)
    }
}

/// The mark of a name that a lower layer's entry must not shine through: a character device 0:0, with no permissions.
/// Nobody asks for its lists, but what is made in a directory inherits them.
pub(super) fn put_whiteout(
    transaction: &mut dyn Transaction,
    charges: &mut Charges,
    whiteout: Whiteout,
    parent: Ino,
    directory: &Identity,
    now: Timestamp,
) -> MetaResult<()> {
    let Whiteout { ino, uid, gid } = whiteout;
    let gid = inherited_group(directory).unwrap_or(gid);
    let (quota, owners) = (directory.quota, charges.rules().owners);
    let flags = directory.flags.inherited(FileKind::CharDevice);
    let identity = Identity { uid, gid, quota, owners, flags, ..Identity::new(FileKind::CharDevice, parent, now) };
    let mut inode = Inode::new(ino, identity);
    acls::inherit(transaction, &mut inode, (parent, directory), NO_UMASK)?;
    put_new(transaction, charges, ino, &inode.identity);
    Ok(())
}

/// What a new inode's group is, where the directory decides it.
pub(super) fn inherited_group(directory: &Identity) -> Option<u32> {
    (directory.mode & SETGID != 0).then_some(directory.gid)
}

pub(super) fn put_new(transaction: &mut dyn Transaction, charges: &mut Charges, ino: Ino, identity: &Identity) {
    transaction.put(&Key::Identity(ino).encode(), &identity.encode());
    charges.add(identity, 1, 0);
}

const SETGID: u16 = 0o2000;
pub(super) const SUPERUSER: u32 = 0;
const NO_UMASK: u16 = 0;
/// The kernel's `PATH_MAX` without the final NUL.
const TARGET_BYTES_MAX: usize = 4095;
