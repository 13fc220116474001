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

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Attributes {
    pub ino: Ino,
    pub kind: FileKind,
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
