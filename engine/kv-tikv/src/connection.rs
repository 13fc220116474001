//! The four questions to the cluster. A connection is no more than a slot: the channels below are the client's.

use crate::commit::Committing;
use crate::slot::Slot;
use crate::stored::{Kind, Stored};
use crate::view::View;
use shoal_kv::{Direction, KeyRange};
use shoal_kv_remote::{Answer, Asked, Commit, CommitEnd, Connection, Evidence, Failure, Versioned, VersionedPair};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// What the connections of a client share.
pub(crate) struct Shared {
    pub runtime: Runtime,
    pub committing: Committing,
    pub answer_max: Duration,
}

pub struct TikvConnection {
    shared: Arc<Shared>,
    slot: u64,
}

impl Shared {
    /// Runs a question to its answer, which comes by the deadline or is none.
    pub fn run<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        question: impl FnOnce(Instant) -> F,
    ) -> Result<T, Failure> {
        self.runtime.block_on(question(Instant::now() + self.answer_max))
    }

    /// Of a snapshot: the one that is there, or the newest.
    async fn moment(&self, seen: &Evidence, deadline: Instant) -> Result<u64, Failure> {
        match seen.moment {
            0 => self.committing.cluster.placement.timestamp(deadline).await,
            moment => Ok(moment),
        }
    }

    pub fn view(&self, moment: u64, deadline: Instant) -> View<'_> {
        View::new(&self.committing.cluster, &self.committing.space, moment, deadline)
    }
}

impl TikvConnection {
    /// With a new slot.
    pub(crate) fn open(shared: Arc<Shared>, slot: u64) -> Result<Self, Failure> {
        let place = shared.committing.space.slot(slot);
        let open = Slot { number: 0, closed: false };
        shared.run(|deadline| shared.committing.write(&place, |start, _| Some(encoded(start, open)), deadline))?;
        Ok(TikvConnection { shared, slot })
    }
}

impl Connection for TikvConnection {
    fn get_many(&mut self, seen: &Evidence, keys: &[&[u8]]) -> Asked<Vec<Option<Versioned>>> {
        self.shared.run(async |deadline| {
            let moment = self.shared.moment(seen, deadline).await?;
            Ok(Answer::At(moment, self.shared.view(moment, deadline).get(keys).await?))
        })
    }

    fn scan(
        &mut self,
        seen: &Evidence,
        range: &KeyRange,
        limit: usize,
        direction: Direction,
    ) -> Asked<Vec<VersionedPair>> {
        self.shared.run(async |deadline| {
            let moment = self.shared.moment(seen, deadline).await?;
            Ok(Answer::At(moment, self.shared.view(moment, deadline).scan(range, limit, direction).await?))
        })
    }

    fn commit(&mut self, commit: &Commit<'_>) -> Result<CommitEnd, Failure> {
        self.shared.run(|deadline| self.shared.committing.run(commit, deadline))
    }

    fn slot(&self) -> u64 {
        self.slot
    }

    /// Whatever has locked the slot is a commit under it that nobody waits for: it is ended first, if it is not committed.
    fn close_slot(&mut self, slot: u64) -> Result<Option<u64>, Failure> {
        let place = self.shared.committing.space.slot(slot);
        let found = std::cell::Cell::new(None);
        let close = |start, there: Option<Stored>| {
            let slot = there.and_then(|stored| Slot::decode(&stored.value));
            found.set(slot.map(|slot| slot.number));
            slot.filter(|slot| !slot.closed).map(|slot| encoded(start, Slot { closed: true, ..slot }))
        };
        self.shared.run(|deadline| self.shared.committing.write(&place, close, deadline))?;
        Ok(found.get())
    }

    fn scan_stamped(
        &mut self,
        range: &KeyRange,
        limit: usize,
        direction: Direction,
    ) -> Option<Result<Vec<VersionedPair>, Failure>> {
        Some(self.shared.run(|deadline| self.shared.committing.scan_stamped(range, limit, direction, deadline)))
    }

    fn newest(&self, found: &[VersionedPair]) -> u64 {
        self.shared.committing.digest(found)
    }
}

fn encoded(start: u64, slot: Slot) -> Vec<u8> {
    Stored { kind: Kind::Plain, start, value: slot.encode() }.encode()
}
