//! Records of an inode that has no identity: where they hold something, it gets a new one.

use super::Repair;
use crate::MetaResult;
use crate::keys::{self, Accumulator, Key};
use crate::ops::charges::Charges;
use crate::ops::quota;
use crate::records::Identity;
use shoal_kv::{Direction, KvError, Transaction};
use shoal_types::{FileKind, Ino, Timestamp};

pub(super) fn rebuild(transaction: &mut dyn Transaction, ino: Ino, now: Timestamp) -> MetaResult<Repair> {
    if transaction.get(&Key::Identity(ino).encode())?.is_some() {
        return Ok(Repair::NotNeeded);
    }
    let Some(kind) = kind_of(transaction, ino)? else {
        transaction.delete_range(&keys::inode(ino))?;
        return Ok(Repair::Done("the records are removed"));
    };
    let rules = quota::load_accounting(transaction)?.rules();
    let mode = match kind {
        _ if ino == Ino::ROOT => 0o755,
        FileKind::Directory => 0o700,
        FileKind::Symlink => 0o777,
        _ => 0o600,
    };
    let identity = Identity { mode, owners: rules.owners, ..Identity::new(kind, Ino::ROOT, now) };
    let allocated = transaction.get(&Key::Accumulator(ino, Accumulator::Allocated).encode())?;
    let allocated = allocated.map_or(Ok(0), |value| value.try_into().map(i64::from_le_bytes));
    let allocated = allocated.map_err(|_| KvError::Damaged(format!("inode {ino} counts its bytes by no 8 bytes")))?;
    transaction.put(&Key::Identity(ino).encode(), &identity.encode());
    let mut charges = Charges::new(rules);
    charges.add(&identity, 1, allocated);
    charges.write(transaction)?;
    Ok(Repair::Done("it is there again, and belongs to root"))
}

/// By what there is of it: content, a target, entries. `None`: nothing.
fn kind_of(transaction: &mut dyn Transaction, ino: Ino) -> MetaResult<Option<FileKind>> {
    if ino == Ino::ROOT {
        return Ok(Some(FileKind::Directory));
    }
    if transaction.get(&Key::Target(ino).encode())?.is_some() {
        return Ok(Some(FileKind::Symlink));
    }
    for (range, kind) in [(keys::content(ino), FileKind::Regular), (keys::dirents(ino), FileKind::Directory)] {
        if !transaction.scan(&range, 1, Direction::Forward)?.is_empty() {
            return Ok(Some(kind));
        }
    }
    Ok(None)
}
