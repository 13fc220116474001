//! What a commit is going to write, as of the moment at which it begins, and what of that may change before it does.

use crate::commit::Committing;
use crate::keys;
use crate::slot::Slot;
use crate::stamps;
use crate::stored::{Kind, Stored};
use crate::two_phases::{Obstacles, Writes};
use crate::view::{Lanes, View};
use futures_util::future::{try_join, try_join_all};
use shoal_kv::{Direction, Effect, KeyRange, Update};
use shoal_kv_remote::{Commit, CommitEnd, Evidence, Failure};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

pub(crate) struct Plan {
    pub writes: Writes,
    /// With a stamp, it must not commit later.
    pub moment_max: Option<u64>,
    /// What the body has read and what is not locked.
    pub evidence: Evidence,
    /// Ranges of places, and all that are in them.
    pub places: Vec<(KeyRange, Vec<Vec<u8>>)>,
    /// Counters whose lanes are changed.
    pub kinds: Vec<(Vec<u8>, Kind)>,
    /// Keys of counters, by the places at which they are changed.
    counters: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What a plan is made of.
struct Planner<'a> {
    view: View<'a>,
    start: u64,
    lane: u8,
    found: HashMap<Vec<u8>, Vec<u8>>,
    /// Counters that go to their lanes. Decided once: others find counters busy all the time.
    spread: BTreeSet<&'a Vec<u8>>,
    /// Of counters that end as what they are.
    lanes: HashMap<Vec<u8>, Lanes>,
    plan: Plan,
}

impl Committing {
    /// `Err`: the commit has come to an end already.
    pub async fn plan<'a>(
        &'a self,
        commit: &Commit<'a>,
        start: u64,
        lane: u8,
        deadline: Instant,
    ) -> Result<Result<Plan, CommitEnd>, Failure> {
        let (space, writes) = (&self.space, commit.writes);
        let view = View::new(&self.cluster, space, start, deadline);
        let slot = space.slot(commit.slot);
        let countable = |effect: &Effect| matches!(effect, Effect::Update(update) if Kind::of(update).has_lanes());
        let spread = writes.effects.iter().filter(|(key, effect)| countable(effect) && self.is_busy(key));
        let spread: BTreeSet<_> = spread.map(|(key, _)| key).collect();
        let mut wanted = vec![slot.clone()];
        wanted.extend(writes.effects.keys().map(|key| space.value(key)));
        wanted.extend(spread.iter().map(|key| space.lane(key, lane)));
        if !writes.stamped.is_empty() {
            wanted.push(space.slack());
        }
        let cleared = writes.cleared.iter();
        let cleared = cleared.map(|(start, end)| space.range(&KeyRange { start: start.to_vec(), end: end.to_vec() }));
        let cleared: Vec<_> = cleared.collect();
        let scans = cleared.iter().map(|range| view.scan_raw(range, usize::MAX, Direction::Forward, true));
        let (found, emptied) = try_join(view.get_raw(wanted), try_join_all(scans)).await?;
        let own = Slot { number: commit.number, closed: false };
        let plan = Plan {
            writes: Writes::alone(start, slot.clone(), Some(plain(start, own.encode()))),
            moment_max: None,
            evidence: commit.evidence.clone(),
            places: Vec::new(),
            kinds: Vec::new(),
            counters: BTreeMap::new(),
        };
        let mut planner = Planner { view, start, lane, found, spread, lanes: HashMap::new(), plan };
        if planner.stored(&slot)?.and_then(|stored| Slot::decode(&stored.value)).is_none_or(|slot| slot.closed) {
            return Ok(Err(CommitEnd::NoSlot));
        }
        for (range, found) in cleared.into_iter().zip(emptied) {
            planner.remove_all(range, found.into_iter().map(|(place, _)| place).collect());
        }
        let mut gone = Vec::new();
        for (key, effect) in &writes.effects {
            let place = space.value(key);
            let base = planner.stored(&place)?;
            if base.as_ref().is_some_and(|base| base.kind.has_lanes()) && counted(effect, base.as_ref()).is_none() {
                gone.push(place);
            }
        }
        planner.lanes = planner.view.lanes_of(gone).await?;
        for (key, effect) in &writes.effects {
            if !planner.effect(self, key, effect)? {
                return Ok(Err(CommitEnd::Moved));
            }
        }
        if !writes.stamped.is_empty() {
            planner.plan.moment_max = Some(stamps::moment_max(space, &planner.found, start)?);
        }
        for (prefix, value) in &writes.stamped {
            let place = space.value(&stamps::stamped(prefix, start));
            planner.plan.writes.places.insert(place, Some(plain(start, value.clone())));
        }
        Ok(Ok(planner.plan))
    }
}

impl<'a> Planner<'a> {
    fn stored(&self, place: &[u8]) -> Result<Option<Stored>, Failure> {
        let bytes = self.found.get(place).map(|bytes| Stored::decode(place, bytes));
        bytes.transpose().map_err(Failure::Refused)
    }

    /// These are all places of the range.
    fn remove_all(&mut self, range: KeyRange, places: Vec<Vec<u8>>) {
        self.plan.writes.places.extend(places.iter().map(|place| (place.clone(), None)));
        self.plan.places.push((range, places));
    }

    /// `false`: what the body has read of the key is not so any more.
    fn effect(&mut self, committing: &Committing, key: &'a Vec<u8>, effect: &Effect) -> Result<bool, Failure> {
        let place = committing.space.value(key);
        let base = self.stored(&place)?;
        if let Some(update) = counted(effect, base.as_ref()) {
            self.count(committing, key, update, base)?;
            return Ok(true);
        }
        let lanes = match &base {
            Some(base) if base.kind.has_lanes() => {
                let lanes = self.lanes.remove(&place).unwrap_or_default();
                self.remove_all(keys::lanes(&place), lanes.iter().map(|(place, _)| place.clone()).collect());
                lanes
            }
            _ => {
                // It will be locked as it is now, so no later look at it is needed.
                let version = base.as_ref().map_or(0, |base| base.start);
                if take(&mut self.plan.evidence, key).is_some_and(|seen| seen != version) {
                    return Ok(false);
                }
                Vec::new()
            }
        };
        let value = match effect {
            Effect::Put(value) => Some(value.clone()),
            Effect::Delete => None,
            Effect::Update(update) => updated(key, base, &lanes, std::slice::from_ref(update))?,
            Effect::Updates(updates) => updated(key, base, &lanes, updates)?,
        };
        self.plan.writes.places.insert(place, value.map(|value| plain(self.start, value)));
        Ok(true)
    }

    /// Changes a counter, or a lane of it.
    fn count(
        &mut self,
        committing: &Committing,
        key: &'a Vec<u8>,
        update: &Update,
        base: Option<Stored>,
    ) -> Result<(), Failure> {
        let (space, kind) = (&committing.space, Kind::of(update));
        let spread = self.spread.contains(key) && base.as_ref().is_some_and(|base| base.kind == kind);
        let (place, there) = match spread {
            false => (space.value(key), base),
            true => {
                self.plan.kinds.push((space.value(key), kind));
                let lane = space.lane(key, self.lane);
                let there = self.stored(&lane)?;
                (lane, there)
            }
        };
        let value = update.apply(key, there.map(|stored| stored.value)).map_err(Failure::Refused)?;
        self.plan.counters.insert(place.clone(), key.clone());
        self.plan.writes.places.insert(place, Some(Stored { kind, start: self.start, value }.encode()));
        Ok(())
    }
}

impl Plan {
    /// Counters at which it has met others.
    pub fn met_at(&self, obstacles: &Obstacles) -> Vec<Vec<u8>> {
        let places = obstacles.locks.iter().map(|lock| &lock.key).chain(&obstacles.written);
        places.filter_map(|place| self.counters.get(place)).cloned().collect()
    }
}

/// What is done to a counter that stays what it is.
fn counted<'a>(effect: &'a Effect, base: Option<&Stored>) -> Option<&'a Update> {
    let Effect::Update(update) = effect else { return None };
    let kind = Kind::of(update);
    let fits = kind.has_lanes() && base.is_none_or(|base| !base.kind.has_lanes() || base.kind == kind);
    fits.then_some(update)
}

fn updated(
    key: &[u8],
    base: Option<Stored>,
    lanes: &[(Vec<u8>, Stored)],
    updates: &[Update],
) -> Result<Option<Vec<u8>>, Failure> {
    let base = base.map(|base| base.joined(key, lanes)).transpose().map_err(Failure::Refused)?;
    let base = base.map(|joined| joined.value);
    updates.iter().try_fold(base, |value, update| update.apply(key, value).map(Some)).map_err(Failure::Refused)
}

fn plain(start: u64, value: Vec<u8>) -> Vec<u8> {
    Stored { kind: Kind::Plain, start, value }.encode()
}

/// Takes a key out of what is to be looked at later. Gives the version that was seen of it.
fn take(evidence: &mut Evidence, key: &[u8]) -> Option<u64> {
    let at = evidence.keys.iter().position(|(seen, _)| seen == key)?;
    Some(evidence.keys.swap_remove(at).1)
}
