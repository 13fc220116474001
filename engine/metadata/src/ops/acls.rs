//! Access control lists and the mode, which show the same: what a new inode inherits, and what each change of the one does
//! to the other (`acl(5)`; POSIX.1e draft 17, 23.1).

use super::xattrs::Xattrs;
use crate::MetaResult;
use crate::inode::Inode;
use crate::keys::Key;
use crate::records::{Identity, damaged, decode_content, encode_content};
use shoal_kv::Transaction;
use shoal_types::{Acl, AclTag, Errno, FileKind, Ino, InodeFlags, XattrMode, XattrName};

/// The lists and the final mode of a new inode: those of its directory's default list, or the mode less the umask. Of a
/// directory without a default list, nothing is read.
pub(super) fn inherit(
    transaction: &mut dyn Transaction,
    inode: &mut Inode,
    (parent, directory): (Ino, &Identity),
    umask: u16,
) -> MetaResult<()> {
    let identity = &mut inode.identity;
    if identity.kind == FileKind::Symlink {
        return Ok(());
    }
    if !directory.flags.has(InodeFlags::DEFAULT_ACL) {
        identity.mode &= !(umask & 0o777);
        return Ok(());
    }
    let default = stored(transaction, parent, XattrName::DEFAULT_ACL)?;
    let mut access = default.clone();
    set_classes(&mut access, default.mode() & identity.mode);
    identity.mode = identity.mode & !0o777 | access.mode();
    let mut xattrs = Xattrs::none(inode.ino);
    if !access.is_mode_only() {
        put(transaction, &mut xattrs, XattrName::ACCESS_ACL, &access)?;
    }
    if identity.is_directory() {
        put(transaction, &mut xattrs, XattrName::DEFAULT_ACL, &default)?;
    }
    xattrs.save(transaction, identity);
    Ok(())
}

/// The mode has been set: the access list, if there is one, shows it too.
pub(super) fn take_mode(transaction: &mut dyn Transaction, ino: Ino, identity: &Identity) -> MetaResult<()> {
    if !identity.flags.has(InodeFlags::ACCESS_ACL) {
        return Ok(());
    }
    let mut access = stored(transaction, ino, XattrName::ACCESS_ACL)?;
    set_classes(&mut access, identity.mode);
    transaction.put(&key(ino, XattrName::ACCESS_ACL), &encode_content(&access.to_bytes()));
    Ok(())
}

/// Sets one of the two lists, from the value of its attribute. Whether anything has changed by it.
pub(super) fn set(
    transaction: &mut dyn Transaction,
    ino: Ino,
    identity: &mut Identity,
    (name, value): (&XattrName, &[u8]),
    drop_setgid: bool,
) -> MetaResult<bool> {
    if identity.kind == FileKind::Symlink {
        return Err(Errno::EOPNOTSUPP.into());
    }
    let acl = Acl::parse(value)?;
    let mut xattrs = Xattrs::load(transaction, ino, identity)?;
    let Some(acl) = acl else { return Ok(xattrs.remove_and_save(transaction, identity, name)) };
    if name.is(XattrName::DEFAULT_ACL) {
        if !identity.is_directory() {
            return Err(Errno::EACCES.into());
        }
        xattrs.set(transaction, name, &acl.to_bytes(), XattrMode::Any)?;
        xattrs.save(transaction, identity);
        return Ok(true);
    }
    let before = identity.mode;
    identity.mode = identity.mode & !0o777 | acl.mode();
    if drop_setgid {
        identity.mode &= !SETGID;
    }
    if acl.is_mode_only() {
        return Ok(xattrs.remove_and_save(transaction, identity, name) || identity.mode != before);
    }
    xattrs.set(transaction, name, &acl.to_bytes(), XattrMode::Any)?;
    xattrs.save(transaction, identity);
    Ok(true)
}

fn put(transaction: &mut dyn Transaction, xattrs: &mut Xattrs, name: &'static str, acl: &Acl) -> MetaResult<()> {
    xattrs.set(transaction, &XattrName::known(name), &acl.to_bytes(), XattrMode::Any)
}

/// The owner's, the group class's and the others' permissions, from the mode.
fn set_classes(acl: &mut Acl, mode: u16) {
    acl.set_permissions(AclTag::Owner, mode >> 6);
    acl.set_permissions(acl.group_class(), mode >> 3);
    acl.set_permissions(AclTag::Other, mode);
}

/// A list that the inode's flags tell of.
fn stored(transaction: &mut dyn Transaction, ino: Ino, name: &'static str) -> MetaResult<Acl> {
    let missing = || damaged("an access control list", format!("inode {ino} has no valid {name}; see fsck"));
    let value = decode_content(transaction.get(&key(ino, name))?.ok_or_else(missing)?)?;
    Ok(Acl::parse(&value).ok().flatten().ok_or_else(missing)?)
}

fn key(ino: Ino, name: &'static str) -> Vec<u8> {
    Key::Xattr(ino, name.as_bytes()).encode()
}

const SETGID: u16 = 0o2000;
