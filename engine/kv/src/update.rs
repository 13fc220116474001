//! Commutative updates of one value: what `add`, `max` and `append` do to the bytes below them.
//!
//! A counter is 8 bytes little-endian (`i64` for add, `u64` for max). A value of another length under a counter cannot
//! be what we wrote and is reported as damage, never read as something else.

use crate::{KvError, KvResult, limits};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    Add(i64),
    Max(u64),
    Append(Vec<u8>),
}

impl Update {
    /// The value after this update of `base`.
    pub fn apply(&self, key: &[u8], base: Option<Vec<u8>>) -> KvResult<Vec<u8>> {
        match self {
            Update::Add(amount) => {
                let sum = counter(key, base.as_deref())?.cast_signed().wrapping_add(*amount);
                Ok(reuse(base, &sum.to_le_bytes()))
            }
            Update::Max(value) => {
                let greater = counter(key, base.as_deref())?.max(*value);
                Ok(reuse(base, &greater.to_le_bytes()))
            }
            Update::Append(bytes) => {
                let mut value = base.unwrap_or_default();
                value.extend_from_slice(bytes);
                if value.len() > limits::VALUE_BYTES_MAX {
                    return Err(KvError::Limit(format!("an append makes a value of {} bytes", value.len())));
                }
                Ok(value)
            }
        }
    }

    /// Folds `later` into this one where one update can stand for both; otherwise gives it back.
    pub(crate) fn absorb(&mut self, later: Update) -> Option<Update> {
        match (self, later) {
            (Update::Add(amount), Update::Add(more)) => *amount = amount.wrapping_add(more),
            (Update::Max(value), Update::Max(other)) => *value = (*value).max(other),
            (Update::Append(bytes), Update::Append(more)) => bytes.extend_from_slice(&more),
            (_, later) => return Some(later),
        }
        None
    }
}

fn counter(key: &[u8], value: Option<&[u8]>) -> KvResult<u64> {
    let Some(value) = value else { return Ok(0) };
    let bytes: [u8; 8] = value.try_into().map_err(|_| {
        KvError::Damaged(format!("the counter {} holds {} bytes instead of 8", key.escape_ascii(), value.len()))
    })?;
    Ok(u64::from_le_bytes(bytes))
}

/// The new counter in the old one's allocation: counters are the most frequent writes of all.
fn reuse(old: Option<Vec<u8>>, bytes: &[u8; 8]) -> Vec<u8> {
    match old {
        Some(mut old) => {
            old.copy_from_slice(bytes);
            old
        }
        None => bytes.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_start_at_zero_and_are_little_endian() {
        assert_eq!(Update::Add(-2).apply(b"k", None), Ok((-2i64).to_le_bytes().to_vec()));
        assert_eq!(Update::Max(3).apply(b"k", Some(9u64.to_le_bytes().to_vec())), Ok(9u64.to_le_bytes().to_vec()));
        assert_eq!(Update::Append(b"b".to_vec()).apply(b"k", Some(b"a".to_vec())), Ok(b"ab".to_vec()));
    }

    #[test]
    fn a_counter_of_a_wrong_length_is_damage() {
        assert!(matches!(Update::Add(1).apply(b"k", Some(b"abc".to_vec())), Err(KvError::Damaged(_))));
    }
}
