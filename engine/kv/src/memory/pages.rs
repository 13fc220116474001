//! A snapshot from its first key to its last, some pairs at a time.

use super::store::Snapshot;
use crate::{Direction, KeyRange, KvResult, Pair, Reader};

pub(super) struct Pages {
    snapshot: Snapshot,
    rest: KeyRange,
}

impl Pages {
    pub fn of(snapshot: Snapshot) -> Self {
        Pages { snapshot, rest: KeyRange::all() }
    }
}

impl crate::Snapshot for Pages {
    fn next(&mut self) -> KvResult<Vec<Pair>> {
        let pairs = self.snapshot.scan(&self.rest, PAIRS, Direction::Forward)?;
        if let Some((last, _)) = pairs.last() {
            self.rest = self.rest.behind(last);
        }
        Ok(pairs)
    }
}

const PAIRS: usize = 100;
