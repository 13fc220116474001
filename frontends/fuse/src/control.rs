//! Our own requests to a mount, from the side of the program that asks.

use rustix::fd::AsFd;
use rustix::ioctl::{Getter, Setter, Updater, ioctl};
use shoal_fuse_protocol::control::{
    COMPACT, COMPACT_BYTES, COMPACTED, NAME_BYTES, ORIGIN_BYTES, REMOVALS, REMOVE_TREE, TRASH_ORIGIN, name_input,
    origin,
};
use shoal_types::Errno;
use std::io;

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
    let number = |at: usize| u64::from_ne_bytes(bytes[8 * at..8 * at + 8].try_into().expect("eight bytes"));
    let next = Some(number(0)).filter(|next| *next != COMPACTED);
    Ok(Compaction { next, slices_before: number(1), slices_after: number(2), bytes: number(3) })
}

fn os_error(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno.0)
}
