//! The operations of the protocol with their arguments, parsed from a message's body.
//!
//! Names are slices of the message: NUL-terminated inside it, not empty, without '/'. Their length is the file
//! system's to judge. Flags the kernel passes through from system calls (open, rename, fallocate, seek …) are its own
//! numbers.

use crate::abi::{self, fattr, opcode};
use crate::init::InitIn;
use crate::wire::{Reader, Short};
use shoal_types::{Errno, Timestamp};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation<'a> {
    Lookup {
        name: &'a [u8],
    },
    Forget {
        lookups: u64,
    },
    BatchForget(ForgetList<'a>),
    Getattr {
        handle: Option<u64>,
    },
    Setattr(SetAttributes),
    Readlink,
    Symlink {
        name: &'a [u8],
        target: &'a [u8],
    },
    Mknod {
        name: &'a [u8],
        mode: u32,
        rdev: u32,
        umask: u32,
    },
    Mkdir {
        name: &'a [u8],
        mode: u32,
        umask: u32,
    },
    Unlink {
        name: &'a [u8],
    },
    Rmdir {
        name: &'a [u8],
    },
    /// RENAME and RENAME2; `flags` are those of renameat2(2), zero for RENAME.
    Rename {
        name: &'a [u8],
        new_parent: u64,
        new_name: &'a [u8],
        flags: u32,
    },
    Link {
        inode: u64,
        new_name: &'a [u8],
    },
    /// Without O_TRUNC: a SETATTR follows.
    Open {
        flags: u32,
    },
    Read {
        handle: u64,
        offset: u64,
        size: u32,
        lock_owner: Option<u64>,
        flags: u32,
    },
    Write {
        handle: u64,
        offset: u64,
        data: &'a [u8],
        write_flags: u32,
        lock_owner: Option<u64>,
        flags: u32,
    },
    Statfs,
    Release {
        handle: u64,
        flags: u32,
        release_flags: u32,
        lock_owner: u64,
    },
    Fsync {
        handle: u64,
        data_only: bool,
    },
    Setxattr {
        name: &'a [u8],
        value: &'a [u8],
        flags: u32,
        kill_sgid: bool,
    },
    /// `size` 0 asks how many bytes the value has.
    Getxattr {
        name: &'a [u8],
        size: u32,
    },
    Listxattr {
        size: u32,
    },
    Removexattr {
        name: &'a [u8],
    },
    Flush {
        handle: u64,
        lock_owner: u64,
    },
    Init(InitIn),
    Opendir {
        flags: u32,
    },
    Readdir {
        handle: u64,
        offset: u64,
        size: u32,
    },
    Readdirplus {
        handle: u64,
        offset: u64,
        size: u32,
    },
    Releasedir {
        handle: u64,
        flags: u32,
    },
    Fsyncdir {
        handle: u64,
        data_only: bool,
    },
    Getlk {
        handle: u64,
        owner: u64,
        lock: FileLock,
        flock: bool,
    },
    /// SETLK, or SETLKW when `wait`.
    Setlk {
        handle: u64,
        owner: u64,
        lock: FileLock,
        flock: bool,
        wait: bool,
    },
    Access {
        mask: u32,
    },
    Create {
        name: &'a [u8],
        flags: u32,
        mode: u32,
        umask: u32,
    },
    Tmpfile {
        flags: u32,
        mode: u32,
        umask: u32,
    },
    /// The request named here should end soon; this message itself needs no answer.
    Interrupt {
        unique: u64,
    },
    Bmap {
        block: u64,
        block_bytes: u32,
    },
    Destroy,
    Ioctl {
        handle: u64,
        flags: u32,
        command: u32,
        argument: u64,
        input: &'a [u8],
        output_bytes: u32,
    },
    Poll {
        handle: u64,
        kernel_handle: u64,
        flags: u32,
        events: u32,
    },
    NotifyReply {
        body: &'a [u8],
    },
    Fallocate {
        handle: u64,
        offset: u64,
        length: u64,
        mode: u32,
    },
    Lseek {
        handle: u64,
        offset: u64,
        whence: u32,
    },
    /// COPY_FILE_RANGE, or COPY_FILE_RANGE_64 when `wide`: they differ in the reply.
    CopyFileRange {
        handle: u64,
        offset: u64,
        target_inode: u64,
        target_handle: u64,
        target_offset: u64,
        length: u64,
        flags: u64,
        wide: bool,
    },
    Syncfs,
    Statx {
        handle: Option<u64>,
        flags: u32,
        mask: u32,
    },
    /// Anything else; answered ENOSYS, after which the kernel does without.
    Unknown {
        opcode: u32,
        body: &'a [u8],
    },
}

/// What a SETATTR changes; `None` is left as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SetAttributes {
    /// `st_mode` with or without its type bits.
    pub mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub size: Option<u64>,
    pub atime: Option<SetTime>,
    pub mtime: Option<SetTime>,
    /// Set only with the kernel's write-back cache.
    pub ctime: Option<Timestamp>,
    /// The open file through which it came, as ftruncate does.
    pub handle: Option<u64>,
    pub lock_owner: Option<u64>,
    pub kill_suidgid: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SetTime {
    Now,
    At(Timestamp),
}

/// A byte-range lock, `end` inclusive; `kind` is F_RDLCK, F_WRLCK or F_UNLCK.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileLock {
    pub start: u64,
    pub end: u64,
    pub kind: u32,
    pub pid: u32,
}

/// Pairs of inode and count of lookups to forget.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ForgetList<'a>(&'a [u8]);

impl ForgetList<'_> {
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.chunks_exact(16).filter_map(|pair| {
            let mut reader = Reader(pair);
            Some((reader.u64().ok()?, reader.u64().ok()?))
        })
    }
}

enum Fault {
    Short,
    /// The arguments are there but make no sense.
    Invalid,
}

impl From<Short> for Fault {
    fn from(_: Short) -> Self {
        Fault::Short
    }
}

impl<'a> Operation<'a> {
    /// EIO for a message cut short (a transport at fault), EINVAL for a nonsensical argument (the caller's).
    pub(crate) fn parse(code: u32, body: &'a [u8]) -> Result<Self, Errno> {
        parse_operation(code, Reader(body)).map_err(|fault| match fault {
            Fault::Short => Errno::EIO,
            Fault::Invalid => Errno::EINVAL,
        })
    }
}

fn parse_operation(code: u32, mut r: Reader<'_>) -> Result<Operation<'_>, Fault> {
    let r = &mut r;
    Ok(match code {
        opcode::LOOKUP => Operation::Lookup { name: name(r)? },
        opcode::FORGET => Operation::Forget { lookups: r.u64()? },
        opcode::BATCH_FORGET => Operation::BatchForget(forget_list(r)?),
        opcode::GETATTR => {
            let flags = r.u32()?;
            r.skip(4)?;
            let handle = r.u64()?;
            Operation::Getattr { handle: (flags & abi::GETATTR_FH != 0).then_some(handle) }
        }
        opcode::SETATTR => Operation::Setattr(set_attributes(r)?),
        opcode::READLINK => Operation::Readlink,
        opcode::SYMLINK => Operation::Symlink { name: name(r)?, target: target(r)? },
        opcode::MKNOD => {
            let (mode, rdev, umask) = (r.u32()?, r.u32()?, r.u32()?);
            r.skip(4)?;
            Operation::Mknod { mode, rdev, umask, name: name(r)? }
        }
        opcode::MKDIR => Operation::Mkdir { mode: r.u32()?, umask: r.u32()?, name: name(r)? },
        opcode::UNLINK => Operation::Unlink { name: name(r)? },
        opcode::RMDIR => Operation::Rmdir { name: name(r)? },
        opcode::RENAME => Operation::Rename { new_parent: r.u64()?, flags: 0, name: name(r)?, new_name: name(r)? },
        opcode::RENAME2 => {
            let (new_parent, flags) = (r.u64()?, r.u32()?);
            r.skip(4)?;
            Operation::Rename { new_parent, flags, name: name(r)?, new_name: name(r)? }
        }
        opcode::LINK => Operation::Link { inode: r.u64()?, new_name: name(r)? },
        opcode::OPEN => Operation::Open { flags: r.u32()? },
        opcode::OPENDIR => Operation::Opendir { flags: r.u32()? },
        opcode::READ => {
            let read = ReadIn::parse(r)?;
            let lock_owner = (read.read_flags & abi::READ_LOCKOWNER != 0).then_some(read.lock_owner);
            let ReadIn { handle, offset, size, flags, .. } = read;
            Operation::Read { handle, offset, size, lock_owner, flags }
        }
        opcode::WRITE => {
            let ReadIn { handle, offset, size, read_flags: write_flags, lock_owner, flags } = ReadIn::parse(r)?;
            let data = r.bytes(size as usize)?;
            let lock_owner = (write_flags & abi::WRITE_LOCKOWNER != 0).then_some(lock_owner);
            Operation::Write { handle, offset, data, write_flags, lock_owner, flags }
        }
        opcode::READDIR => {
            let ReadIn { handle, offset, size, .. } = ReadIn::parse(r)?;
            Operation::Readdir { handle, offset, size }
        }
        opcode::READDIRPLUS => {
            let ReadIn { handle, offset, size, .. } = ReadIn::parse(r)?;
            Operation::Readdirplus { handle, offset, size }
        }
        opcode::STATFS => Operation::Statfs,
        opcode::RELEASE => {
            Operation::Release { handle: r.u64()?, flags: r.u32()?, release_flags: r.u32()?, lock_owner: r.u64()? }
        }
        opcode::RELEASEDIR => Operation::Releasedir { handle: r.u64()?, flags: r.u32()? },
        opcode::FSYNC => Operation::Fsync { handle: r.u64()?, data_only: r.u32()? & abi::FSYNC_FDATASYNC != 0 },
        opcode::FSYNCDIR => Operation::Fsyncdir { handle: r.u64()?, data_only: r.u32()? & abi::FSYNC_FDATASYNC != 0 },
        opcode::FLUSH => {
            let handle = r.u64()?;
            r.skip(8)?;
            Operation::Flush { handle, lock_owner: r.u64()? }
        }
        opcode::SETXATTR => set_xattr(r)?,
        opcode::GETXATTR => {
            let size = r.u32()?;
            r.skip(4)?;
            Operation::Getxattr { size, name: attribute_name(r)? }
        }
        opcode::LISTXATTR => Operation::Listxattr { size: r.u32()? },
        opcode::REMOVEXATTR => Operation::Removexattr { name: attribute_name(r)? },
        opcode::INIT => Operation::Init(InitIn::parse(r)?),
        opcode::GETLK => {
            let (handle, owner, lock, flock) = lock_in(r)?;
            Operation::Getlk { handle, owner, lock, flock }
        }
        opcode::SETLK | opcode::SETLKW => {
            let (handle, owner, lock, flock) = lock_in(r)?;
            Operation::Setlk { handle, owner, lock, flock, wait: code == opcode::SETLKW }
        }
        opcode::ACCESS => Operation::Access { mask: r.u32()? },
        opcode::CREATE => {
            let (flags, mode, umask) = (r.u32()?, r.u32()?, r.u32()?);
            r.skip(4)?;
            Operation::Create { flags, mode, umask, name: name(r)? }
        }
        // The name the kernel sends with it ("/") means nothing.
        opcode::TMPFILE => Operation::Tmpfile { flags: r.u32()?, mode: r.u32()?, umask: r.u32()? },
        opcode::INTERRUPT => Operation::Interrupt { unique: r.u64()? },
        opcode::BMAP => Operation::Bmap { block: r.u64()?, block_bytes: r.u32()? },
        opcode::DESTROY => Operation::Destroy,
        opcode::IOCTL => {
            let (handle, flags, command, argument) = (r.u64()?, r.u32()?, r.u32()?, r.u64()?);
            let (input_bytes, output_bytes) = (r.u32()?, r.u32()?);
            let input = r.bytes(input_bytes as usize)?;
            Operation::Ioctl { handle, flags, command, argument, input, output_bytes }
        }
        opcode::POLL => {
            Operation::Poll { handle: r.u64()?, kernel_handle: r.u64()?, flags: r.u32()?, events: r.u32()? }
        }
        opcode::NOTIFY_REPLY => Operation::NotifyReply { body: r.0 },
        opcode::FALLOCATE => {
            Operation::Fallocate { handle: r.u64()?, offset: r.u64()?, length: r.u64()?, mode: r.u32()? }
        }
        opcode::LSEEK => Operation::Lseek { handle: r.u64()?, offset: r.u64()?, whence: r.u32()? },
        opcode::COPY_FILE_RANGE | opcode::COPY_FILE_RANGE_64 => Operation::CopyFileRange {
            handle: r.u64()?,
            offset: r.u64()?,
            target_inode: r.u64()?,
            target_handle: r.u64()?,
            target_offset: r.u64()?,
            length: r.u64()?,
            flags: r.u64()?,
            wide: code == opcode::COPY_FILE_RANGE_64,
        },
        opcode::SYNCFS => Operation::Syncfs,
        opcode::STATX => {
            let getattr_flags = r.u32()?;
            r.skip(4)?;
            let handle = r.u64()?;
            let handle = (getattr_flags & abi::GETATTR_FH != 0).then_some(handle);
            Operation::Statx { handle, flags: r.u32()?, mask: r.u32()? }
        }
        _ => Operation::Unknown { opcode: code, body: r.0 },
    })
}

/// `fuse_read_in`, whose layout `fuse_write_in` shares.
struct ReadIn {
    handle: u64,
    offset: u64,
    size: u32,
    read_flags: u32,
    lock_owner: u64,
    flags: u32,
}

impl ReadIn {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Short> {
        let read = ReadIn {
            handle: r.u64()?,
            offset: r.u64()?,
            size: r.u32()?,
            read_flags: r.u32()?,
            lock_owner: r.u64()?,
            flags: r.u32()?,
        };
        r.skip(4)?;
        Ok(read)
    }
}

fn name<'a>(r: &mut Reader<'a>) -> Result<&'a [u8], Fault> {
    let name = r.text()?;
    if name.is_empty() || name.contains(&b'/') {
        return Err(Fault::Invalid);
    }
    Ok(name)
}

fn attribute_name<'a>(r: &mut Reader<'a>) -> Result<&'a [u8], Fault> {
    let name = r.text()?;
    if name.is_empty() { Err(Fault::Invalid) } else { Ok(name) }
}

/// The short form, or with SETXATTR_EXT the long one that has two words more before the name. Which of them it is can be
/// seen: the message ends where the value does, and only the first of the two words may be other than zero.
fn set_xattr<'a>(r: &mut Reader<'a>) -> Result<Operation<'a>, Fault> {
    let (size, flags) = (r.u32()?, r.u32()?);
    let short = Reader(r.0).text().is_ok_and(|name| name.len() + 1 + size as usize == r.0.len());
    let long_flags = if short { 0 } else { r.u32()? };
    if !short {
        r.skip(4)?;
    }
    let kill_sgid = long_flags & abi::SETXATTR_ACL_KILL_SGID != 0;
    Ok(Operation::Setxattr { flags, kill_sgid, name: attribute_name(r)?, value: r.bytes(size as usize)? })
}

fn target<'a>(r: &mut Reader<'a>) -> Result<&'a [u8], Fault> {
    attribute_name(r)
}

fn forget_list<'a>(r: &mut Reader<'a>) -> Result<ForgetList<'a>, Fault> {
    let count = r.u32()? as usize;
    r.skip(4)?;
    let bytes = count.checked_mul(16).ok_or(Fault::Invalid)?;
    Ok(ForgetList(r.bytes(bytes)?))
}

fn lock_in(r: &mut Reader<'_>) -> Result<(u64, u64, FileLock, bool), Short> {
    let (handle, owner) = (r.u64()?, r.u64()?);
    let lock = FileLock { start: r.u64()?, end: r.u64()?, kind: r.u32()?, pid: r.u32()? };
    Ok((handle, owner, lock, r.u32()? & abi::LK_FLOCK != 0))
}

fn set_attributes(r: &mut Reader<'_>) -> Result<SetAttributes, Fault> {
    let valid = r.u32()?;
    r.skip(4)?;
    let (handle, size, lock_owner) = (r.u64()?, r.u64()?, r.u64()?);
    let seconds = [r.u64()?, r.u64()?, r.u64()?];
    let nanoseconds = [r.u32()?, r.u32()?, r.u32()?];
    let mode = r.u32()?;
    r.skip(4)?;
    let (uid, gid) = (r.u32()?, r.u32()?);
    let has = |bit: u32| valid & bit != 0;
    let time = |index: usize| {
        let sound = nanoseconds[index] < 1_000_000_000;
        sound.then(|| Timestamp::new(seconds[index] as i64, nanoseconds[index])).ok_or(Fault::Invalid)
    };
    let set_time = |index: usize, bit: u32, now_bit: u32| match (has(bit), has(now_bit)) {
        (_, true) => Ok(Some(SetTime::Now)),
        (true, false) => time(index).map(|at| Some(SetTime::At(at))),
        (false, false) => Ok(None),
    };
    Ok(SetAttributes {
        mode: has(fattr::MODE).then_some(mode),
        uid: has(fattr::UID).then_some(uid),
        gid: has(fattr::GID).then_some(gid),
        size: has(fattr::SIZE).then_some(size),
        atime: set_time(0, fattr::ATIME, fattr::ATIME_NOW)?,
        mtime: set_time(1, fattr::MTIME, fattr::MTIME_NOW)?,
        ctime: if has(fattr::CTIME) { Some(time(2)?) } else { None },
        handle: has(fattr::FH).then_some(handle),
        lock_owner: has(fattr::LOCKOWNER).then_some(lock_owner),
        kill_suidgid: has(fattr::KILL_SUIDGID),
    })
}
