//! What is limited, and how much of it is used.

use crate::inode;
use crate::keys::{self, Key, UsageField};
use crate::ops::charges;
use crate::records::{Accounting, Quota};
use crate::{Account, Limits, MetaResult, Metadata, QuotaInfo, QuotaState, Usage};
use shoal_kv::{Direction, KvResult, Reader};
use shoal_types::Ino;
use std::collections::BTreeSet;

impl Metadata {
    /// Whether anything is limited, what is counted, and what there is left to count.
    pub fn accounting(&self) -> MetaResult<Accounting> {
        self.at_snapshot(|reader| Ok(Accounting::decode(reader.get(&Key::Accounting.encode())?.as_deref())?))
    }

    /// All accounts that are limited or counted, the volume first; the volume is told in any case.
    pub fn quotas(&self) -> MetaResult<Vec<QuotaInfo>> {
        self.at_snapshot(|reader| {
            let mut accounts = BTreeSet::from([Account::Volume]);
            let mut range = keys::tag(b'q');
            while let Some((key, _)) = reader.scan(&range, 1, Direction::Forward)?.pop() {
                range = keys::behind(&key, &range);
                if let Some(Key::Quota(account) | Key::QuotaUsage(account, _)) = Key::parse(&key) {
                    range.start = keys::account(account).end;
                    accounts.insert(account);
                }
            }
            Ok(accounts.into_iter().map(|account| info(reader, account)).collect::<KvResult<_>>()?)
        })
    }

    /// One account, whether it's limited or not.
    pub fn quota(&self, account: Account) -> MetaResult<QuotaInfo> {
        self.at_snapshot(|reader| Ok(info(reader, account)?))
    }

    /// Everything that an inode is counted for: the volume, directories from the innermost outwards, its user and group.
    pub fn quotas_of(&self, ino: Ino) -> MetaResult<Vec<QuotaInfo>> {
        self.at_snapshot(|reader| {
            let identity = inode::identity(reader, ino)?;
            let accounting = Accounting::decode(reader.get(&Key::Accounting.encode())?.as_deref())?;
            let mut found = vec![info(reader, Account::Volume)?];
            if let Some(root) = identity.quota {
                let account = Account::Directory(root);
                let around = load(reader, account)?.map(|quota| quota.around).unwrap_or_default();
                found.push(info(reader, account)?);
                for outer in around {
                    found.push(info(reader, Account::Directory(outer))?);
                }
            }
            if identity.owners != 0 && identity.owners == accounting.rules().owners {
                found.push(info(reader, Account::User(identity.uid))?);
                found.push(info(reader, Account::Group(identity.gid))?);
            }
            Ok(found)
        })
    }
}

fn info(reader: &mut dyn Reader, account: Account) -> KvResult<QuotaInfo> {
    let quota = load(reader, account)?;
    let mut count = |field| Ok::<_, shoal_kv::KvError>(charges::usage(reader, account, field)?.max(0).cast_unsigned());
    let usage = Usage { bytes: count(UsageField::Bytes)?, inodes: count(UsageField::Inodes)? };
    let state: Option<QuotaState> = quota.as_ref().map(|quota| quota.state);
    let limits = quota.map_or(Limits::default(), |quota| quota.limits);
    Ok(QuotaInfo { account, state, limits, usage })
}

fn load(reader: &mut dyn Reader, account: Account) -> KvResult<Option<Quota>> {
    reader.get(&Key::Quota(account).encode())?.map(|value| Quota::decode(&value)).transpose()
}
