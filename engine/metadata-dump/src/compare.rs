//! Two stores against each other, pair by pair.

use crate::CompareError;
use crate::limits::PROGRESS_EVERY;
use shoal_kv::{KvResult, Pair, Snapshot};
use shoal_metadata::keys::Key;
use std::cmp::Ordering;
use std::fmt;

/// The first pair that is not the same in both.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    pub key: Vec<u8>,
    pub kind: DifferenceKind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DifferenceKind {
    /// Only in the first.
    Missing,
    /// Only in the second.
    Surplus,
    Value,
}

/// Whether both hold the same; gives how many pairs that is. What tells whether a volume or a load is there does not count.
pub fn compare(
    one: &mut dyn Snapshot,
    other: &mut dyn Snapshot,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, CompareError> {
    let (mut one, mut other) = (Pairs::of(one), Pairs::of(other));
    let mut same = 0;
    loop {
        let pair = one.next().map_err(CompareError::One)?;
        let counterpart = other.next().map_err(CompareError::Other)?;
        let (key, kind) = match (pair, counterpart) {
            (None, None) => {
                progress(same);
                return Ok(same);
            }
            (Some((key, _)), None) => (key, DifferenceKind::Missing),
            (None, Some((key, _))) => (key, DifferenceKind::Surplus),
            (Some((key, value)), Some((other_key, other_value))) => match key.cmp(&other_key) {
                Ordering::Less => (key, DifferenceKind::Missing),
                Ordering::Greater => (other_key, DifferenceKind::Surplus),
                Ordering::Equal if value != other_value => (key, DifferenceKind::Value),
                Ordering::Equal => {
                    same += 1;
                    if same.is_multiple_of(PROGRESS_EVERY) {
                        progress(same);
                    }
                    continue;
                }
            },
        };
        return Err(CompareError::Differ(Difference { key, kind }));
    }
}

struct Pairs<'a> {
    snapshot: &'a mut dyn Snapshot,
    some: std::vec::IntoIter<Pair>,
}

impl<'a> Pairs<'a> {
    fn of(snapshot: &'a mut dyn Snapshot) -> Self {
        Pairs { snapshot, some: Vec::new().into_iter() }
    }

    fn next(&mut self) -> KvResult<Option<Pair>> {
        loop {
            match self.some.next() {
                Some((key, _)) if matches!(Key::parse(&key), Some(Key::Settings | Key::Load)) => {}
                Some(pair) => return Ok(Some(pair)),
                None => {
                    self.some = self.snapshot.next()?.into_iter();
                    if self.some.len() == 0 {
                        return Ok(None);
                    }
                }
            }
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Key::parse(&self.key) {
            Some(key) => write!(f, "{key:?}")?,
            None => write!(f, "the key {}", self.key.escape_ascii())?,
        }
        f.write_str(match self.kind {
            DifferenceKind::Missing => " is missing",
            DifferenceKind::Surplus => " should not be there",
            DifferenceKind::Value => " has another value",
        })
    }
}
