//! Quotas made, changed and given up, and what they mean for directories and for what is moved between them.
//!
//! A directory with a quota is a *root*: it and all below it bear its number as their mark (`Identity::quota`). A root's
//! quota names those around it. A new quota marks the root at once; the rest is marked by a walk (`walk_quotas`), a few
//! entries a transaction. The same walk gives up a quota, by putting the mark of the quota around in its place. There is
//! one walk at a time, so that a mark is either the old one or the new one.

use super::charges::{Charges, usage};
use super::{rmdir, session};
use crate::inode;
use crate::keys::{self, Key, UsageField};
use crate::records::{Accounting, Identity, OwnerState, Quota, Rules, encode_walk};
use crate::{Account, DeleteQuota, Limits, MetaReply, MetaResult, QuotaState, SetQuota};
use shoal_kv::{Direction, KvError, KvResult, Transaction};
use shoal_types::{Errno, Ino};

pub(super) fn set(transaction: &mut dyn Transaction, operation: &SetQuota) -> MetaResult<MetaReply> {
    let SetQuota { account, limits } = *operation;
    let mut accounting = load_accounting(transaction)?;
    let before = load(transaction, account)?;
    let quota = match before {
        Some(Quota { state: QuotaState::Removing, .. }) => return Err(Errno::EBUSY.into()),
        Some(Quota { state: QuotaState::Gone, .. }) => return Err(Errno::ENOENT.into()),
        Some(before) => Quota { limits, ..before },
        None => begin(transaction, &mut accounting, account, limits)?,
    };
    transaction.put(&Key::Quota(account).encode(), &quota.encode());
    accounting.volume |= account == Account::Volume;
    accounting.any = true;
    publish(transaction, accounting)?;
    Ok(MetaReply::Done)
}

fn begin(
    transaction: &mut dyn Transaction,
    accounting: &mut Accounting,
    account: Account,
    limits: Limits,
) -> MetaResult<Quota> {
    let mut quota = Quota { state: QuotaState::Active, limits, around: Vec::new() };
    match account {
        Account::Volume => {}
        Account::User(_) | Account::Group(_) if accounting.owners != OwnerState::Off => {}
        Account::User(_) | Account::Group(_) => {
            accounting.owners = OwnerState::Counting;
            // Numbers of earlier times stand in inodes still, so none comes twice.
            accounting.generation = accounting.generation.checked_add(1).ok_or(Errno::ENOSPC)?;
            accounting.counted = 0;
        }
        Account::Directory(root) => {
            quota.state = QuotaState::Counting;
            quota.around = mark_root(transaction, accounting, root)?;
        }
    }
    Ok(quota)
}

/// The directory becomes the first that its quota counts; tells the quotas around it.
fn mark_root(transaction: &mut dyn Transaction, accounting: &mut Accounting, root: Ino) -> MetaResult<Vec<Ino>> {
    let identity = inode::identity(transaction, root)?;
    if !identity.is_directory() {
        return Err(Errno::ENOTDIR.into());
    }
    if identity.nlink == 0 {
        return Err(Errno::ENOENT.into());
    }
    if accounting.walking.is_some() {
        return Err(Errno::EBUSY.into());
    }
    let mut around = Vec::new();
    if let Some(outer) = identity.quota {
        around.push(outer);
        around.extend(load(transaction, Account::Directory(outer))?.map(|quota| quota.around).unwrap_or_default());
    }
    if around.len() >= NESTED_MAX {
        return Err(Errno::EMLINK.into());
    }
    transaction.put(&Key::Identity(root).encode(), &Identity { quota: Some(root), ..identity }.encode());
    transaction.add(&Key::QuotaUsage(Account::Directory(root), UsageField::Inodes).encode(), 1);
    begin_walk(transaction, accounting, root);
    Ok(around)
}

pub(super) fn delete(transaction: &mut dyn Transaction, operation: &DeleteQuota) -> MetaResult<MetaReply> {
    let account = operation.account;
    let mut accounting = load_accounting(transaction)?;
    let Some(quota) = load(transaction, account)? else { return Ok(MetaReply::Done) };
    match account {
        Account::Directory(root) => give_up(transaction, &mut accounting, root, quota)?,
        Account::Volume => {
            transaction.delete(&Key::Quota(account).encode());
            accounting.volume = false;
        }
        Account::User(_) | Account::Group(_) => {
            transaction.delete(&Key::Quota(account).encode());
            if !owner_quotas(transaction)? {
                // With the last limit, counting ends: the marks in inodes are of no generation any more.
                accounting.owners = OwnerState::Off;
                transaction.delete_range(&keys::owner_accounts())?;
            }
        }
    }
    end_of_quotas(transaction, &mut accounting)?;
    publish(transaction, accounting)?;
    Ok(MetaReply::Done)
}

fn give_up(transaction: &mut dyn Transaction, accounting: &mut Accounting, root: Ino, quota: Quota) -> MetaResult<()> {
    if matches!(quota.state, QuotaState::Removing | QuotaState::Gone) {
        return Ok(());
    }
    if accounting.walking.is_some_and(|other| other != root) {
        return Err(Errno::EBUSY.into());
    }
    let identity = inode::identity(transaction, root)?;
    let outer = Identity { quota: quota.around.first().copied(), ..identity };
    transaction.put(&Key::Identity(root).encode(), &outer.encode());
    transaction.add(&Key::QuotaUsage(Account::Directory(root), UsageField::Inodes).encode(), -1);
    transaction.delete_range(&keys::quota_walks(root))?;
    begin_walk(transaction, accounting, root);
    let quota = Quota { state: QuotaState::Removing, limits: Limits::default(), ..quota };
    transaction.put(&Key::Quota(Account::Directory(root)).encode(), &quota.encode());
    Ok(())
}

fn begin_walk(transaction: &mut dyn Transaction, accounting: &mut Accounting, root: Ino) {
    transaction.put(&Key::QuotaWalk(root, root).encode(), &encode_walk(b""));
    accounting.walking = Some(root);
}

/// A root loses its last name: its limits end, and its usage is kept for what is still counted there.
pub(super) fn retire(transaction: &mut dyn Transaction, root: Ino) -> MetaResult<()> {
    let account = Account::Directory(root);
    if let Some(quota) = load(transaction, account)? {
        let gone = Quota { state: QuotaState::Gone, limits: Limits::default(), ..quota };
        transaction.put(&Key::Quota(account).encode(), &gone.encode());
        transaction.delete_range(&keys::quota_walks(root))?;
    }
    Ok(())
}

/// An inode comes from another directory into this one, and is counted with it from now on. `EXDEV` where that would
/// have to change what lies below it, or what other names of it say.
pub(super) fn enter(
    transaction: &mut dyn Transaction,
    charges: &mut Charges,
    (ino, identity): (Ino, &mut Identity),
    from: Ino,
    directory: &Identity,
) -> MetaResult<()> {
    if identity.quota == directory.quota {
        return Ok(());
    }
    let mut bytes = 0;
    if identity.quota == Some(ino) {
        return match load(transaction, Account::Directory(ino))? {
            Some(quota) if quota.around.first() == directory.quota.as_ref() => Ok(()),
            _ => Err(Errno::EXDEV.into()),
        };
    } else if identity.is_directory() {
        if !rmdir::is_empty(transaction, ino)? && !joins_walk(transaction, ino, identity, directory)? {
            return Err(Errno::EXDEV.into());
        }
    } else {
        // With several names it moves only within what is counted together: a walk has not come to it yet.
        if identity.nlink > 1 && inode::identity(transaction, from)?.quota != directory.quota {
            return Err(Errno::EXDEV.into());
        }
        bytes = inode::load(transaction, ino)?.allocated;
    }
    let before = identity.clone();
    identity.quota = directory.quota;
    charges.shift(&before, identity, bytes);
    Ok(())
}

/// While a new quota's tree is being walked, a directory that it has not reached yet may move to where it has been: then
/// it's walked through from there.
fn joins_walk(
    transaction: &mut dyn Transaction,
    ino: Ino,
    identity: &Identity,
    directory: &Identity,
) -> MetaResult<bool> {
    let Some(root) = directory.quota else { return Ok(false) };
    let Some(quota) = load(transaction, Account::Directory(root))? else { return Ok(false) };
    let joins = quota.state == QuotaState::Counting && quota.around.first() == identity.quota.as_ref();
    if joins {
        transaction.put(&Key::QuotaWalk(root, ino).encode(), &encode_walk(b""));
    }
    Ok(joins)
}

pub(super) fn load(transaction: &mut dyn Transaction, account: Account) -> KvResult<Option<Quota>> {
    transaction.get(&Key::Quota(account).encode())?.map(|value| Quota::decode(&value)).transpose()
}

pub(super) fn load_accounting(transaction: &mut dyn Transaction) -> KvResult<Accounting> {
    Accounting::decode(transaction.get(&Key::Accounting.encode())?.as_deref())
}

/// Whether anything is limited still.
pub(super) fn end_of_quotas(transaction: &mut dyn Transaction, accounting: &mut Accounting) -> KvResult<()> {
    let directories = !transaction.scan(&keys::directory_accounts(), 1, Direction::Forward)?.is_empty();
    accounting.any = accounting.volume || accounting.owners != OwnerState::Off || directories;
    Ok(())
}

/// Writes the record, and the rules at the beginning of all sessions' records where they have changed. Every operation
/// reads its session's record, so each runs wholly by the old rules or wholly by the new ones.
pub(super) fn publish(transaction: &mut dyn Transaction, accounting: Accounting) -> MetaResult<()> {
    let before = load_accounting(transaction)?;
    transaction.put(&Key::Accounting.encode(), &accounting.encode());
    if before.rules() == accounting.rules() {
        return Ok(());
    }
    session::rewrite_rules(transaction, |rules| Rules { feed: rules.feed, ..accounting.rules() })
}

fn owner_quotas(transaction: &mut dyn Transaction) -> MetaResult<bool> {
    let mut range = keys::owner_accounts();
    while let Some((key, _)) = transaction.scan(&range, 1, Direction::Forward)?.pop() {
        match Key::parse(&key) {
            Some(Key::Quota(_)) => return Ok(true),
            Some(Key::QuotaUsage(account, _)) => range.start = keys::account(account).end,
            _ => return Err(KvError::Damaged(format!("{} is no account's key", key.escape_ascii())).into()),
        }
    }
    Ok(false)
}

/// Whether anything is counted for a directory.
pub(super) fn is_empty(transaction: &mut dyn Transaction, root: Ino) -> KvResult<bool> {
    Ok(usage(transaction, Account::Directory(root), UsageField::Inodes)? <= 0)
}

/// Quotas around one another: each one more is one more to count in every change below.
const NESTED_MAX: usize = 32;
