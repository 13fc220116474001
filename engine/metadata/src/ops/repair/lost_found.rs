//! `lost+found`: a directory of the root, for root alone, where what has lost its name gets another.

use super::Repair;
use crate::inode;
use crate::keys::{Counter, Key};
use crate::ops::charges::Charges;
use crate::ops::parent::{self, Counts};
use crate::ops::{counter, orphan, quota};
use crate::records::{Dirent, Identity};
use crate::{MetaError, MetaResult};
use shoal_kv::Transaction;
use shoal_types::{Errno, FileKind, Ino, InodeFlags, Name, Timestamp};

/// An inode that no name leads to. One that says itself that it has none was removed, and its removal goes on.
pub(super) fn take(transaction: &mut dyn Transaction, ino: Ino, now: Timestamp) -> MetaResult<Repair> {
    let mut inode = match inode::load(transaction, ino) {
        Err(MetaError::Refused(Errno::ENOENT)) => return Ok(Repair::NotNeeded),
        inode => inode?,
    };
    if inode.identity.nlink == 0 {
        orphan::queue_removal(transaction, ino, now);
        return Ok(Repair::Done("it was removed, and is queued for its removal"));
    }
    let mut charges = Charges::new(quota::load_accounting(transaction)?.rules());
    let (directory, parent) = open(transaction, &mut charges, now)?;
    let name = Name::new(format!("#{}", ino.0).as_bytes()).expect("a number is a name");
    if transaction.get(&Key::dirent(directory, &name).encode())?.is_some() {
        return Ok(Repair::NotPossible("there is something of its number in /lost+found: move that"));
    }
    let before = inode.identity.clone();
    let identity = &mut inode.identity;
    identity.parent = directory;
    identity.nlink = 1;
    identity.flags = identity.flags.with(InodeFlags::TRASHED, false).with(InodeFlags::NEVER_NAMED, false);
    if identity.quota != Some(ino) {
        identity.quota = parent.quota;
    }
    charges.shift(&before, identity, inode.allocated);
    transaction.put(&Key::Identity(ino).encode(), &inode.identity.encode());
    for key in [Key::Origin(ino), Key::Queued(ino)] {
        transaction.delete(&key.encode());
    }
    parent::put_name(transaction, directory, &name, ino, inode.identity.kind);
    parent::touch(transaction, directory, Counts::default().gain(inode.identity.kind), now);
    charges.write(transaction)?;
    Ok(Repair::Done("it is in /lost+found, by its number"))
}

fn open(transaction: &mut dyn Transaction, charges: &mut Charges, now: Timestamp) -> MetaResult<(Ino, Identity)> {
    let name = Name::new(b"lost+found").expect("a name");
    if let Some(entry) = transaction.get(&Key::dirent(Ino::ROOT, &name).encode())? {
        let entry = Dirent::decode(&entry)?;
        return match entry.kind {
            FileKind::Directory => Ok((entry.ino, inode::identity(transaction, entry.ino)?)),
            _ => Err(Errno::ENOTDIR.into()),
        };
    }
    let root = inode::identity(transaction, Ino::ROOT)?;
    let ino = Ino(counter::take(transaction, Counter::NextInode, 1)?.start);
    let identity = Identity {
        mode: 0o700,
        quota: root.quota,
        owners: charges.rules().owners,
        ..Identity::new(FileKind::Directory, Ino::ROOT, now)
    };
    transaction.put(&Key::Identity(ino).encode(), &identity.encode());
    charges.add(&identity, 1, 0);
    parent::put_name(transaction, Ino::ROOT, &name, ino, FileKind::Directory);
    parent::touch(transaction, Ino::ROOT, Counts::default().gain(FileKind::Directory), now);
    Ok((ino, identity))
}
