//! All pairs at one moment, page by page: the cluster keeps what is overwritten until it is told to collect it.

use crate::connection::Shared;
use shoal_kv::{Direction, KeyRange, KvResult, Pair, Snapshot};
use shoal_kv_remote::Failure;
use std::sync::Arc;

pub(crate) struct TikvSnapshot {
    shared: Arc<Shared>,
    moment: u64,
    rest: KeyRange,
}

impl TikvSnapshot {
    pub fn take(shared: Arc<Shared>) -> Result<Self, Failure> {
        let moment = shared.run(|deadline| shared.committing.cluster.placement.timestamp(deadline))?;
        Ok(TikvSnapshot { shared, moment, rest: KeyRange::all() })
    }
}

impl Snapshot for TikvSnapshot {
    fn next(&mut self) -> KvResult<Vec<Pair>> {
        let TikvSnapshot { shared, moment, rest } = self;
        let found =
            shared.run(async |deadline| shared.view(*moment, deadline).scan(rest, PAIRS, Direction::Forward).await);
        let found = found.map_err(Failure::into_error)?;
        if let Some((last, _)) = found.last() {
            *rest = rest.behind(last);
        }
        Ok(found.into_iter().map(|(key, versioned)| (key, versioned.value)).collect())
    }
}

/// Of which most are far smaller than a value may be.
const PAIRS: usize = 256;
