//! The bytes at a place: what kind of value it is, which transaction wrote it, and the value.
//!
//! ```text
//! kind(1) start(8, big-endian) value
//! ```
//!
//! A **plain** value is all there is of its key. A **sum** or a **maximum** is a counter whose lanes are to be added to it, or
//! compared with it: each lane is a number of its own, at a place of its own, so that transactions that count at the same time
//! don't meet. Lanes are there only while their counter is.

use shoal_kv::{KvError, KvResult, Update};
use shoal_kv_remote::Versioned;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Kind {
    Plain = b'p',
    Sum = b'+',
    Maximum = b'm',
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Stored {
    pub kind: Kind,
    /// When the transaction began that wrote it: no other has the same.
    pub start: u64,
    pub value: Vec<u8>,
}

impl Kind {
    /// Of a counter that is only ever changed this way.
    pub fn of(update: &Update) -> Self {
        match update {
            Update::Add(_) => Kind::Sum,
            Update::Max(_) => Kind::Maximum,
            Update::Append(_) => Kind::Plain,
        }
    }

    pub fn has_lanes(self) -> bool {
        self != Kind::Plain
    }
}

impl Stored {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD + self.value.len());
        bytes.push(self.kind as u8);
        bytes.extend_from_slice(&self.start.to_be_bytes());
        bytes.extend_from_slice(&self.value);
        bytes
    }

    pub fn decode(place: &[u8], bytes: &[u8]) -> KvResult<Self> {
        let damaged = || KvError::Damaged(format!("tikv: the value at {} is none of ours", place.escape_ascii()));
        let (head, value) = bytes.split_at_checked(HEAD).ok_or_else(damaged)?;
        let kind = [Kind::Plain, Kind::Sum, Kind::Maximum].into_iter().find(|kind| *kind as u8 == head[0]);
        let start = u64::from_be_bytes(head[1..].try_into().expect("the head has a number behind its first byte"));
        Ok(Stored { kind: kind.ok_or_else(damaged)?, start, value: value.to_vec() })
    }

    /// With its lanes, the value of the key. The version differs whenever any of them has been written since.
    pub fn joined(self, key: &[u8], lanes: &[(Vec<u8>, Stored)]) -> KvResult<Versioned> {
        let mut joined = Versioned { version: self.start, value: self.value };
        for (place, lane) in lanes {
            let number: [u8; 8] =
                lane.value.as_slice().try_into().map_err(|_| {
                    KvError::Damaged(format!("tikv: the lane at {} holds no number", place.escape_ascii()))
                })?;
            let update = match self.kind {
                Kind::Sum => Update::Add(i64::from_le_bytes(number)),
                Kind::Maximum => Update::Max(u64::from_le_bytes(number)),
                Kind::Plain => {
                    return Err(KvError::Damaged(format!("tikv: {} has lanes and is no counter", key.escape_ascii())));
                }
            };
            joined.value = update.apply(key, Some(joined.value))?;
            joined.version = mixed(joined.version, lane.start ^ u64::from(place.last().copied().unwrap_or(0)));
        }
        Ok(joined)
    }
}

/// A number that stands for a sequence of numbers.
pub(crate) fn mixed(so_far: u64, next: u64) -> u64 {
    let mut word = so_far.rotate_left(23) ^ next.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    // Zero is kept for what is not there.
    (word ^ (word >> 29)).max(1)
}

const HEAD: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(kind: Kind, start: u64, number: i64) -> Stored {
        Stored { kind, start, value: number.to_le_bytes().to_vec() }
    }

    #[test]
    fn a_counter_is_its_value_and_its_lanes_and_changes_its_version_with_either() {
        let lanes = |numbers: &[(u64, i64)]| -> Vec<_> {
            let lane =
                |(at, (start, number)): (usize, &(u64, i64))| (vec![at as u8], stored(Kind::Sum, *start, *number));
            numbers.iter().enumerate().map(lane).collect()
        };
        let join = |kind, numbers: &[(u64, i64)]| stored(kind, 5, 10).joined(b"k", &lanes(numbers)).unwrap();
        let (alone, two) = (join(Kind::Sum, &[]), join(Kind::Sum, &[(7, -3), (8, 4)]));
        assert_eq!((alone.version, alone.value), (5, 10i64.to_le_bytes().to_vec()));
        assert_eq!(two.value, 11i64.to_le_bytes().to_vec());
        assert_eq!(join(Kind::Maximum, &[(7, 3), (8, 14)]).value, 14i64.to_le_bytes().to_vec());
        let versions = [&[(7, 1)][..], &[(8, 1)], &[(7, 1), (8, 1)], &[(8, 1), (7, 1)]]
            .map(|lanes| join(Kind::Sum, lanes).version);
        assert!((0..4).all(|one| (0..one).all(|other| versions[one] != versions[other])), "{versions:?}");
        assert!(matches!(stored(Kind::Plain, 1, 1).joined(b"k", &lanes(&[(2, 2)])), Err(KvError::Damaged(_))));
    }

    #[test]
    fn what_is_stored_is_read_back_and_anything_else_is_damage() {
        for kind in [Kind::Plain, Kind::Sum, Kind::Maximum] {
            let value = Stored { kind, start: 0x0102_0304, value: b"abc".to_vec() };
            assert_eq!(Stored::decode(b"k", &value.encode()), Ok(value));
        }
        assert_eq!(stored(Kind::Sum, 1, 2).encode(), b"+\0\0\0\0\0\0\0\x01\x02\0\0\0\0\0\0\0");
        for bytes in [&b""[..], b"p1234567", b"x12345678"] {
            assert!(matches!(Stored::decode(b"k", bytes), Err(KvError::Damaged(_))));
        }
    }
}
