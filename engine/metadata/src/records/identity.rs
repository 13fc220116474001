//! What an inode is, apart from what many clients change at once (that's in its accumulators).
//!
//! ```text
//!  0  format (1)      1  kind           2  mode (2)        4  uid (4)          8  gid (4)
//! 12  rdev (4)       16  flags (4)     20  parent (8)     28  generation (8)  36  nlink (4)
//! 40  truncation epoch (8)             48  atime (12)     60  mtime (12)      72  ctime (12)   84  btime (12)
//! 96  quota (8)     104  owners (4)      108  linked (1)
//! ```

use super::fields::{push_time, time_at, u16_at, u32_at, u64_at};
use super::{body, damaged};
use shoal_kv::KvResult;
use shoal_types::{Errno, FileKind, FsResult, Ino, InodeFlags, Timestamp};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    pub kind: FileKind,
    /// `st_mode & 0o7777`
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    pub rdev: u32,
    /// Those that are not known here are kept as they are.
    pub flags: InodeFlags,
    /// Of a directory: the one that holds it. Of anything else a hint: where it was last created or moved.
    pub parent: Ino,
    pub generation: u64,
    /// Names. A directory has 1, and 0 once it's removed.
    pub nlink: u32,
    /// Grows whenever the file is cut, so that a write in flight meanwhile conflicts.
    pub truncation_epoch: u64,
    /// Holds while there is no atime accumulator.
    pub atime: Timestamp,
    /// Holds while there is no mtime accumulator.
    pub mtime: Timestamp,
    /// The later of this and the mtime accumulator holds.
    pub ctime: Timestamp,
    pub btime: Timestamp,
    /// The innermost directory with a quota that this inode is counted for. What is made in a directory is counted with it.
    pub quota: Option<Ino>,
    /// The generation of counting by owner that counts this inode; 0 for none.
    pub owners: u32,
    /// It has had more than one name, and so may be counted for another quota than the directory it's in now.
    pub linked: bool,
}

impl Identity {
    /// With one name in `parent`, of 0:0 and without permissions.
    pub fn new(kind: FileKind, parent: Ino, now: Timestamp) -> Self {
        Identity {
            kind,
            mode: 0,
            uid: 0,
            gid: 0,
            rdev: 0,
            flags: InodeFlags::default(),
            parent,
            generation: 0,
            nlink: 1,
            truncation_epoch: 0,
            atime: now,
            mtime: now,
            ctime: now,
            btime: now,
            quota: None,
            owners: 0,
            linked: false,
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend_from_slice(&[FORMAT, self.kind as u8]);
        bytes.extend_from_slice(&self.mode.to_le_bytes());
        for field in [self.uid, self.gid, self.rdev, self.flags.0] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        bytes.extend_from_slice(&self.parent.0.to_le_bytes());
        bytes.extend_from_slice(&self.generation.to_le_bytes());
        bytes.extend_from_slice(&self.nlink.to_le_bytes());
        bytes.extend_from_slice(&self.truncation_epoch.to_le_bytes());
        for time in [self.atime, self.mtime, self.ctime, self.btime] {
            push_time(&mut bytes, time);
        }
        bytes.extend_from_slice(&self.quota.map_or(0, |ino| ino.0).to_le_bytes());
        bytes.extend_from_slice(&self.owners.to_le_bytes());
        bytes.push(self.linked.into());
        assert_eq!(bytes.len(), BYTES);
        bytes
    }

    pub fn decode(bytes: &[u8]) -> KvResult<Self> {
        body(WHAT, bytes, FORMAT)?;
        if bytes.len() != BYTES {
            return Err(damaged(WHAT, format!("{} bytes instead of {BYTES}", bytes.len())));
        }
        let kind = FileKind::from_u8(bytes[1]).ok_or_else(|| damaged(WHAT, format!("no kind {}", bytes[1])))?;
        let time = |at| time_at(bytes, at).ok_or_else(|| damaged(WHAT, "a time with too many nanoseconds".into()));
        Ok(Identity {
            kind,
            mode: u16_at(bytes, 2),
            uid: u32_at(bytes, 4),
            gid: u32_at(bytes, 8),
            rdev: u32_at(bytes, 12),
            flags: InodeFlags(u32_at(bytes, 16)),
            parent: Ino(u64_at(bytes, 20)),
            generation: u64_at(bytes, 28),
            nlink: u32_at(bytes, 36),
            truncation_epoch: u64_at(bytes, 40),
            atime: time(48)?,
            mtime: time(60)?,
            ctime: time(72)?,
            btime: time(84)?,
            quota: Some(Ino(u64_at(bytes, 96))).filter(|ino| ino.0 != 0),
            owners: u32_at(bytes, 104),
            linked: bytes[108] != 0,
        })
    }

    pub fn is_directory(&self) -> bool {
        self.kind == FileKind::Directory
    }

    /// `EPERM` if it has one of these flags: what is asked for is what they forbid.
    pub fn refuse(&self, flags: InodeFlags) -> FsResult<()> {
        if self.flags.any(flags) { Err(Errno::EPERM) } else { Ok(()) }
    }
}

const WHAT: &str = "an inode's identity";
const FORMAT: u8 = 1;
const BYTES: usize = 109;
