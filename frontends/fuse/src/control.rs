//! Our own requests to a mount, from the side of the program that asks.

use rustix::fd::AsFd;
use rustix::ioctl::{Getter, Setter, Updater, ioctl};
use shoal_fuse_protocol::control::{NAME_BYTES, ORIGIN_BYTES, REMOVALS, REMOVE_TREE, TRASH_ORIGIN, name_input, origin};
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

fn os_error(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno.0)
}
