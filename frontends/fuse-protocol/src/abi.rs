//! Numbers of the FUSE ABI as the kernel documents them in `linux/fuse.h`: operation codes, flags, sizes.
//!
//! A table, nothing else. The names are the kernel's, less their `FUSE_` prefix.

pub const MAJOR: u32 = 7;
/// The newest minor version spoken here, and the oldest: layouts do not differ between them.
pub const MINOR_MAX: u32 = 45;
pub const MINOR_MIN: u32 = 31;

pub const ROOT_ID: u64 = 1;
/// The kernel refuses reads of the device into less.
pub const READ_BUFFER_BYTES_MIN: usize = 8192;

pub const IN_HEADER_BYTES: usize = 40;
pub const OUT_HEADER_BYTES: usize = 16;
pub const WRITE_IN_BYTES: usize = 40;
/// Where the data of a WRITE begins in its message.
pub const WRITE_DATA_START: usize = IN_HEADER_BYTES + WRITE_IN_BYTES;

macro_rules! opcodes {
    ($($name:ident = $number:literal)*) => {
        pub mod opcode {
            $(pub const $name: u32 = $number;)*

            /// For messages to people.
            pub fn name(opcode: u32) -> &'static str {
                match opcode {
                    $($number => stringify!($name),)*
                    _ => "unknown",
                }
            }
        }
    };
}

opcodes! {
    LOOKUP = 1 FORGET = 2 GETATTR = 3 SETATTR = 4 READLINK = 5 SYMLINK = 6 MKNOD = 8 MKDIR = 9 UNLINK = 10 RMDIR = 11
    RENAME = 12 LINK = 13 OPEN = 14 READ = 15 WRITE = 16 STATFS = 17 RELEASE = 18 FSYNC = 20 SETXATTR = 21
    GETXATTR = 22 LISTXATTR = 23 REMOVEXATTR = 24 FLUSH = 25 INIT = 26 OPENDIR = 27 READDIR = 28 RELEASEDIR = 29
    FSYNCDIR = 30 GETLK = 31 SETLK = 32 SETLKW = 33 ACCESS = 34 CREATE = 35 INTERRUPT = 36 BMAP = 37 DESTROY = 38
    IOCTL = 39 POLL = 40 NOTIFY_REPLY = 41 BATCH_FORGET = 42 FALLOCATE = 43 READDIRPLUS = 44 RENAME2 = 45 LSEEK = 46
    COPY_FILE_RANGE = 47 SETUPMAPPING = 48 REMOVEMAPPING = 49 SYNCFS = 50 TMPFILE = 51 STATX = 52
    COPY_FILE_RANGE_64 = 53
}

/// INIT flags; bits 32 and up travel in `flags2`, which exists only with `INIT_EXT`.
pub mod init {
    pub const ASYNC_READ: u64 = 1 << 0;
    pub const POSIX_LOCKS: u64 = 1 << 1;
    pub const ATOMIC_O_TRUNC: u64 = 1 << 3;
    pub const EXPORT_SUPPORT: u64 = 1 << 4;
    pub const BIG_WRITES: u64 = 1 << 5;
    pub const DONT_MASK: u64 = 1 << 6;
    pub const FLOCK_LOCKS: u64 = 1 << 10;
    pub const AUTO_INVAL_DATA: u64 = 1 << 12;
    pub const DO_READDIRPLUS: u64 = 1 << 13;
    pub const READDIRPLUS_AUTO: u64 = 1 << 14;
    pub const ASYNC_DIO: u64 = 1 << 15;
    pub const WRITEBACK_CACHE: u64 = 1 << 16;
    pub const NO_OPEN_SUPPORT: u64 = 1 << 17;
    pub const PARALLEL_DIROPS: u64 = 1 << 18;
    pub const HANDLE_KILLPRIV: u64 = 1 << 19;
    pub const POSIX_ACL: u64 = 1 << 20;
    pub const ABORT_ERROR: u64 = 1 << 21;
    pub const MAX_PAGES: u64 = 1 << 22;
    pub const CACHE_SYMLINKS: u64 = 1 << 23;
    pub const NO_OPENDIR_SUPPORT: u64 = 1 << 24;
    pub const EXPLICIT_INVAL_DATA: u64 = 1 << 25;
    pub const HANDLE_KILLPRIV_V2: u64 = 1 << 28;
    pub const SETXATTR_EXT: u64 = 1 << 29;
    pub const INIT_EXT: u64 = 1 << 30;
    pub const SECURITY_CTX: u64 = 1 << 32;
    pub const CREATE_SUPP_GROUP: u64 = 1 << 34;
    pub const HAS_EXPIRE_ONLY: u64 = 1 << 35;
    pub const DIRECT_IO_ALLOW_MMAP: u64 = 1 << 36;
    pub const PASSTHROUGH: u64 = 1 << 37;
    pub const NO_EXPORT_SUPPORT: u64 = 1 << 38;
    pub const HAS_RESEND: u64 = 1 << 39;
    pub const ALLOW_IDMAP: u64 = 1 << 40;
    pub const OVER_IO_URING: u64 = 1 << 41;
    pub const REQUEST_TIMEOUT: u64 = 1 << 42;
}

/// `fuse_setattr_in.valid`.
pub mod fattr {
    pub const MODE: u32 = 1 << 0;
    pub const UID: u32 = 1 << 1;
    pub const GID: u32 = 1 << 2;
    pub const SIZE: u32 = 1 << 3;
    pub const ATIME: u32 = 1 << 4;
    pub const MTIME: u32 = 1 << 5;
    pub const FH: u32 = 1 << 6;
    pub const ATIME_NOW: u32 = 1 << 7;
    pub const MTIME_NOW: u32 = 1 << 8;
    pub const LOCKOWNER: u32 = 1 << 9;
    pub const CTIME: u32 = 1 << 10;
    pub const KILL_SUIDGID: u32 = 1 << 11;
}

/// What LSEEK asks for (`include/uapi/linux/fs.h`).
pub mod whence {
    pub const SEEK_DATA: u32 = 3;
    pub const SEEK_HOLE: u32 = 4;
}

/// Flags of an OPEN, OPENDIR or CREATE reply.
pub mod fopen {
    pub const DIRECT_IO: u32 = 1 << 0;
    pub const KEEP_CACHE: u32 = 1 << 1;
    pub const NONSEEKABLE: u32 = 1 << 2;
    pub const CACHE_DIR: u32 = 1 << 3;
    pub const STREAM: u32 = 1 << 4;
    pub const NOFLUSH: u32 = 1 << 5;
    pub const PARALLEL_DIRECT_WRITES: u32 = 1 << 6;
    pub const PASSTHROUGH: u32 = 1 << 7;
}

pub const GETATTR_FH: u32 = 1 << 0;
pub const RELEASE_FLUSH: u32 = 1 << 0;
pub const RELEASE_FLOCK_UNLOCK: u32 = 1 << 1;
pub const LK_FLOCK: u32 = 1 << 0;
/// `setxattr_flags` of the long form: an access ACL takes the setgid bit away.
pub const SETXATTR_ACL_KILL_SGID: u32 = 1 << 0;
pub const READ_LOCKOWNER: u32 = 1 << 1;
/// A delayed write out of the page cache: handle and user are guesses.
pub const WRITE_CACHE: u32 = 1 << 0;
pub const WRITE_LOCKOWNER: u32 = 1 << 1;
pub const WRITE_KILL_SUIDGID: u32 = 1 << 2;
pub const FSYNC_FDATASYNC: u32 = 1 << 0;
/// An invalidated entry is only marked stale; it is looked up again before it is used.
pub const EXPIRE_ONLY: u32 = 1 << 0;

/// Codes of messages that the daemon sends on its own.
pub mod notify {
    pub const INVAL_INODE: i32 = 2;
    pub const INVAL_ENTRY: i32 = 3;
    pub const STORE: i32 = 4;
    pub const DELETE: i32 = 6;
}

/// `_IOR(229, 0, u32)`: makes a freshly opened `/dev/fuse` another channel of a mount's connection.
pub const IOCTL_CLONE: u32 = 0x8004_e500;
/// `_IOW(229, 1, struct fuse_backing_map)`: registers a file that the kernel may read by itself; returns its backing id.
pub const IOCTL_BACKING_OPEN: u32 = 0x4010_e501;
/// `_IOW(229, 2, u32)`: gives a backing id up; files opened with it stay usable.
pub const IOCTL_BACKING_CLOSE: u32 = 0x4004_e502;
