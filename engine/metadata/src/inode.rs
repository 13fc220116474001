//! An inode as `stat` sees it: its identity with its accumulators.

use crate::MetaResult;
use crate::keys::{self, Accumulator, Key};
use crate::records::Identity;
use shoal_kv::{Direction, KvError, Pair, Reader, Transaction};
use shoal_types::{Attributes, Errno, FileKind, Ino, InodeFlags, Timestamp};

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Inode {
    pub ino: Ino,
    pub identity: Identity,
    pub length: u64,
    /// Nanoseconds; `None` while the identity's holds.
    pub mtime: Option<u64>,
    pub atime: Option<u64>,
    pub allocated: i64,
    pub entries: i64,
    pub subdirectories: i64,
}

/// Identity and accumulators in one scan. `ENOENT` for an inode that is gone. Inside a transaction this conflicts with
/// every change of any accumulator: where that would make hot updates collide, read the identity alone.
pub(crate) fn load(reader: &mut dyn Reader, ino: Ino) -> MetaResult<Inode> {
    let pairs = reader.scan(&keys::attributes(ino), PAIRS_MAX, Direction::Forward)?;
    Ok(Inode::from_pairs(ino, &pairs)?.ok_or(Errno::ENOENT)?)
}

/// As `load`, adding no conflict: for what a reply shows and nothing depends on.
pub(crate) fn load_unchecked(transaction: &mut dyn Transaction, ino: Ino) -> MetaResult<Inode> {
    let pairs = transaction.scan_unchecked(&keys::attributes(ino), PAIRS_MAX, Direction::Forward)?;
    Ok(Inode::from_pairs(ino, &pairs)?.ok_or(Errno::ENOENT)?)
}

/// The identity alone: conflicts only with what rewrites it. `ENOENT` for an inode that is gone.
pub(crate) fn identity(reader: &mut dyn Reader, ino: Ino) -> MetaResult<Identity> {
    let bytes = reader.get(&Key::Identity(ino).encode())?.ok_or(Errno::ENOENT)?;
    Ok(Identity::decode(&bytes)?)
}

/// A file's length alone.
pub(crate) fn length(reader: &mut dyn Reader, ino: Ino) -> MetaResult<u64> {
    let value = reader.get(&Key::Accumulator(ino, Accumulator::Length).encode())?;
    Ok(value.map_or(Ok(0), |value| number(ino, &value))?)
}

/// `EISDIR` for a directory, `EINVAL` for anything else that has no content.
pub(crate) fn require_regular(identity: &Identity) -> MetaResult<()> {
    match identity.kind {
        FileKind::Regular => Ok(()),
        FileKind::Directory => Err(Errno::EISDIR.into()),
        _ => Err(Errno::EINVAL.into()),
    }
}

impl Inode {
    /// From the pairs of `keys::attributes` (later keys of the inode are passed over); `None` without an identity.
    pub fn from_pairs(ino: Ino, pairs: &[Pair]) -> Result<Option<Self>, KvError> {
        let mut inode: Option<Inode> = None;
        for (key, value) in pairs {
            match (Key::parse(key), &mut inode) {
                (Some(Key::Identity(_)), _) => inode = Some(Inode::new(ino, Identity::decode(value)?)),
                (Some(Key::Accumulator(_, field)), Some(inode)) => inode.set(field, value)?,
                _ => {}
            }
        }
        Ok(inode)
    }

    pub fn new(ino: Ino, identity: Identity) -> Self {
        Inode { ino, identity, length: 0, mtime: None, atime: None, allocated: 0, entries: 0, subdirectories: 0 }
    }

    pub fn set(&mut self, field: Accumulator, value: &[u8]) -> Result<(), KvError> {
        let number = number(self.ino, value)?;
        match field {
            Accumulator::Length => self.length = number,
            Accumulator::Mtime => self.mtime = Some(number),
            Accumulator::Atime => self.atime = Some(number),
            Accumulator::Allocated => self.allocated = number.cast_signed(),
            Accumulator::Entries => self.entries = number.cast_signed(),
            Accumulator::Subdirectories => self.subdirectories = number.cast_signed(),
        }
        Ok(())
    }

    pub fn mtime(&self) -> Timestamp {
        self.mtime.map_or(self.identity.mtime, Timestamp::from_nanos)
    }

    pub fn attributes(&self) -> Attributes {
        let identity = &self.identity;
        let directory = identity.kind == FileKind::Directory;
        let at_least_zero = |number: i64| number.max(0).cast_unsigned();
        let ctime = self.mtime.map_or(identity.ctime, |mtime| identity.ctime.max(Timestamp::from_nanos(mtime)));
        Attributes {
            ino: self.ino,
            kind: identity.kind,
            flags: identity.flags.only(InodeFlags::SHOWN),
            mode: identity.mode,
            uid: identity.uid,
            gid: identity.gid,
            rdev: identity.rdev,
            nlink: match directory && identity.nlink > 0 {
                true => 2 + u32::try_from(at_least_zero(self.subdirectories)).unwrap_or(u32::MAX - 2),
                false => identity.nlink,
            },
            length: if directory { at_least_zero(self.entries) } else { self.length },
            allocated: at_least_zero(self.allocated),
            atime: self.atime.map_or(identity.atime, Timestamp::from_nanos),
            mtime: self.mtime(),
            ctime,
            btime: identity.btime,
        }
    }
}

/// An accumulator's value.
fn number(ino: Ino, value: &[u8]) -> Result<u64, KvError> {
    let bytes = value.try_into().map_err(|_| {
        KvError::Damaged(format!("an accumulator of inode {ino} holds {} bytes instead of 8", value.len()))
    })?;
    Ok(u64::from_le_bytes(bytes))
}

/// One identity and every accumulator there is.
pub(crate) const PAIRS_MAX: usize = 16;
