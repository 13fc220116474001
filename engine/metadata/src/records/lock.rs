//! Locks that are held, and requests that wait for them. Who holds or waits is in the key.
//!
//! ```text
//! held:     0  format (1)    1  process (4)    5  ranges, each: start (8)  last byte (8)  mode (1)
//! waiting:  0  format (1)    1  space (1)      2  owner (8)   10  start (8)  18  last byte (8)  26  mode (1)
//! ```
//!
//! In a session's own list of what it waits for: format, inode (8).

use super::fields::{u32_at, u64_at};
use super::{body, damaged};
use crate::lock_ranges::LockRanges;
use shoal_kv::KvResult;
use shoal_types::{Ino, LockMode, LockRange, LockSpace};

/// What one owner has locked of an inode: at least one byte.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LockRecord {
    /// The process that asked last, by its number on its host.
    pub pid: u32,
    pub ranges: LockRanges,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WaiterRecord {
    pub space: LockSpace,
    pub owner: u64,
    pub range: LockRange,
    pub mode: LockMode,
}

impl LockRecord {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HELD_BYTES + self.ranges.len() * RANGE_BYTES);
        bytes.push(FORMAT);
        bytes.extend_from_slice(&self.pid.to_le_bytes());
        for (range, mode) in self.ranges.iter() {
            push_range(&mut bytes, range, mode);
        }
        bytes
    }

    pub fn decode(bytes: &[u8]) -> KvResult<Self> {
        body(HELD, bytes, FORMAT)?;
        let (ranges, rest) = bytes.get(HELD_BYTES..).unwrap_or_default().as_chunks::<RANGE_BYTES>();
        if ranges.is_empty() || !rest.is_empty() {
            return Err(damaged(HELD, format!("{} bytes", bytes.len())));
        }
        let ranges: Option<Vec<_>> = ranges.iter().map(|range| range_at(range, 0)).collect();
        let ranges = ranges.and_then(LockRanges::from_sorted);
        let ranges = ranges.ok_or_else(|| damaged(HELD, "impossible ranges".into()))?;
        Ok(LockRecord { pid: u32_at(bytes, 1), ranges })
    }
}

impl WaiterRecord {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(WAITING_BYTES);
        bytes.extend_from_slice(&[FORMAT, self.space as u8]);
        bytes.extend_from_slice(&self.owner.to_le_bytes());
        push_range(&mut bytes, self.range, self.mode);
        assert_eq!(bytes.len(), WAITING_BYTES);
        bytes
    }

    pub fn decode(bytes: &[u8]) -> KvResult<Self> {
        body(WAITING, bytes, FORMAT)?;
        if bytes.len() != WAITING_BYTES {
            return Err(damaged(WAITING, format!("{} bytes instead of {WAITING_BYTES}", bytes.len())));
        }
        let space = LockSpace::from_u8(bytes[1]).ok_or_else(|| damaged(WAITING, format!("no space {}", bytes[1])))?;
        let range = range_at(bytes, 10).ok_or_else(|| damaged(WAITING, "an impossible range".into()))?;
        Ok(WaiterRecord { space, owner: u64_at(bytes, 2), range: range.0, mode: range.1 })
    }
}

pub fn encode_waiter_of(ino: Ino) -> Vec<u8> {
    [&[FORMAT][..], &ino.0.to_le_bytes()].concat()
}

pub fn decode_waiter_of(bytes: &[u8]) -> KvResult<Ino> {
    let rest = body(WAITER_OF, bytes, FORMAT)?;
    match rest.len() {
        8 => Ok(Ino(u64_at(rest, 0))),
        length => Err(damaged(WAITER_OF, format!("{length} bytes instead of 8"))),
    }
}

fn push_range(bytes: &mut Vec<u8>, range: LockRange, mode: LockMode) {
    bytes.extend_from_slice(&range.start.to_le_bytes());
    bytes.extend_from_slice(&range.end.to_le_bytes());
    bytes.push(mode as u8);
}

fn range_at(bytes: &[u8], at: usize) -> Option<(LockRange, LockMode)> {
    let range = LockRange::new(u64_at(bytes, at), u64_at(bytes, at + 8))?;
    Some((range, LockMode::from_u8(bytes[at + 16])?))
}

const HELD: &str = "a lock";
const WAITING: &str = "a request that waits for a lock";
const WAITER_OF: &str = "a session's note of a request that waits for a lock";
const FORMAT: u8 = 1;
const HELD_BYTES: usize = 5;
const RANGE_BYTES: usize = 17;
const WAITING_BYTES: usize = 27;
