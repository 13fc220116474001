//! A commit: what was read still holds at the very moment at which what is written comes to be.
//!
//! 1. At a new moment, `start`, the values are read that are to be changed, not only replaced ([`plan`](crate::plan)).
//! 2. All places that are written are locked, if none of them has changed since then.
//! 3. At a newer moment all that was read is read again. Nothing can come about at that moment or before any more: whoever
//!    holds a lock that is in the way is held back, or has ended. If all is as it was, the transaction commits at this moment.
//!
//! So transactions are in the order of their commits what they would be one after another, and none that only reads a key
//! is in the way of another. If a reader has held back this one, step 3 is done again at a newer moment.
//!
//! **Counters** that several transactions change at once are spread: who meets another at one goes on in a lane of it.

use crate::cluster::Cluster;
use crate::keys::Space;
use crate::plan::Plan;
use crate::stored::{Kind, Stored};
use crate::two_phases::{Second, Writes};
use crate::view::{Raw, View};
use futures_util::future::{try_join, try_join_all};
use shoal_kv::{Direction, Random};
use shoal_kv_remote::{Commit, CommitEnd, Evidence, Failure, VersionedPair};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

/// What all commits of a client share.
pub(crate) struct Committing {
    pub cluster: Arc<Cluster>,
    pub space: Space,
    hasher: RandomState,
    /// Counters at which commits have met, and until when that counts.
    busy: RwLock<HashMap<Vec<u8>, Instant>>,
}

/// One commit over its attempts.
struct Effort {
    lane: u8,
    random: Random,
    /// How often it has been too late for its stamp.
    late: u32,
}

enum Attempt {
    Ended(CommitEnd),
    Again,
}

#[derive(PartialEq, Eq)]
enum Check {
    Holds,
    Moved,
    /// What was read holds, but the plan does not.
    Outdated,
}

impl Committing {
    pub fn new(cluster: Arc<Cluster>, space: Space) -> Self {
        Committing { cluster, space, hasher: RandomState::new(), busy: RwLock::default() }
    }

    pub async fn run(&self, commit: &Commit<'_>, deadline: Instant) -> Result<CommitEnd, Failure> {
        let random = Random::new(self.hasher.hash_one((commit.slot, commit.number)));
        // Whoever commits over this connection finds its lane free.
        let mut effort = Effort { lane: (commit.slot % LANES) as u8, random, late: 0 };
        let mut pause = PAUSE_FIRST;
        loop {
            match self.attempt(commit, &mut effort, deadline).await? {
                Attempt::Ended(end) => return Ok(end),
                Attempt::Again if Instant::now() + pause >= deadline => {
                    return Err(Failure::Later("tikv: others are in the way of a commit again and again".into()));
                }
                Attempt::Again => {}
            }
            effort.rest(pause).await;
            effort.lane = effort.random.below(LANES) as u8;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn attempt(&self, commit: &Commit<'_>, effort: &mut Effort, deadline: Instant) -> Result<Attempt, Failure> {
        let cluster = &self.cluster;
        let start = cluster.placement.timestamp(deadline).await?;
        let plan = match self.plan(commit, start, effort.lane, deadline).await? {
            Ok(plan) => plan,
            Err(end) => return Ok(Attempt::Ended(end)),
        };
        if let Err(obstacles) = plan.writes.lock(cluster, deadline).await? {
            self.note_busy(plan.met_at(&obstacles));
            let now = cluster.placement.timestamp(deadline).await?;
            obstacles.clear(cluster, now, deadline).await?;
            return Ok(Attempt::Again);
        }
        loop {
            let moment = cluster.placement.timestamp(deadline).await?;
            let late = plan.moment_max.is_some_and(|max| moment > max);
            let check = match late {
                true => Check::Outdated,
                false => self.check(&plan, moment, deadline).await?,
            };
            let end = match check {
                Check::Holds => match plan.writes.commit(cluster, moment, deadline).await? {
                    Second::Done => return Ok(Attempt::Ended(CommitEnd::Done)),
                    Second::TooEarly => {
                        // It may have been one that we hold back in turn: let either be first.
                        effort.rest(TURN).await;
                        continue;
                    }
                    Second::RolledBack => Attempt::Again,
                },
                Check::Outdated => Attempt::Again,
                Check::Moved => Attempt::Ended(CommitEnd::Moved),
            };
            plan.writes.roll_back(cluster, deadline).await;
            if late {
                effort.late += 1;
                if effort.late >= LATE_MAX {
                    self.widen_slack(moment - start, deadline).await?;
                }
            }
            return Ok(end);
        }
    }

    /// Whether all that the plan relies on holds at this moment.
    async fn check(&self, plan: &Plan, moment: u64, deadline: Instant) -> Result<Check, Failure> {
        let view = &View::new(&self.cluster, &self.space, moment, deadline).without(plan.writes.start);
        let Evidence { keys, ranges, .. } = &plan.evidence;
        let read_keys = async {
            let names: Vec<&[u8]> = keys.iter().map(|(key, _)| key.as_slice()).collect();
            let found = view.get(&names).await?;
            let now = found.iter().map(|found| found.as_ref().map_or(0, |found| found.version));
            Ok::<_, Failure>(now.eq(keys.iter().map(|(_, version)| *version)))
        };
        let read_ranges = try_join_all(ranges.iter().map(|seen| async {
            let found = view.scan(&seen.range, seen.count as usize + 1, Direction::Forward).await?;
            Ok(found.len() as u64 == seen.count && self.digest(&found) == seen.newest)
        }));
        let read_places = async {
            let ranges: Vec<_> = plan.places.iter().map(|(range, _)| range.clone()).collect();
            let found = view.scan_each(&ranges, true).await?;
            let same = |(found, (_, places)): (Vec<Raw>, &(_, Vec<_>))| found.iter().map(|(place, _)| place).eq(places);
            Ok(found.into_iter().zip(&plan.places).all(same))
        };
        let read_kinds = async {
            let found = view.get_raw(plan.kinds.iter().map(|(place, _)| place.clone()).collect()).await?;
            let kind = |place: &[u8]| found.get(place).and_then(|bytes| Stored::decode(place, bytes).ok());
            let same = |(place, then): &(Vec<u8>, Kind)| kind(place).is_some_and(|now| now.kind == *then);
            Ok(plan.kinds.iter().all(same))
        };
        let read = try_join(try_join(read_keys, read_ranges), try_join(read_places, read_kinds));
        let ((keys, ranges), (places, kinds)) = read.await?;
        Ok(match keys && ranges.into_iter().all(|holds| holds) {
            false => Check::Moved,
            true if kinds && places => Check::Holds,
            true => Check::Outdated,
        })
    }

    /// Writes one value, made of the one that is there, and ends whatever transaction has locked it. `None`: nothing is to
    /// be written.
    pub async fn write(
        &self,
        place: &[u8],
        value: impl Fn(u64, Option<Stored>) -> Option<Vec<u8>>,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let cluster = &self.cluster;
        loop {
            let start = cluster.placement.timestamp(deadline).await?;
            let view = View::new(cluster, &self.space, start, deadline).forcing();
            let there = view.get_raw(vec![place.to_vec()]).await?;
            let there = there.get(place).map(|bytes| Stored::decode(place, bytes)).transpose();
            let Some(value) = value(start, there.map_err(Failure::Refused)?) else { return Ok(()) };
            let writes = Writes::alone(start, place.to_vec(), Some(value));
            match writes.lock(cluster, deadline).await? {
                Err(obstacles) => obstacles.clear(cluster, u64::MAX, deadline).await?,
                Ok(()) if self.commit_whenever(&writes, deadline).await? => return Ok(()),
                Ok(()) => {}
            }
        }
    }

    /// Commits what depends on nothing that was read. `false`: somebody has rolled it back.
    pub async fn commit_whenever(&self, writes: &Writes, deadline: Instant) -> Result<bool, Failure> {
        loop {
            let moment = self.cluster.placement.timestamp(deadline).await?;
            match writes.commit(&self.cluster, moment, deadline).await? {
                Second::Done => return Ok(true),
                Second::RolledBack => return Ok(false),
                Second::TooEarly => {}
            }
        }
    }

    /// A number that stands for these pairs, in whatever order.
    pub fn digest(&self, pairs: &[VersionedPair]) -> u64 {
        let words = pairs.iter().map(|(key, versioned)| self.hasher.hash_one((key, versioned.version)));
        words.fold(0, u64::wrapping_add)
    }

    pub fn is_busy(&self, key: &[u8]) -> bool {
        let busy = self.busy.read().expect("no panic under this lock");
        busy.get(key).is_some_and(|until| Instant::now() < *until)
    }

    fn note_busy(&self, keys: Vec<Vec<u8>>) {
        if keys.is_empty() {
            return;
        }
        let mut busy = self.busy.write().expect("no panic under this lock");
        let now = Instant::now();
        if busy.len() > BUSY_MAX {
            busy.retain(|_, until| now < *until);
        }
        busy.extend(keys.into_iter().map(|key| (key, now + BUSY_TIME)));
    }
}

impl Effort {
    /// For up to so long.
    async fn rest(&mut self, pause: Duration) {
        tokio::time::sleep(Duration::from_nanos(self.random.below(pause.as_nanos() as u64))).await;
    }
}

/// As many can count at once without meeting.
const LANES: u64 = 64;
const BUSY_TIME: Duration = Duration::from_secs(10);
const BUSY_MAX: usize = 1024;
const PAUSE_FIRST: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(100);
const TURN: Duration = Duration::from_millis(2);
/// Before the slack of stamps is found too narrow.
const LATE_MAX: u32 = 2;
