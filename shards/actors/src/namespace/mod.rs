//! What front ends ask of a shard: names, attributes, open files, bytes. One story a file.
//!
//! Everything here may be called on any shard. What only an inode's owner may do goes to it by message.

mod attributes;
mod content;
mod create;
mod directory;
mod directory_attributes;
mod flags;
mod link;
mod lookup;
mod open;
mod remove;
mod rename;
mod trash;
mod volume;
mod xattrs;

use shoal_types::{Attributes, Errno, FileKind, FsResult, InodeFlags, Timestamp};

/// What the creator decides about a new inode.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewInode {
    pub kind: FileKind,
    /// Permission bits.
    pub mode: u16,
    /// Bits to take off the mode, unless the parent has a default ACL.
    pub umask: u16,
    pub uid: u32,
    pub gid: u32,
    pub rdev: u32,
    /// Of a symlink; otherwise empty.
    pub target: Vec<u8>,
}

/// What `set_attributes` changes; `None` is left as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AttributeChanges {
    pub mode: Option<u16>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub length: Option<u64>,
    pub atime: Option<NewTime>,
    pub mtime: Option<NewTime>,
    /// Set-id bits and the capability go, if there are any.
    pub drop_privileges: bool,
    /// On behalf of the superuser: limits of users and groups don't stand against a new owner.
    pub exempt: bool,
    /// Flags of the inode that don't stand against it.
    pub despite: InodeFlags,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NewTime {
    Now,
    At(Timestamp),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RenameFlags {
    pub no_replace: bool,
    pub exchange: bool,
    /// Leave a whiteout of this user and group.
    pub whiteout: Option<(u32, u32)>,
}

/// Whether a file is opened that has no name any more, or only one in the trash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RemovedFiles {
    /// It was found by a name that may have been given to another file since: `ESTALE` has it looked up again.
    Refused,
    Opened,
}

/// What a file is opened for, beside being read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Access {
    pub write: bool,
    /// `O_APPEND`
    pub append: bool,
}

impl Access {
    /// `EPERM` where the file's flags forbid it.
    fn check(self, flags: InodeFlags) -> FsResult<()> {
        let forbidden = match self {
            Access { write: true, append: false } => InodeFlags::PROTECTION,
            Access { write: true, append: true } => InodeFlags::IMMUTABLE,
            Access { write: false, .. } => InodeFlags::default(),
        };
        if flags.any(forbidden) { Err(Errno::EPERM) } else { Ok(()) }
    }
}

/// An open file or directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    pub attributes: Attributes,
    /// No other mount has changed the content since this mount's kernel may have cached pages of it.
    pub keep_cache: bool,
    /// Processes may have record locks of it, which each close of any descriptor has to give up.
    pub tell_closes: bool,
}
