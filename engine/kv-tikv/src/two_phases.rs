//! Writing in two phases: locks with the new values at all places, then the primary lock becomes a value, and with that all
//! of them are. Whether a transaction has happened is what has become of its primary.

use crate::cluster::{Cluster, PAUSE_MIN, wait};
use crate::locks::{self, LOCK_TIME};
use crate::messages::{CommitKeys, DELETE, Lock, Mutation, Prewrite, RollBack};
use shoal_kv_remote::Failure;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// What a transaction writes.
pub(crate) struct Writes {
    /// When it began: none of the places may have been written since.
    pub start: u64,
    pub primary: Vec<u8>,
    /// `None`: removed.
    pub places: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

/// Why not all places could be locked. None of them is.
#[derive(Default)]
pub(crate) struct Obstacles {
    pub locks: Vec<Lock>,
    /// Places that have been written in the meantime.
    pub written: Vec<Vec<u8>>,
}

#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Second {
    Done,
    /// A reader has seen that it has not happened by then: it must be later.
    TooEarly,
    /// Somebody has rolled it back.
    RolledBack,
}

impl Writes {
    /// Of one place, which is then the primary.
    pub fn alone(start: u64, place: Vec<u8>, value: Option<Vec<u8>>) -> Self {
        Writes { start, primary: place.clone(), places: BTreeMap::from([(place, value)]) }
    }

    /// The first phase.
    pub async fn lock(&self, cluster: &Cluster, deadline: Instant) -> Result<Result<(), Obstacles>, Failure> {
        let mutation = |(key, value): (&Vec<u8>, &Option<Vec<u8>>)| match value {
            Some(value) => Mutation { operation: 0, key: key.clone(), value: value.clone() },
            None => Mutation { operation: DELETE, key: key.clone(), value: Vec::new() },
        };
        let mutations: Vec<_> = self.places.iter().map(mutation).collect();
        let bytes = |mutation: &Mutation| mutation.key.len() + mutation.value.len();
        // A second more for each megabyte.
        let lock_time = LOCK_TIME.as_millis() as u64 + mutations.iter().map(bytes).sum::<usize>() as u64 / 1000;
        let size = mutations.len() as u64;
        let question = |mutations| Prewrite {
            context: None,
            mutations,
            primary: self.primary.clone(),
            start: self.start,
            lock_time,
            size,
            commit_min: self.start + 1,
        };
        let answers = cluster.ask_each(mutations, |mutation| &mutation.key, bytes, question, deadline).await?;
        let errors: Vec<_> = answers.into_iter().flat_map(|(_, answer)| answer.errors).collect();
        if errors.is_empty() {
            return Ok(Ok(()));
        }
        let mut obstacles = Obstacles::default();
        for error in errors {
            obstacles.locks.extend(error.locked);
            obstacles.written.extend(error.conflict.map(|conflict| conflict.key));
        }
        self.roll_back(cluster, deadline).await;
        Ok(Err(obstacles))
    }

    /// The second phase. The places beside the primary may follow later: whoever reads them asks the primary.
    ///
    /// `Lost`: whether it has happened is not known.
    pub async fn commit(&self, cluster: &Arc<Cluster>, moment: u64, deadline: Instant) -> Result<Second, Failure> {
        let mut pause = PAUSE_MIN;
        loop {
            let place = cluster.place(&self.primary, deadline).await?;
            let others = self.places.keys().filter(|key| **key != self.primary);
            let (near, far): (Vec<_>, Vec<_>) = others.cloned().partition(|key| place.holds(key));
            let mut keys = near;
            let left = keys.split_off(keys.len().min(AT_ONCE_MAX));
            keys.insert(0, self.primary.clone());
            let question = CommitKeys { context: None, start: self.start, keys, moment };
            let Some(answer) = cluster.ask(&place, question, deadline).await? else {
                wait(&mut pause, deadline).await?;
                continue;
            };
            return Ok(match answer.error {
                Some(error) if error.expired.is_some() => Second::TooEarly,
                Some(_) => Second::RolledBack,
                None => {
                    self.commit_the_rest(cluster, [left, far].concat(), moment, deadline);
                    Second::Done
                }
            });
        }
    }

    fn commit_the_rest(&self, cluster: &Arc<Cluster>, keys: Vec<Vec<u8>>, moment: u64, deadline: Instant) {
        if keys.is_empty() {
            return;
        }
        let (cluster, start) = (cluster.clone(), self.start);
        tokio::spawn(async move {
            let question = |keys| CommitKeys { context: None, start, keys, moment };
            // What fails here, readers will do.
            drop(cluster.ask_each(keys, Vec::as_slice, Vec::len, question, deadline).await);
        });
    }

    /// Removes the locks there are. Where that fails they go by their age.
    pub async fn roll_back(&self, cluster: &Cluster, deadline: Instant) {
        let question = |keys| RollBack { context: None, start: self.start, keys };
        let places = self.places.keys().cloned().collect();
        drop(cluster.ask_each(places, Vec::as_slice, Vec::len, question, deadline).await);
    }
}

impl Obstacles {
    /// Removes locks whose transactions have ended.
    pub async fn clear(self, cluster: &Cluster, now: u64, deadline: Instant) -> Result<(), Failure> {
        for (transaction, keys) in locks::by_transaction(self.locks) {
            let fate = locks::fate(cluster, &transaction, 0, now, deadline).await?;
            locks::resolve(cluster, &transaction, fate, keys, deadline).await?;
        }
        Ok(())
    }
}

/// Places that become values together with the primary.
const AT_ONCE_MAX: usize = 1000;
