//! What `stat` tells about an inode.

use crate::{Ino, Timestamp};
use serde::{Deserialize, Serialize};

/// The type of an inode; the discriminants are stored, never renumber them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[repr(u8)]
pub enum FileKind {
    Regular = 1,
    Directory = 2,
    Symlink = 3,
    Fifo = 4,
    Socket = 5,
    CharDevice = 6,
    BlockDevice = 7,
}

impl FileKind {
    pub fn from_u8(byte: u8) -> Option<Self> {
        use FileKind::*;
        [Regular, Directory, Symlink, Fifo, Socket, CharDevice, BlockDevice].into_iter().find(|k| *k as u8 == byte)
    }

    /// The `S_IFMT` part of `st_mode`.
    pub fn mode_bits(self) -> u32 {
        match self {
            FileKind::Regular => libc::S_IFREG,
            FileKind::Directory => libc::S_IFDIR,
            FileKind::Symlink => libc::S_IFLNK,
            FileKind::Fifo => libc::S_IFIFO,
            FileKind::Socket => libc::S_IFSOCK,
            FileKind::CharDevice => libc::S_IFCHR,
            FileKind::BlockDevice => libc::S_IFBLK,
        }
    }

    pub fn from_mode(st_mode: u32) -> Option<Self> {
        use FileKind::*;
        [Regular, Directory, Symlink, Fifo, Socket, CharDevice, BlockDevice]
            .into_iter()
            .find(|k| k.mode_bits() == st_mode & libc::S_IFMT)
    }
}

/// Marks of an inode, by their stored bits: our own from the lowest up, and from bit 8 on those that users set
/// (`user_flags.rs`). Whoever knows what an inode has beside what `stat` tells need not look for what is not there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct InodeFlags(pub u32);

impl InodeFlags {
    /// Made without a name, so that it may still be given one.
    pub const NEVER_NAMED: InodeFlags = InodeFlags(1);
    /// Any extended attribute.
    pub const XATTRS: InodeFlags = InodeFlags(2);
    /// Of them `security.capability`.
    pub const CAPABILITY: InodeFlags = InodeFlags(4);
    pub const ACCESS_ACL: InodeFlags = InodeFlags(8);
    pub const DEFAULT_ACL: InodeFlags = InodeFlags(16);
    /// The trash has it, under the only name it has left; `nlink` does not count that one.
    pub const TRASHED: InodeFlags = InodeFlags(32);
    /// All that tell of extended attributes.
    pub const ABOUT_XATTRS: InodeFlags =
        InodeFlags(Self::XATTRS.0 | Self::CAPABILITY.0 | Self::ACCESS_ACL.0 | Self::DEFAULT_ACL.0);

    /// Those that `Attributes` tells.
    pub const SHOWN: InodeFlags = InodeFlags(Self::ABOUT_XATTRS.0 | Self::TRASHED.0 | Self::BY_USERS.0);

    #[must_use]
    pub fn only(self, flags: InodeFlags) -> Self {
        InodeFlags(self.0 & flags.0)
    }

    pub fn has(self, flag: InodeFlags) -> bool {
        self.0 & flag.0 == flag.0
    }

    #[must_use]
    pub fn with(self, flag: InodeFlags, there: bool) -> Self {
        InodeFlags(if there { self.0 | flag.0 } else { self.0 & !flag.0 })
    }
}

/// What a rename may leave under the old name: a character device 0:0 without permissions. It is its maker's, or of the
/// directory's group where that has its setgid bit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Whiteout {
    /// A number that no inode has ever had.
    pub ino: Ino,
    pub uid: u32,
    pub gid: u32,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Attributes {
    pub ino: Ino,
    pub kind: FileKind,
    /// `InodeFlags::SHOWN` of them.
    pub flags: InodeFlags,
    /// Permission bits with setuid, setgid and sticky: `st_mode & 0o7777`.
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    /// Device number of a device node in the kernel's `new_encode_dev` form (as FUSE carries it); otherwise 0.
    pub rdev: u32,
    pub nlink: u32,
    /// Bytes: content of a file, target of a symlink; for a directory its number of entries (without "." and "..").
    pub length: u64,
    /// Bytes that the file's data occupies (holes excluded), an estimate after overwrites.
    pub allocated: u64,
    pub atime: Timestamp,
    pub mtime: Timestamp,
    pub ctime: Timestamp,
    pub btime: Timestamp,
}

impl Attributes {
    /// It has a set-id bit or a capability that a change of its content by an ordinary user takes away.
    pub fn is_privileged(&self) -> bool {
        let set_id = self.kind != FileKind::Directory && without_set_id(self.mode) != self.mode;
        set_id || self.flags.has(InodeFlags::CAPABILITY)
    }
}

/// A mode without setuid, and without setgid where that gives a group's rights to whoever runs it. Setgid without
/// group execution is left: it says nothing about running the file.
pub fn without_set_id(mode: u16) -> u16 {
    const SETUID: u16 = 0o4000;
    const SETGID: u16 = 0o2000;
    const GROUP_EXECUTE: u16 = 0o010;
    match mode & GROUP_EXECUTE {
        0 => mode & !SETUID,
        _ => mode & !(SETUID | SETGID),
    }
}
