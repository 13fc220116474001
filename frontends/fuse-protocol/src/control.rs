//! What our own programs ask of a mount, by ioctl(2) on an open directory or file of it.
//!
//! ```text
//! REMOVE_TREE    on the directory that is to go   in: flags(1) length(1) name(length), zeros up to NAME_BYTES
//! TRASH_ORIGIN   on an hour of the trash          in: the same, zeros up to ORIGIN_BYTES   out: length(2) path(length)
//! REMOVALS       on any directory                 out: count(8)
//! COMPACT        on a regular file                in: chunk(8), zeros up to COMPACT_BYTES
//!                                                 out: next chunk(8) slices found(8) slices left(8) bytes rewritten(8)
//! CACHE          on a regular file                in: order(8) first byte(8) end(8), zeros up to CACHE_BYTES
//!                                                 out: next byte(8) bytes cached(8) bytes looked at(8) pinned(8)
//! STORE_FIGURES  on any directory                 out: requests at once(8), then of puts, gets and deletes each:
//!                                                      requests(8) failed(8) given up(8) bytes(8) half within µs(8)
//!                                                      most within µs(8)
//! ```
//!
//! The kernel carries such a request without holding any lock on names or inodes, so the daemon may have it forget names
//! before it answers. Integers are in the machine's own byte order.

use shoal_types::Errno;
use std::ops::Range;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ControlRequest<'a> {
    /// Remove this directory, which has this name, with all that lies below it. With `keep` it goes to the trash, if there
    /// is one.
    RemoveTree { name: &'a [u8], keep: bool },
    /// Where was that removed which is called so in this hour of the trash? Answered by a path from the volume's root; by a
    /// name alone if the directory is there no more.
    TrashOrigin { name: &'a [u8] },
    /// How many inodes wait for their removal? Not counted further than `REMOVALS_MAX`.
    Removals,
    /// Shorten this file's slice lists, from a chunk on, for a while. Answered by the chunk to go on with; `COMPACTED` when
    /// that is none.
    Compact { first: u64 },
    /// What has the object store been asked since the mount?
    StoreFigures,
    /// Do this about the file's cached bytes, within a range, for a while. Answered by the byte to go on with; `CACHE_DONE`
    /// when that is none.
    Cache { order: CacheOrder, first: u64, end: u64 },
}

/// As a number of eight bytes: its place in this list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CacheOrder {
    Look,
    Fill,
    Pin,
    Unpin,
    Drop,
}

const CACHE_ORDERS: [CacheOrder; 5] =
    [CacheOrder::Look, CacheOrder::Fill, CacheOrder::Pin, CacheOrder::Unpin, CacheOrder::Drop];

pub const NAME_BYTES: usize = 2 + 255;
pub const ORIGIN_BYTES: usize = 8192;
pub const REMOVALS_MAX: usize = 10_000;
pub const COMPACT_BYTES: usize = 32;
pub const COMPACTED: u64 = u64::MAX;
pub const CACHE_BYTES: usize = 32;
pub const CACHE_DONE: u64 = u64::MAX;
pub const STORE_FIGURES_NUMBERS: usize = 19;

pub const REMOVE_TREE: u32 = command(WRITE, 1, NAME_BYTES);
pub const TRASH_ORIGIN: u32 = command(READ | WRITE, 2, ORIGIN_BYTES);
pub const REMOVALS: u32 = command(READ, 3, size_of::<u64>());
/// Numbers 4 to 6 are `clone`'s.
pub const COMPACT: u32 = command(READ | WRITE, 7, COMPACT_BYTES);
pub const CACHE: u32 = command(READ | WRITE, 8, CACHE_BYTES);

pub const STORE_FIGURES: u32 = command(READ, 9, 8 * STORE_FIGURES_NUMBERS);

const WRITE: u32 = 1;
const READ: u32 = 2;
const KEEP: u8 = 1;

/// As `_IOC` of the kernel's headers makes it, of a type of our own.
const fn command(direction: u32, number: u8, bytes: usize) -> u32 {
    direction << 30 | (bytes as u32) << 16 | (b'S' as u32) << 8 | number as u32
}

impl<'a> ControlRequest<'a> {
    /// `ENOTTY` for a command that is none of ours, `EINVAL` for an input that makes no sense.
    pub fn parse(command: u32, input: &'a [u8]) -> Result<Self, Errno> {
        match command {
            REMOVE_TREE => {
                let (flags, name) = name_in(input)?;
                Ok(ControlRequest::RemoveTree { name, keep: flags & KEEP != 0 })
            }
            TRASH_ORIGIN => Ok(ControlRequest::TrashOrigin { name: name_in(input)?.1 }),
            REMOVALS => Ok(ControlRequest::Removals),
            COMPACT => match input.first_chunk() {
                Some(first) => Ok(ControlRequest::Compact { first: u64::from_ne_bytes(*first) }),
                None => Err(Errno::EINVAL),
            },
            STORE_FIGURES => Ok(ControlRequest::StoreFigures),
            CACHE => cache_in(input).ok_or(Errno::EINVAL),
            _ => Err(Errno::ENOTTY),
        }
    }
}

fn cache_in(input: &[u8]) -> Option<ControlRequest<'_>> {
    let number = |at: usize| Some(u64::from_ne_bytes(*input.get(8 * at..)?.first_chunk()?));
    let order = *CACHE_ORDERS.get(usize::try_from(number(0)?).ok()?)?;
    Some(ControlRequest::Cache { order, first: number(1)?, end: number(2)? })
}

/// The input of CACHE.
pub fn cache_input(order: CacheOrder, range: Range<u64>) -> [u8; CACHE_BYTES] {
    let mut input = [0; CACHE_BYTES];
    for (at, number) in [order as u64, range.start, range.end].into_iter().enumerate() {
        input[8 * at..8 * at + 8].copy_from_slice(&number.to_ne_bytes());
    }
    input
}

fn name_in(input: &[u8]) -> Result<(u8, &[u8]), Errno> {
    let [flags, length, rest @ ..] = input else { return Err(Errno::EINVAL) };
    let name = rest.get(..usize::from(*length)).ok_or(Errno::EINVAL)?;
    Ok((*flags, name))
}

/// The input of REMOVE_TREE, and of TRASH_ORIGIN. `ENAMETOOLONG` beyond 255 bytes.
pub fn name_input<const N: usize>(name: &[u8], keep: bool) -> Result<[u8; N], Errno> {
    let mut input = [0; N];
    let length = u8::try_from(name.len()).map_err(|_| Errno::ENAMETOOLONG)?;
    input[0] = if keep { KEEP } else { 0 };
    input[1] = length;
    input[2..2 + name.len()].copy_from_slice(name);
    Ok(input)
}

/// The output of TRASH_ORIGIN. `ENAMETOOLONG` for a path that does not fit.
pub fn origin_output(path: &[u8]) -> Result<Vec<u8>, Errno> {
    match u16::try_from(path.len()) {
        Ok(length) if path.len() + 2 <= ORIGIN_BYTES => Ok([&length.to_ne_bytes(), path].concat()),
        _ => Err(Errno::ENAMETOOLONG),
    }
}

/// The path in it; `None` for what is no such output.
pub fn origin(output: &[u8]) -> Option<&[u8]> {
    let (length, path) = output.split_first_chunk()?;
    path.get(..usize::from(u16::from_ne_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_numbers_as_the_kernel_makes_them() {
        assert_eq!(REMOVE_TREE, 0x4101_5301);
        assert_eq!(TRASH_ORIGIN, 0xe000_5302);
        assert_eq!(REMOVALS, 0x8008_5303);
        assert_eq!(COMPACT, 0xc020_5307);
        assert_eq!(CACHE, 0xc020_5308);
        assert_eq!(STORE_FIGURES, 0x8098_5309);
    }

    #[test]
    fn requests_come_back_from_their_bytes() {
        for name in [&b"a"[..], &[0xff; 255]] {
            let input: [u8; NAME_BYTES] = name_input(name, true).expect("it fits");
            assert_eq!(ControlRequest::parse(REMOVE_TREE, &input), Ok(ControlRequest::RemoveTree { name, keep: true }));
            let input: [u8; ORIGIN_BYTES] = name_input(name, false).expect("it fits");
            assert_eq!(ControlRequest::parse(TRASH_ORIGIN, &input), Ok(ControlRequest::TrashOrigin { name }));
        }
        assert_eq!(name_input::<NAME_BYTES>(&[b'x'; 256], true), Err(Errno::ENAMETOOLONG));
        assert_eq!(ControlRequest::parse(REMOVALS, b""), Ok(ControlRequest::Removals));
        assert_eq!(ControlRequest::parse(STORE_FIGURES, b""), Ok(ControlRequest::StoreFigures));
        let input = [&7u64.to_ne_bytes()[..], &[0; 24]].concat();
        assert_eq!(ControlRequest::parse(COMPACT, &input), Ok(ControlRequest::Compact { first: 7 }));
        for order in CACHE_ORDERS {
            let input = cache_input(order, 7..9);
            assert_eq!(ControlRequest::parse(CACHE, &input), Ok(ControlRequest::Cache { order, first: 7, end: 9 }));
        }
        assert_eq!(ControlRequest::parse(CACHE, &[5; CACHE_BYTES]), Err(Errno::EINVAL), "no such order");
        assert_eq!(ControlRequest::parse(0x5401, b""), Err(Errno::ENOTTY));
    }

    #[test]
    fn an_input_that_is_cut_short_is_refused() {
        for cut in [&b""[..], b"\x01", b"\x01\x02a"] {
            assert_eq!(ControlRequest::parse(REMOVE_TREE, cut), Err(Errno::EINVAL));
            assert_eq!(ControlRequest::parse(COMPACT, cut), Err(Errno::EINVAL));
            assert_eq!(ControlRequest::parse(CACHE, cut), Err(Errno::EINVAL));
        }
    }

    #[test]
    fn a_path_comes_back_from_its_output() {
        for path in [&b""[..], b"/a/b", &[b'x'; 8190]] {
            let mut output = origin_output(path).expect("it fits");
            output.resize(ORIGIN_BYTES, 0);
            assert_eq!(origin(&output), Some(path));
        }
        assert_eq!(origin_output(&[b'x'; 8191]), Err(Errno::ENAMETOOLONG));
        assert_eq!((origin(b"\x01"), origin(b"\x02\0x")), (None, None));
    }
}
