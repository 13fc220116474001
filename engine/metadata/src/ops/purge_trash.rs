//! One step of emptying the trash: some entries of its oldest hour, and at the end the hour itself.

use super::charges::Charges;
use super::parent::{self, Counts};
use super::{orphan, quota, remove_tree, trash};
use crate::keys::{self, Key};
use crate::records::Identity;
use crate::{Emptied, MetaReply, MetaResult, PurgeTrash};
use shoal_kv::{Direction, KvError, Transaction};
use shoal_types::{FileKind, Ino, Timestamp};

pub(super) fn run(transaction: &mut dyn Transaction, operation: &PurgeTrash) -> MetaResult<MetaReply> {
    let PurgeTrash { before, now } = *operation;
    // Numbers of hours are the last there are, in the order of time.
    let hours = keys::inodes_from(Ino(Ino::TRASH.0 + 1));
    let Some((key, _)) = transaction.scan(&hours, 1, Direction::Forward)?.pop() else { return Ok(done()) };
    let hour =
        keys::inode_of(&key).ok_or_else(|| KvError::Damaged(format!("{} is no inode's key", key.escape_ascii())))?;
    if hour >= trash::hour_at(before) {
        return Ok(done());
    }
    let mut charges = Charges::new(quota::load_accounting(transaction)?.rules());
    let (mut inodes, more) = remove_tree::take_apart(transaction, hour, now)?;
    if !more {
        remove_hour(transaction, &mut charges, hour, now)?;
    }
    inodes.push(hour);
    charges.write(transaction)?;
    Ok(MetaReply::Emptied(Emptied { done: false, inodes }))
}

fn remove_hour(transaction: &mut dyn Transaction, charges: &mut Charges, hour: Ino, now: Timestamp) -> MetaResult<()> {
    if let Some(value) = transaction.get(&Key::Identity(hour).encode())? {
        orphan::delete_inode(transaction, charges, hour, &Identity::decode(&value)?)?;
    }
    parent::delete_name(transaction, Ino::TRASH, &trash::hour_name(hour));
    parent::touch(transaction, Ino::TRASH, Counts::default().lose(FileKind::Directory), now);
    Ok(())
}

fn done() -> MetaReply {
    MetaReply::Emptied(Emptied { done: true, inodes: Vec::new() })
}
