//! What a transaction writes, with the numbers that the C API gives to atomic operations.

use crate::errors::{CLIENT_INVALID_OPERATION, KEY_TOO_LARGE, VALUE_TOO_LARGE};
use crate::wire::{Bytes, Range};

#[derive(Clone, Debug)]
pub struct Mutation {
    pub kind: u8,
    pub key: Bytes,
    /// For `CLEAR_RANGE` the end of the range.
    pub operand: Bytes,
}

/// As the C API has no numbers for the first two, these are ours.
pub const SET: u8 = 0;
pub const CLEAR_RANGE: u8 = 1;
pub const ADD: u8 = 2;
pub const APPEND_IF_FITS: u8 = 9;
pub const MAX: u8 = 12;
pub const SET_VERSIONSTAMPED_KEY: u8 = 14;
pub const SET_VERSIONSTAMPED_VALUE: u8 = 15;

const KEY_BYTES_MAX: usize = 10_000;
const VALUE_BYTES_MAX: usize = 100_000;
pub const METADATA_VERSION: &[u8] = b"\xff/metadataVersion";

impl Mutation {
    /// The mutation with its stamp in place, and so one that no longer depends on when it's committed.
    pub fn stamped(mut self, stamp: &[u8; 10]) -> Result<Self, i32> {
        let place = match self.kind {
            SET_VERSIONSTAMPED_KEY => &mut self.key,
            SET_VERSIONSTAMPED_VALUE => &mut self.operand,
            _ => return Ok(self),
        };
        let (rest, offset) = place.split_last_chunk::<4>().ok_or(CLIENT_INVALID_OPERATION)?;
        let offset = u32::from_le_bytes(*offset) as usize;
        let mut bytes = rest.to_vec();
        bytes.get_mut(offset..offset + 10).ok_or(CLIENT_INVALID_OPERATION)?.copy_from_slice(stamp);
        *place = bytes;
        self.kind = SET;
        Ok(self)
    }

    pub fn check(&self) -> Result<(), i32> {
        let operand_max = if self.kind == CLEAR_RANGE { KEY_BYTES_MAX } else { VALUE_BYTES_MAX };
        match () {
            () if self.key.len() > KEY_BYTES_MAX => Err(KEY_TOO_LARGE),
            () if self.operand.len() > operand_max => Err(VALUE_TOO_LARGE),
            () => Ok(()),
        }
    }

    /// What it writes to.
    pub fn range(&self) -> Range {
        match self.kind {
            CLEAR_RANGE => (self.key.clone(), self.operand.clone()),
            _ => (self.key.clone(), [self.key.as_slice(), &[0]].concat()),
        }
    }

    /// The value after it, of a kind that needs no stamp and clears nothing.
    pub fn apply(&self, before: Option<&[u8]>) -> Result<Bytes, i32> {
        let old = before.unwrap_or_default();
        let resized = || {
            let mut resized = old.to_vec();
            resized.resize(self.operand.len(), 0);
            resized
        };
        match self.kind {
            SET => Ok(self.operand.clone()),
            ADD => {
                let mut carry = 0;
                let sum = resized().into_iter().zip(&self.operand).map(|(one, other)| {
                    let sum = u16::from(one) + u16::from(*other) + carry;
                    carry = sum >> 8;
                    sum as u8
                });
                Ok(sum.collect())
            }
            MAX => {
                let old = resized();
                let greater = old.iter().rev().gt(self.operand.iter().rev());
                Ok(if greater { old } else { self.operand.clone() })
            }
            APPEND_IF_FITS if old.len() + self.operand.len() > VALUE_BYTES_MAX => Ok(old.to_vec()),
            APPEND_IF_FITS => Ok([old, &self.operand].concat()),
            _ => Err(CLIENT_INVALID_OPERATION),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(kind: u8, before: Option<&[u8]>, operand: &[u8]) -> Bytes {
        Mutation { kind, key: b"k".to_vec(), operand: operand.to_vec() }.apply(before).unwrap()
    }

    #[test]
    fn numbers_are_little_endian_and_as_long_as_the_operand() {
        assert_eq!(apply(ADD, Some(&[255, 0]), &[1, 0]), [0, 1]);
        assert_eq!(apply(ADD, None, &[255, 255]), [255, 255]);
        assert_eq!(apply(ADD, Some(&[255, 255]), &[1, 0]), [0, 0]);
        assert_eq!(apply(MAX, Some(&[1, 2]), &[2, 1]), [1, 2]);
        assert_eq!(apply(MAX, Some(&[9]), &[2, 1]), [2, 1]);
        assert_eq!(apply(MAX, None, &[0, 0]), [0, 0]);
    }

    #[test]
    fn what_does_not_fit_is_not_appended() {
        let full = vec![7; VALUE_BYTES_MAX];
        assert_eq!(apply(APPEND_IF_FITS, Some(&full), &[1]), full);
        assert_eq!(apply(APPEND_IF_FITS, Some(&full[1..]), &[7]), full);
    }

    #[test]
    fn a_stamp_takes_the_place_that_the_last_four_bytes_name() {
        let key = [b"ab".as_slice(), &[0; 10], b"z", &2u32.to_le_bytes()].concat();
        let mutation = Mutation { kind: SET_VERSIONSTAMPED_KEY, key, operand: b"v".to_vec() };
        let stamped = mutation.clone().stamped(b"0123456789").unwrap();
        assert_eq!((stamped.kind, stamped.key.as_slice()), (SET, b"ab0123456789z".as_slice()));
        assert!(Mutation { key: b"ab".to_vec(), ..mutation }.stamped(b"0123456789").is_err());
    }
}
