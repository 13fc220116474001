//! INIT: what the kernel offers, what we want, and what both therefore do. A pure function.
//!
//! Never asked for: AUTO_INVAL_DATA (we invalidate explicitly), the first HANDLE_KILLPRIV (it does not tell who may keep
//! the bits).

use crate::abi::{self, init};
use crate::reply::init_out;
use crate::wire::{Reader, Short};
use std::fmt;

/// What the kernel tells about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InitIn {
    pub major: u32,
    pub minor: u32,
    pub max_readahead: u32,
    /// Both words of flags.
    pub flags: u64,
}

/// What we want.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// Bytes of the largest READ and WRITE; the kernel's page limit may lower it.
    pub max_write: u32,
    pub max_readahead: u32,
    /// Requests that the kernel keeps in flight for its own purposes (readahead, write-back, asynchronous I/O).
    pub max_background: u16,
    /// Let the kernel buffer writes. It then guesses sizes and times until it has written back.
    pub writeback_cache: bool,
    /// Requests travel in rings shared with the kernel, not through `/dev/fuse`; where the kernel offers it.
    pub over_io_uring: bool,
    /// Let the kernel read some files by itself, from backing files that we name. Not with `writeback_cache`.
    pub passthrough: bool,
    /// The kernel asks for access control lists and checks permissions by them.
    pub posix_acl: bool,
    /// The mount may be idmapped. Only requests that make an inode then tell who asks.
    pub idmapped: bool,
    /// `/proc/sys/fs/fuse/max_pages_limit`; 256 on kernels without it.
    pub max_pages_limit: u32,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            max_write: 1 << 20,
            max_readahead: 4 << 20,
            max_background: 128,
            writeback_cache: false,
            over_io_uring: false,
            passthrough: false,
            posix_acl: true,
            idmapped: false,
            max_pages_limit: 256,
        }
    }
}

/// What was agreed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Negotiated {
    pub minor: u32,
    pub flags: u64,
    pub max_write: u32,
    pub max_readahead: u32,
    pub max_pages: u16,
    pub max_background: u16,
    pub writeback_cache: bool,
    /// The kernel waits until each of its queues has a ring entry, and answers nobody before.
    pub over_io_uring: bool,
    pub passthrough: bool,
    pub idmapped: bool,
    /// The kernel knows `EXPIRE_ONLY` invalidations of entries.
    pub expire_only: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// Answer with these bytes; the kernel sends another INIT that speaks our major version.
    NewerMajor([u8; 64]),
    TooOld {
        major: u32,
        minor: u32,
    },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::NewerMajor(_) => write!(f, "the kernel speaks a newer FUSE major version than {}", abi::MAJOR),
            Refused::TooOld { major, minor } => {
                write!(
                    f,
                    "the kernel speaks FUSE {major}.{minor}; {}.{} or newer is needed",
                    abi::MAJOR,
                    abi::MINOR_MIN
                )
            }
        }
    }
}

impl std::error::Error for Refused {}

const PAGE_BYTES: u32 = 4096;
const WRITE_BYTES_MIN: u32 = PAGE_BYTES;

/// Not ATOMIC_O_TRUNC: an OPEN that truncates would come before the kernel has looked whether the file is being executed
/// (`handle_truncate` in fs/namei.c). Without it a SETATTR follows the OPEN.
const WANTED: u64 = init::ASYNC_READ
    | init::POSIX_LOCKS
    | init::FLOCK_LOCKS
    | init::BIG_WRITES
    | init::PARALLEL_DIROPS
    | init::DO_READDIRPLUS
    | init::READDIRPLUS_AUTO
    | init::ASYNC_DIO
    | init::MAX_PAGES
    | init::CACHE_SYMLINKS
    | init::EXPLICIT_INVAL_DATA
    | init::INIT_EXT
    | init::DONT_MASK
    | init::HANDLE_KILLPRIV_V2
    | init::SETXATTR_EXT
    | init::DIRECT_IO_ALLOW_MMAP;

/// The agreement, and the body of the reply that tells the kernel.
pub fn negotiate(offer: &InitIn, config: &Config) -> Result<(Negotiated, [u8; 64]), Refused> {
    if offer.major > abi::MAJOR {
        return Err(Refused::NewerMajor(init_out(&nothing_but_the_version())));
    }
    if offer.major < abi::MAJOR || offer.minor < abi::MINOR_MIN {
        return Err(Refused::TooOld { major: offer.major, minor: offer.minor });
    }
    let mut wanted = WANTED;
    for (asked, flag) in [
        (config.writeback_cache, init::WRITEBACK_CACHE),
        (config.over_io_uring, init::OVER_IO_URING),
        (config.passthrough && !config.writeback_cache, init::PASSTHROUGH),
        (config.posix_acl, init::POSIX_ACL),
        (config.idmapped, init::ALLOW_IDMAP),
    ] {
        wanted |= if asked { flag } else { 0 };
    }
    let mut flags = wanted & offer.flags;
    if offer.flags & init::INIT_EXT == 0 {
        flags &= u64::from(u32::MAX);
    }
    let pages_max = if flags & init::MAX_PAGES != 0 { config.max_pages_limit.min(u32::from(u16::MAX)) } else { 32 };
    let max_write = config.max_write.max(WRITE_BYTES_MIN).min(pages_max.max(1) * PAGE_BYTES);
    let negotiated = Negotiated {
        minor: offer.minor.min(abi::MINOR_MAX),
        flags,
        max_write,
        max_readahead: config.max_readahead.min(offer.max_readahead),
        max_pages: max_write.div_ceil(PAGE_BYTES) as u16,
        max_background: config.max_background.max(1),
        writeback_cache: flags & init::WRITEBACK_CACHE != 0,
        over_io_uring: flags & init::OVER_IO_URING != 0,
        passthrough: flags & init::PASSTHROUGH != 0,
        idmapped: flags & init::ALLOW_IDMAP != 0,
        expire_only: offer.flags & init::HAS_EXPIRE_ONLY != 0,
    };
    Ok((negotiated, init_out(&negotiated)))
}

fn nothing_but_the_version() -> Negotiated {
    Negotiated {
        minor: abi::MINOR_MAX,
        flags: 0,
        max_write: 0,
        max_readahead: 0,
        max_pages: 0,
        max_background: 0,
        writeback_cache: false,
        over_io_uring: false,
        passthrough: false,
        idmapped: false,
        expire_only: false,
    }
}

impl InitIn {
    pub(crate) fn parse(r: &mut Reader<'_>) -> Result<Self, Short> {
        let (major, minor) = (r.u32()?, r.u32()?);
        // A kernel of another major version may send only the two numbers.
        if major != abi::MAJOR {
            return Ok(InitIn { major, minor, max_readahead: 0, flags: 0 });
        }
        let max_readahead = r.u32()?;
        let low = u64::from(r.u32()?);
        let high = if low & init::INIT_EXT != 0 { u64::from(r.u32()?) } else { 0 };
        Ok(InitIn { major, minor, max_readahead, flags: low | high << 32 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modern() -> InitIn {
        InitIn { major: 7, minor: 45, max_readahead: 128 << 10, flags: u64::MAX }
    }

    #[test]
    fn only_what_both_sides_want_is_agreed() {
        let (agreed, _) = negotiate(&modern(), &Config::default()).expect("agreed");
        assert_eq!(agreed.flags, WANTED | init::POSIX_ACL);
        assert_eq!((agreed.max_write, agreed.max_pages), (1 << 20, 256));
        assert_eq!(agreed.max_readahead, 128 << 10);
        for never in [init::AUTO_INVAL_DATA, init::HANDLE_KILLPRIV, init::ATOMIC_O_TRUNC] {
            assert_eq!(agreed.flags & never, 0);
        }
        let old = InitIn { minor: 31, flags: init::ASYNC_READ | init::AUTO_INVAL_DATA, ..modern() };
        let (agreed, _) = negotiate(&old, &Config::default()).expect("agreed");
        assert_eq!((agreed.flags, agreed.minor), (init::ASYNC_READ, 31));
        assert_eq!(agreed.max_write, 128 << 10, "without MAX_PAGES a request has 32 pages");
    }

    #[test]
    fn the_page_limit_bounds_a_request() {
        let config = Config { max_write: 4 << 20, max_pages_limit: 512, ..Config::default() };
        let (agreed, _) = negotiate(&modern(), &config).expect("agreed");
        assert_eq!((agreed.max_write, agreed.max_pages), (2 << 20, 512));
    }

    #[test]
    fn the_kernel_buffers_writes_only_when_asked_to() {
        let config = Config { writeback_cache: true, ..Config::default() };
        assert!(negotiate(&modern(), &config).expect("agreed").0.writeback_cache);
        assert!(!negotiate(&modern(), &Config::default()).expect("agreed").0.writeback_cache);
        let config = Config { posix_acl: false, ..Config::default() };
        assert_eq!(negotiate(&modern(), &config).expect("agreed").0.flags & init::POSIX_ACL, 0);
    }

    #[test]
    fn mounts_may_be_idmapped_only_where_both_want_it() {
        let config = Config { idmapped: true, ..Config::default() };
        assert!(negotiate(&modern(), &config).expect("agreed").0.idmapped);
        assert!(!negotiate(&modern(), &Config::default()).expect("agreed").0.idmapped);
        let old = InitIn { flags: !init::ALLOW_IDMAP, ..modern() };
        assert!(!negotiate(&old, &config).expect("agreed").0.idmapped);
    }

    #[test]
    fn rings_are_used_only_where_both_want_them() {
        let config = Config { over_io_uring: true, ..Config::default() };
        assert!(negotiate(&modern(), &config).expect("agreed").0.over_io_uring);
        assert!(!negotiate(&modern(), &Config::default()).expect("agreed").0.over_io_uring);
        for missing in [init::OVER_IO_URING, init::INIT_EXT] {
            let offer = InitIn { flags: !missing, ..modern() };
            assert!(!negotiate(&offer, &config).expect("agreed").0.over_io_uring);
        }
    }

    #[test]
    fn the_kernel_reads_by_itself_only_if_asked_to_and_if_it_buffers_no_writes() {
        let asked = |writeback_cache| {
            let config = Config { passthrough: true, writeback_cache, ..Config::default() };
            negotiate(&modern(), &config).expect("agreed")
        };
        let (agreed, reply) = asked(false);
        assert!(agreed.passthrough);
        assert_eq!(reply[36..40], 1u32.to_ne_bytes(), "the stack depth");
        let (agreed, reply) = asked(true);
        assert!(!agreed.passthrough && !negotiate(&modern(), &Config::default()).expect("agreed").0.passthrough);
        assert_eq!(reply[36..40], [0; 4]);
    }

    #[test]
    fn other_versions_are_refused_each_in_its_way() {
        let newer = InitIn { major: 8, ..modern() };
        let Err(Refused::NewerMajor(reply)) = negotiate(&newer, &Config::default()) else { panic!("not refused") };
        assert_eq!(reply[..4], 7u32.to_ne_bytes());
        let older = InitIn { minor: 30, ..modern() };
        assert_eq!(negotiate(&older, &Config::default()), Err(Refused::TooOld { major: 7, minor: 30 }));
    }
}
