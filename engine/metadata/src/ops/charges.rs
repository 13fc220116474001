//! Who keeps the books of usage: what a transaction adds to accounts and takes from them, and whether limits allow it.
//!
//! Invariant: an account's usage is the sum over all inodes that are counted for it. Each inode says in its identity what
//! it is counted for (`quota`, `owners`), and whoever changes its allocated bytes, its owner or its existence reads the
//! identity in the same transaction. So an inode that is marked by one transaction and changed by another is counted once.
//!
//! Where there are no quotas nothing is read here. A limit is held against usage that is read without a conflict while
//! there is plenty of room, so that writers under one quota don't conflict; near the limit it's read with one.

use crate::keys::{self, Counter, Key, UsageField};
use crate::records::{Accounting, Identity, Quota, Rules};
use crate::{Account, Limits, MetaResult, QuotaState};
use shoal_kv::{KvError, KvResult, Reader, Transaction};
use shoal_types::{Errno, Ino};
use std::collections::BTreeMap;

#[derive(Default)]
pub(super) struct Charges {
    rules: Rules,
    /// On behalf of the superuser, whom limits of users and groups don't bind.
    exempt: bool,
    /// By the innermost directory with a quota until `spread`; from then on with those around it.
    changes: BTreeMap<Account, Change>,
    /// Of all directories among `changes`.
    quotas: BTreeMap<Ino, Quota>,
    spread: bool,
}

#[derive(Clone, Copy, Default)]
struct Change {
    bytes: i64,
    inodes: i64,
}

/// How far bytes must fit below a limit. Inodes always have to fit wholly.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    Whole,
    /// Bytes that were acknowledged before may go beyond the limit once, if it has not been reached.
    OneFlush,
}

impl Charges {
    pub fn new(rules: Rules) -> Self {
        Charges { rules, ..Charges::default() }
    }

    pub fn exempt(rules: Rules, exempt: bool) -> Self {
        Charges { rules, exempt, ..Charges::default() }
    }

    pub fn rules(&self) -> Rules {
        self.rules
    }

    /// An inode comes (1) or goes (-1), or its allocated bytes change.
    pub fn add(&mut self, identity: &Identity, inodes: i64, bytes: i64) {
        self.change(Account::Volume, inodes, bytes);
        if let Some(root) = identity.quota {
            self.change(Account::Directory(root), inodes, bytes);
        }
        if identity.owners != 0 && identity.owners == self.rules.owners {
            self.change(Account::User(identity.uid), inodes, bytes);
            self.change(Account::Group(identity.gid), inodes, bytes);
        }
    }

    /// An inode that has so many bytes is counted as `new` says from now on.
    pub fn shift(&mut self, old: &Identity, new: &Identity, bytes: i64) {
        self.add(old, -1, -bytes);
        self.add(new, 1, bytes);
    }

    pub fn change(&mut self, account: Account, inodes: i64, bytes: i64) {
        assert!(!self.spread, "changes are complete before they are held against limits");
        let change = self.changes.entry(account).or_default();
        change.inodes += inodes;
        change.bytes += bytes;
    }

    /// `EDQUOT`, or `ENOSPC` for the volume, where a limit stands against it.
    pub fn check(&mut self, transaction: &mut dyn Transaction, fit: Fit) -> MetaResult<()> {
        self.spread(transaction)?;
        for (account, change) in &self.changes {
            if change.bytes <= 0 && change.inodes <= 0 {
                continue;
            }
            let (limits, refusal) = match *account {
                Account::Volume if !self.rules.volume => continue,
                Account::User(_) | Account::Group(_) if self.exempt => continue,
                Account::Directory(root) => (self.quotas.get(&root).map(|quota| quota.limits), Errno::EDQUOT),
                Account::Volume => (read_limits(transaction, *account)?, Errno::ENOSPC),
                Account::User(_) | Account::Group(_) => (read_limits(transaction, *account)?, Errno::EDQUOT),
            };
            if !fits(transaction, *account, limits.unwrap_or_default(), *change, fit)? {
                return Err(refusal.into());
            }
        }
        Ok(())
    }

    /// Writes it all down, whatever the limits say.
    pub fn write(mut self, transaction: &mut dyn Transaction) -> MetaResult<()> {
        self.spread(transaction)?;
        for (account, change) in self.changes {
            let gone = matches!(account, Account::Directory(root)
                if self.quotas.get(&root).is_some_and(|quota| quota.state == QuotaState::Gone));
            if gone && change.inodes < 0 && usage(transaction, account, UsageField::Inodes)? + change.inodes <= 0 {
                // The last that was counted for a directory that is no more.
                transaction.delete_range(&keys::account(account))?;
                continue;
            }
            for (field, amount) in [(UsageField::Bytes, change.bytes), (UsageField::Inodes, change.inodes)] {
                if amount != 0 {
                    transaction.add(&usage_key(account, field), amount);
                }
            }
        }
        Ok(())
    }

    pub fn settle(mut self, transaction: &mut dyn Transaction, fit: Fit) -> MetaResult<()> {
        self.check(transaction, fit)?;
        self.write(transaction)
    }

    /// What is counted for a directory's quota is counted for all those around it.
    fn spread(&mut self, transaction: &mut dyn Transaction) -> MetaResult<()> {
        if std::mem::replace(&mut self.spread, true) {
            return Ok(());
        }
        let innermost: Vec<(Ino, Change)> = self.changes.iter().filter_map(directory).collect();
        self.load(transaction, innermost.iter().map(|(root, _)| *root).collect())?;
        let mut around = Vec::new();
        for (root, change) in innermost {
            for outer in self.quotas.get(&root).map(|quota| quota.around.clone()).unwrap_or_default() {
                let sum = self.changes.entry(Account::Directory(outer)).or_default();
                sum.bytes += change.bytes;
                sum.inodes += change.inodes;
                around.push(outer);
            }
        }
        self.load(transaction, around)
    }

    fn load(&mut self, transaction: &mut dyn Transaction, mut roots: Vec<Ino>) -> MetaResult<()> {
        roots.sort_unstable();
        roots.dedup();
        roots.retain(|root| !self.quotas.contains_key(root));
        if roots.is_empty() {
            return Ok(());
        }
        let keys: Vec<Vec<u8>> = roots.iter().map(|root| Key::Quota(Account::Directory(*root)).encode()).collect();
        let values = transaction.get_many(&keys.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
        for (root, value) in roots.into_iter().zip(values) {
            // One that is missing is damage; the check finds it, and programs go on.
            if let Some(value) = value {
                self.quotas.insert(root, Quota::decode(&value)?);
            }
        }
        Ok(())
    }
}

/// The rules for who acts without a session; read only where the inode is counted by owner.
pub(super) fn rules_without_session(transaction: &mut dyn Transaction, identity: &Identity) -> MetaResult<Rules> {
    if identity.owners == 0 {
        return Ok(Rules::default());
    }
    Ok(Accounting::decode(transaction.get(&Key::Accounting.encode())?.as_deref())?.rules())
}

/// One field of an account's usage as the transaction sees it.
pub(crate) fn usage(reader: &mut dyn Reader, account: Account, field: UsageField) -> KvResult<i64> {
    decode_usage(account, reader.get(&usage_key(account, field))?.as_deref())
}

pub(crate) fn usage_key(account: Account, field: UsageField) -> Vec<u8> {
    match (account, field) {
        (Account::Volume, UsageField::Bytes) => Key::Counter(Counter::UsedBytes).encode(),
        (Account::Volume, UsageField::Inodes) => Key::Counter(Counter::UsedInodes).encode(),
        _ => Key::QuotaUsage(account, field).encode(),
    }
}

pub(crate) fn decode_usage(account: Account, value: Option<&[u8]>) -> KvResult<i64> {
    let Some(value) = value else { return Ok(0) };
    let bytes = value
        .try_into()
        .map_err(|_| KvError::Damaged(format!("the usage of {account} is {} bytes long instead of 8", value.len())))?;
    Ok(i64::from_le_bytes(bytes))
}

fn directory((account, change): (&Account, &Change)) -> Option<(Ino, Change)> {
    match account {
        Account::Directory(root) => Some((*root, *change)),
        _ => None,
    }
}

fn read_limits(transaction: &mut dyn Transaction, account: Account) -> KvResult<Option<Limits>> {
    let value = transaction.get(&Key::Quota(account).encode())?;
    value.map(|value| Ok(Quota::decode(&value)?.limits)).transpose()
}

fn fits(
    transaction: &mut dyn Transaction,
    account: Account,
    limits: Limits,
    change: Change,
    fit: Fit,
) -> KvResult<bool> {
    let fields = [(UsageField::Bytes, limits.bytes, change.bytes), (UsageField::Inodes, limits.inodes, change.inodes)];
    for (field, limit, amount) in fields {
        let Some(limit) = limit.filter(|_| amount > 0) else { continue };
        let (limit, amount) = (i128::from(limit), i128::from(amount));
        let key = usage_key(account, field);
        let mut used = i128::from(decode_usage(account, transaction.get_unchecked(&key)?.as_deref())?);
        if limit - used < amount * AT_ONCE_MAX {
            used = i128::from(decode_usage(account, transaction.get(&key)?.as_deref())?);
        }
        let over = match (fit, field) {
            (Fit::OneFlush, UsageField::Bytes) => used >= limit,
            _ => used + amount > limit,
        };
        if over {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Transactions of one size that may run at once without seeing each other, before a limit is near.
const AT_ONCE_MAX: i128 = 256;
