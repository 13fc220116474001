//! Our own requests to a mount, from the side of the program that asks.

use rustix::fd::AsFd;
use rustix::ioctl::{Getter, Setter, Updater, ioctl};
use shoal_client::{Figures, KindFigures};
pub use shoal_fuse_protocol::control::CacheOrder;
use shoal_fuse_protocol::control::{
    CACHE, CACHE_BYTES, CACHE_DONE, COMPACT, COMPACT_BYTES, COMPACTED, NAME_BYTES, ORIGIN_BYTES, REMOVALS, REMOVE_TREE,
    STORE_FIGURES, STORE_FIGURES_NUMBERS, TRASH_ORIGIN, cache_input, name_input, origin,
};
use shoal_types::Errno;
use std::io;
use std::ops::Range;

/// Removes this open directory, which has this name, with all that lies below it. `ENOTTY` on a foreign file system.
pub fn remove_tree(directory: impl AsFd, name: &[u8], keep: bool) -> io::Result<()> {
    let input: [u8; NAME_BYTES] = name_input(name, keep).map_err(os_error)?;
    // SAFETY: the command's number says that this many bytes are read, and nothing is written.
    unsafe { ioctl(directory, Setter::<{ REMOVE_TREE }, [u8; NAME_BYTES]>::new(input)) }.map_err(io::Error::from)
}

/// Where something was removed from that is called so in this open hour of the trash: a path from the volume's root, or
/// a name alone if its directory is there no more.
pub fn trash_origin(hour: impl AsFd, name: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes: [u8; ORIGIN_BYTES] = name_input(name, false).map_err(os_error)?;
    // SAFETY: the command's number says that this many bytes are read, and at most as many written in their place.
    unsafe { ioctl(hour, Updater::<{ TRASH_ORIGIN }, [u8; ORIGIN_BYTES]>::new(&mut bytes)) }?;
    origin(&bytes).map(<[u8]>::to_vec).ok_or_else(|| os_error(Errno::EIO))
}

/// How many inodes of the volume wait for their removal; not counted further than 10,000.
pub fn removals(directory: impl AsFd) -> io::Result<u64> {
    // SAFETY: the command's number says that a u64 is written.
    unsafe { ioctl(directory, Getter::<{ REMOVALS }, u64>::new()) }.map_err(io::Error::from)
}

/// How far the mount came with shortening a file's slice lists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Compaction {
    /// The chunk to go on with.
    pub next: Option<u64>,
    pub slices_before: u64,
    pub slices_after: u64,
    pub bytes: u64,
}

/// Has the mount shorten this open file's slice lists, from a chunk on, for a fifth of a second or the one that takes
/// longer. `ENOTTY` on a foreign file system.
pub fn compact(file: impl AsFd, first: u64) -> io::Result<Compaction> {
    let mut bytes = [0; COMPACT_BYTES];
    bytes[..8].copy_from_slice(&first.to_ne_bytes());
    // SAFETY: the command's number says that this many bytes are read, and at most as many written in their place.
    unsafe { ioctl(file, Updater::<{ COMPACT }, [u8; COMPACT_BYTES]>::new(&mut bytes)) }?;
    let [next, slices_before, slices_after, bytes] = numbers(&bytes);
    let next = Some(next).filter(|next| *next != COMPACTED);
    Ok(Compaction { next, slices_before, slices_after, bytes })
}

/// What the mount has found and done about a file's cached bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cached {
    /// The byte to go on with.
    pub next: Option<u64>,
    /// Of `bytes`, those that are cached now.
    pub cached: u64,
    /// Bytes that could be cached: those that lie in objects.
    pub bytes: u64,
    pub pinned: bool,
}

/// Has the mount count, fill, pin or drop what is cached of this open file; the first two within a range of its bytes and
/// for half a second or the block that takes longer. `ENOTTY` on a foreign file system, `EOPNOTSUPP` for a mount without
/// a cache, `ENODEV` where the disk has failed that the file would be cached on.
pub fn cache(file: impl AsFd, order: CacheOrder, range: Range<u64>) -> io::Result<Cached> {
    let mut bytes = cache_input(order, range);
    // SAFETY: the command's number says that this many bytes are read, and at most as many written in their place.
    unsafe { ioctl(file, Updater::<{ CACHE }, [u8; CACHE_BYTES]>::new(&mut bytes)) }?;
    let [next, cached, looked_at, pinned] = numbers(&bytes);
    let next = Some(next).filter(|next| *next != CACHE_DONE);
    Ok(Cached { next, cached, bytes: looked_at, pinned: pinned != 0 })
}

/// What the mount that this open directory lies on has asked its object store so far. `ENOTTY` on a foreign file system,
/// `EOPNOTSUPP` where nobody counts, `EPERM` for other users than the one who mounted and the superuser.
pub fn store_figures(directory: impl AsFd) -> io::Result<Figures> {
    type Numbers = [u64; STORE_FIGURES_NUMBERS];
    // SAFETY: the command's number says that so many numbers are written.
    let numbers = unsafe { ioctl(directory, Getter::<{ STORE_FIGURES }, Numbers>::new()) }?;
    let kind = |first: usize| KindFigures {
        requests: numbers[first],
        failed: numbers[first + 1],
        given_up: numbers[first + 2],
        bytes: numbers[first + 3],
        half_within_us: numbers[first + 4],
        most_within_us: numbers[first + 5],
    };
    let at_once = Some(numbers[0]).filter(|at_once| *at_once > 0);
    Ok(Figures { put: kind(1), get: kind(7), delete: kind(13), at_once })
}

fn numbers(bytes: &[u8; 32]) -> [u64; 4] {
    let (numbers, _) = bytes.as_chunks();
    std::array::from_fn(|at| u64::from_ne_bytes(numbers[at]))
}

fn os_error(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno.0)
}
