//! The bodies of replies. Each builder gives the exact bytes that follow the 16-byte header.

use crate::abi;
use crate::init::Negotiated;
use crate::operation::FileLock;
use crate::wire::Writer;
use shoal_types::{Attributes, Errno, InodeFlags, Timestamp};
use std::time::Duration;

/// `st_blksize`: what programs read and write at a time when they take the hint.
const PREFERRED_IO_BYTES: u32 = 64 << 10;
const ATTR_BYTES: usize = 88;

/// The header before every reply's `body_bytes`.
pub fn out_header(unique: u64, error: Option<Errno>, body_bytes: usize) -> [u8; abi::OUT_HEADER_BYTES] {
    let length = u32::try_from(abi::OUT_HEADER_BYTES + body_bytes).expect("a reply is at most a few MiB");
    let code = error.map_or(0, |errno| -errno.0);
    Writer::new().u32(length).u32(code as u32).u64(unique).done()
}

/// How long the kernel may answer from memory without asking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Validity {
    pub entry: Duration,
    pub attributes: Duration,
}

/// The reply to LOOKUP, MKNOD, MKDIR, SYMLINK, LINK, and part of others.
pub type EntryOut = [u8; 128];

/// `nodeid` with `generation` never names another inode later.
pub fn entry_out(nodeid: u64, generation: u64, validity: Validity, attributes: &Attributes) -> EntryOut {
    Writer::<128>::new()
        .u64(nodeid)
        .u64(generation)
        .u64(validity.entry.as_secs())
        .u64(validity.attributes.as_secs())
        .u32(validity.entry.subsec_nanos())
        .u32(validity.attributes.subsec_nanos())
        .raw(&attr(attributes))
        .done()
}

/// "There is no such name", to be remembered for `validity`; without one, answer ENOENT instead.
pub fn negative_entry_out(validity: Duration) -> EntryOut {
    Writer::<128>::new()
        .zeros(16)
        .u64(validity.as_secs())
        .u64(0)
        .u32(validity.subsec_nanos())
        .u32(0)
        .zeros(ATTR_BYTES)
        .done()
}

pub fn attr_out(validity: Duration, attributes: &Attributes) -> [u8; 104] {
    Writer::new().u64(validity.as_secs()).u32(validity.subsec_nanos()).u32(0).raw(&attr(attributes)).done()
}

/// OPEN and OPENDIR; `flags` are of `abi::fopen`.
pub fn open_out(handle: u64, flags: u32) -> [u8; 16] {
    Writer::new().u64(handle).u32(flags).u32(0).done()
}

/// OPEN with `abi::fopen::PASSTHROUGH`: the kernel reads the backing file instead of asking.
pub fn open_backed_out(handle: u64, flags: u32, backing_id: u32) -> [u8; 16] {
    Writer::new().u64(handle).u32(flags).u32(backing_id).done()
}

/// CREATE and TMPFILE.
pub fn create_out(entry: &EntryOut, handle: u64, flags: u32) -> [u8; 144] {
    Writer::new().raw(entry).raw(&open_out(handle, flags)).done()
}

pub fn write_out(bytes: u32) -> [u8; 8] {
    Writer::new().u32(bytes).u32(0).done()
}

/// COPY_FILE_RANGE, or its `wide` form; the first takes 8 bytes too, of which 4 count.
pub fn copied_out(bytes: u64, wide: bool) -> [u8; 8] {
    if wide { bytes.to_ne_bytes() } else { write_out(u32::try_from(bytes).unwrap_or(u32::MAX)) }
}

pub fn lseek_out(offset: u64) -> [u8; 8] {
    offset.to_ne_bytes()
}

pub fn bmap_out(block: u64) -> [u8; 8] {
    block.to_ne_bytes()
}

pub fn poll_out(events: u32) -> [u8; 8] {
    Writer::new().u32(events).u32(0).done()
}

/// GETXATTR and LISTXATTR when they asked for the size only.
pub fn xattr_size_out(bytes: u32) -> [u8; 8] {
    Writer::new().u32(bytes).u32(0).done()
}

pub fn lk_out(lock: &FileLock) -> [u8; 24] {
    Writer::new().u64(lock.start).u64(lock.end).u32(lock.kind).u32(lock.pid).done()
}

/// What statfs(2) tells. Blocks are counted in `block_bytes`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Statistics {
    pub blocks: u64,
    pub blocks_free: u64,
    pub blocks_available: u64,
    pub files: u64,
    pub files_free: u64,
    pub block_bytes: u32,
    pub name_bytes_max: u32,
}

pub fn statfs_out(s: &Statistics) -> [u8; 80] {
    Writer::new()
        .u64(s.blocks)
        .u64(s.blocks_free)
        .u64(s.blocks_available)
        .u64(s.files)
        .u64(s.files_free)
        .u32(s.block_bytes)
        .u32(s.name_bytes_max)
        .u32(s.block_bytes)
        .zeros(28)
        .done()
}

/// Every field of statx(2) that attributes can fill, whatever mask was asked for. Kernels up to 6.18 drop the inode's flags.
pub fn statx_out(validity: Duration, a: &Attributes) -> [u8; 288] {
    const BASIC_STATS_AND_BTIME: u32 = 0xfff;
    let mode = (a.kind.mode_bits() | u32::from(a.mode)) as u16;
    let (major, minor) = device_numbers(a.rdev);
    Writer::<288>::new()
        .u64(validity.as_secs())
        .u32(validity.subsec_nanos())
        .zeros(4 + 16)
        .u32(BASIC_STATS_AND_BTIME)
        .u32(PREFERRED_IO_BYTES)
        .u64(statx_attributes(a.flags))
        .u32(a.nlink)
        .u32(a.uid)
        .u32(a.gid)
        .u16(mode)
        .u16(0)
        .u64(a.ino.0)
        .u64(a.length)
        .u64(sectors(a))
        .u64(statx_attributes(InodeFlags::BY_USERS))
        .raw(&statx_time(a.atime))
        .raw(&statx_time(a.btime))
        .raw(&statx_time(a.ctime))
        .raw(&statx_time(a.mtime))
        .u32(major)
        .u32(minor)
        .zeros(8 + 14 * 8)
        .done()
}

/// INIT, as agreed.
pub fn init_out(agreed: &Negotiated) -> [u8; 64] {
    const NANOSECOND: u32 = 1;
    /// Of the file systems that backing files lie on: none that is itself stacked on others.
    const MAX_STACK_DEPTH: u32 = 1;
    Writer::new()
        .u32(abi::MAJOR)
        .u32(agreed.minor)
        .u32(agreed.max_readahead)
        .u32(agreed.flags as u32)
        .u16(agreed.max_background)
        .u16((u32::from(agreed.max_background) * 3 / 4) as u16)
        .u32(agreed.max_write)
        .u32(NANOSECOND)
        .u16(agreed.max_pages)
        .u16(0)
        .u32((agreed.flags >> 32) as u32)
        .u32(u32::from(agreed.passthrough) * MAX_STACK_DEPTH)
        .zeros(24)
        .done()
}

fn attr(a: &Attributes) -> [u8; ATTR_BYTES] {
    Writer::new()
        .u64(a.ino.0)
        .u64(a.length)
        .u64(sectors(a))
        .u64(a.atime.seconds as u64)
        .u64(a.mtime.seconds as u64)
        .u64(a.ctime.seconds as u64)
        .u32(a.atime.nanoseconds)
        .u32(a.mtime.nanoseconds)
        .u32(a.ctime.nanoseconds)
        .u32(a.kind.mode_bits() | u32::from(a.mode))
        .u32(a.nlink)
        .u32(a.uid)
        .u32(a.gid)
        .u32(a.rdev)
        .u32(PREFERRED_IO_BYTES)
        .u32(0)
        .done()
}

/// `st_blocks` counts 512 bytes whatever the block size.
fn sectors(a: &Attributes) -> u64 {
    a.allocated.div_ceil(512)
}

/// `STATX_ATTR_IMMUTABLE`, `STATX_ATTR_APPEND` and `STATX_ATTR_NODUMP`.
fn statx_attributes(flags: InodeFlags) -> u64 {
    let bits = [(InodeFlags::IMMUTABLE, 0x10), (InodeFlags::APPEND_ONLY, 0x20), (InodeFlags::NO_DUMP, 0x40)];
    bits.into_iter().filter(|(flag, _)| flags.has(*flag)).fold(0, |set, (_, bit)| set | bit)
}

fn statx_time(time: Timestamp) -> [u8; 16] {
    Writer::new().u64(time.seconds as u64).u32(time.nanoseconds).u32(0).done()
}

/// Major and minor number out of the kernel's `new_encode_dev` form.
fn device_numbers(rdev: u32) -> (u32, u32) {
    ((rdev & 0xfff00) >> 8, (rdev & 0xff) | ((rdev >> 12) & 0xfff00))
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_types::{FileKind, Ino};

    fn sample() -> Attributes {
        Attributes {
            ino: Ino(0x0102),
            kind: FileKind::Regular,
            flags: InodeFlags::default(),
            mode: 0o644,
            uid: 1000,
            gid: 100,
            rdev: 0,
            nlink: 2,
            length: 5000,
            allocated: 5001,
            atime: Timestamp::new(11, 1),
            mtime: Timestamp::new(-1, 2),
            ctime: Timestamp::new(13, 3),
            btime: Timestamp::new(14, 4),
        }
    }

    fn words(bytes: &[u8]) -> Vec<u32> {
        bytes.chunks_exact(4).map(|w| u32::from_ne_bytes(w.try_into().expect("four bytes"))).collect()
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn entry_has_the_layout_of_the_kernel_header() {
        let validity = Validity { entry: Duration::new(1, 5), attributes: Duration::new(2, 6) };
        #[rustfmt::skip]
        assert_eq!(words(&entry_out(9, 3, validity, &sample())), [
            9, 0, 3, 0, 1, 0, 2, 0, 5, 6,
            0x0102, 0, 5000, 0, 10, 0, 11, 0, u32::MAX, u32::MAX, 13, 0,
            1, 2, 3, 0o100644, 2, 1000, 100, 0, 65536, 0,
        ]);
        let create = create_out(&entry_out(9, 3, validity, &sample()), 77, abi::fopen::KEEP_CACHE);
        assert_eq!(words(&create[128..]), [77, 0, 2, 0]);
        assert_eq!(words(&attr_out(Duration::new(2, 6), &sample()))[..6], [2, 0, 6, 0, 0x0102, 0]);
        assert_eq!(words(&negative_entry_out(Duration::new(1, 5)))[..10], [0, 0, 0, 0, 1, 0, 0, 0, 5, 0]);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn statx_has_the_layout_of_the_kernel_header() {
        let flags = InodeFlags(InodeFlags::IMMUTABLE.0 | InodeFlags::NO_DUMP.0 | InodeFlags::XATTRS.0);
        let out = words(&statx_out(Duration::new(2, 6), &Attributes { flags, ..sample() }));
        assert_eq!(out[..8], [2, 0, 6, 0, 0, 0, 0, 0]);
        #[rustfmt::skip]
        assert_eq!(out[8..42], [
            0xfff, 65536, 0x50, 0, 2, 1000, 100, 0o100644, 0x0102, 0, 5000, 0, 10, 0, 0x70, 0,
            11, 0, 1, 0, 14, 0, 4, 0, 13, 0, 3, 0, u32::MAX, u32::MAX, 2, 0, 0, 0,
        ]);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn init_has_the_layout_of_the_kernel_header() {
        let offer = crate::InitIn { major: 7, minor: 45, max_readahead: 1 << 20, flags: u64::MAX };
        let (agreed, out) = crate::negotiate(&offer, &crate::Config::default()).expect("agreed");
        let out = words(&out);
        assert_eq!(out[..4], [7, 45, 1 << 20, agreed.flags as u32]);
        assert_eq!(out[4], 128 | 96 << 16);
        assert_eq!(out[5..9], [1 << 20, 1, 256, 1 << (36 - 32)]);
        assert!(out[9..].iter().all(|word| *word == 0));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn small_replies_have_the_layout_of_the_kernel_header() {
        assert_eq!(words(&out_header(7, None, 8)), [24, 0, 7, 0]);
        assert_eq!(words(&out_header(7, Some(Errno::ENOENT), 0)), [16, -2i32 as u32, 7, 0]);
        assert_eq!(words(&copied_out(1 << 33, true)), [0, 2]);
        assert_eq!(words(&copied_out(9, false)), [9, 0]);
        let lock = FileLock { start: 1, end: 2, kind: 3, pid: 4 };
        assert_eq!(words(&lk_out(&lock)), [1, 0, 2, 0, 3, 4]);
        let statistics = Statistics {
            blocks: 1,
            blocks_free: 2,
            blocks_available: 3,
            files: 4,
            files_free: 5,
            block_bytes: 6,
            name_bytes_max: 7,
        };
        assert_eq!(words(&statfs_out(&statistics))[..14], [1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 7, 6, 0]);
    }

    #[test]
    fn device_numbers_are_taken_apart_as_the_kernel_put_them_together() {
        let encode = |major: u32, minor: u32| (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12);
        for (major, minor) in [(0, 0), (8, 1), (0xfff, 0xfffff), (1, 0x12345)] {
            assert_eq!(device_numbers(encode(major, minor)), (major, minor));
        }
    }
}
