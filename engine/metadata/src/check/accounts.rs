//! Usage counted anew: what each account should have, from what each inode says it's counted for.

use super::Source;
use super::walk::{ReadEach, for_each};
use crate::inode::{self, Inode};
use crate::keys::{self, Key};
use crate::ops::charges;
use crate::records::{Accounting, Identity, Quota};
use crate::{Account, MetaResult, Metadata};
use shoal_kv::{Direction, KvError};
use shoal_types::Ino;
use std::collections::BTreeMap;

/// What is recorded of an account, and what there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccountCheck {
    pub account: Account,
    pub recorded: Count,
    pub counted: Count,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Count {
    pub bytes: i64,
    pub inodes: i64,
}

/// Looks at every inode, and tells of all accounts that are counted what it finds. At one snapshot where the engine holds
/// one: then the differences are exact, also while others write. Otherwise the volume must be quiet.
pub fn accounts(metadata: &Metadata, progress: &mut dyn FnMut(u64)) -> MetaResult<Vec<AccountCheck>> {
    match metadata.kv().reads_are_local() {
        true => metadata.at_snapshot(|reader| count(reader, progress)),
        false => count(&mut ReadEach(metadata.kv().as_ref()), progress),
    }
}

fn count(source: Source, progress: &mut dyn FnMut(u64)) -> MetaResult<Vec<AccountCheck>> {
    let mut tally = Tally::default();
    let mut next = Ino(0);
    while let Some((key, _)) = source.scan(&keys::inodes_from(next), 1, Direction::Forward)?.pop() {
        let Some(ino) = keys::inode_of(&key) else {
            return Err(KvError::Damaged(format!("{} is no inode's key", key.escape_ascii())).into());
        };
        let pairs = source.scan(&keys::attributes(ino), inode::PAIRS_MAX, Direction::Forward)?;
        if let Some(inode) = Inode::from_pairs(ino, &pairs)? {
            tally.inode(&inode.identity, inode.allocated);
        }
        next = Ino(ino.0 + 1);
        if tally.all.inodes % PROGRESS_EVERY == 0 {
            progress(tally.all.inodes.cast_unsigned());
        }
    }
    let mut accounting = Accounting::default();
    let mut recorded: BTreeMap<Account, Count> = BTreeMap::new();
    let mut failure = Ok(());
    for_each(source, keys::tag(b'q'), &mut |key, value| {
        let result = match Key::parse(key) {
            Some(Key::Accounting) => Accounting::decode(Some(value)).map(|found| accounting = found),
            Some(Key::Quota(account)) => Quota::decode(value).map(|quota| tally.quota(account, quota)),
            Some(Key::QuotaUsage(account, field)) => charges::decode_usage(account, Some(value)).map(|number| {
                recorded.entry(account).or_default().set(field, number);
            }),
            _ => Ok(()),
        };
        if failure.is_ok() {
            failure = result;
        }
    })?;
    failure?;
    for field in [keys::UsageField::Bytes, keys::UsageField::Inodes] {
        let number = charges::usage(source, Account::Volume, field)?;
        recorded.entry(Account::Volume).or_default().set(field, number);
    }
    Ok(tally.compare(&accounting, recorded))
}

/// Sums by what inodes say.
#[derive(Default)]
pub(super) struct Tally {
    all: Count,
    marks: BTreeMap<Ino, Count>,
    /// By generation.
    owners: BTreeMap<(u32, Account), Count>,
    quotas: BTreeMap<Account, Quota>,
}

impl Count {
    pub(super) fn set(&mut self, field: keys::UsageField, number: i64) {
        match field {
            keys::UsageField::Bytes => self.bytes = number,
            keys::UsageField::Inodes => self.inodes = number,
        }
    }

    fn add(&mut self, other: Count) {
        self.bytes += other.bytes;
        self.inodes += other.inodes;
    }
}

impl Tally {
    pub fn inode(&mut self, identity: &Identity, bytes: i64) {
        let one = Count { bytes, inodes: 1 };
        self.all.add(one);
        if let Some(root) = identity.quota {
            self.marks.entry(root).or_default().add(one);
        }
        if identity.owners != 0 {
            for owner in [Account::User(identity.uid), Account::Group(identity.gid)] {
                self.owners.entry((identity.owners, owner)).or_default().add(one);
            }
        }
    }

    pub fn quota(&mut self, account: Account, quota: Quota) {
        self.quotas.insert(account, quota);
    }

    pub fn quotas(&self) -> &BTreeMap<Account, Quota> {
        &self.quotas
    }

    /// Marks of directories that have no quota.
    pub fn unknown_marks(&self) -> impl Iterator<Item = Ino> {
        self.marks.keys().copied().filter(|root| !self.quotas.contains_key(&Account::Directory(*root)))
    }

    pub fn compare(&self, accounting: &Accounting, recorded: BTreeMap<Account, Count>) -> Vec<AccountCheck> {
        let mut counted: BTreeMap<Account, Count> = BTreeMap::from([(Account::Volume, self.all)]);
        for (root, count) in &self.marks {
            let account = Account::Directory(*root);
            counted.entry(account).or_default().add(*count);
            for outer in self.quotas.get(&account).map(|quota| quota.around.as_slice()).unwrap_or_default() {
                counted.entry(Account::Directory(*outer)).or_default().add(*count);
            }
        }
        for ((generation, account), count) in &self.owners {
            if *generation == accounting.rules().owners {
                counted.entry(*account).or_default().add(*count);
            }
        }
        let mut all: BTreeMap<Account, (Count, Count)> = BTreeMap::new();
        recorded.into_iter().for_each(|(account, count)| all.entry(account).or_default().0 = count);
        counted.into_iter().for_each(|(account, count)| all.entry(account).or_default().1 = count);
        all.into_iter().map(|(account, (recorded, counted))| AccountCheck { account, recorded, counted }).collect()
    }
}

const PROGRESS_EVERY: i64 = 1000;
