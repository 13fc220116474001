//! Accounts: what bytes and inodes are counted for, and limited by quotas.

use serde::{Deserialize, Serialize};
use shoal_types::Ino;
use std::fmt;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Account {
    /// Everything there is. Always counted.
    Volume,
    /// A directory and all that lies below it. Counted from the moment on that it has a quota.
    Directory(Ino),
    /// What a user owns. Counted while any user or group has a quota.
    User(u32),
    Group(u32),
}

/// The most that an account may have; `None` is no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Limits {
    pub bytes: Option<u64>,
    pub inodes: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum QuotaState {
    /// Its usage is what the account has.
    Active = 1,
    /// A new quota: what was in the directory before it is still being counted.
    Counting = 2,
    /// Given up: what it has counted is being handed to the quota around it.
    Removing = 3,
    /// The directory is gone, or the quota given up; files that are removed and still there are counted here.
    Gone = 4,
}

/// A quota as it is now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QuotaInfo {
    pub account: Account,
    /// `None`: counted and not limited.
    pub state: Option<QuotaState>,
    pub limits: Limits,
    pub usage: crate::Usage,
}

impl QuotaState {
    pub fn from_u8(byte: u8) -> Option<Self> {
        use QuotaState::*;
        [Active, Counting, Removing, Gone].into_iter().find(|state| *state as u8 == byte)
    }
}

impl Limits {
    pub fn is_none(&self) -> bool {
        *self == Limits::default()
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Account::Volume => f.write_str("the volume"),
            Account::Directory(ino) => write!(f, "directory {ino}"),
            Account::User(uid) => write!(f, "user {uid}"),
            Account::Group(gid) => write!(f, "group {gid}"),
        }
    }
}
