//! All keys as they are at one moment: snapshot reads, and what a reader does about locks.
//!
//! A transaction that is just committing holds locks on what it writes, and when it will commit is not known. A reader meets
//! such a lock and asks the transaction's primary: is it committed, the lock is made a value; is it rolled back, or its time
//! over, the lock is removed; does it go on, it is told not to commit at the reader's moment or before, and the lock is
//! passed by. So no reader waits for a writer.

use crate::cluster::{self, Cluster, PAUSE_MIN};
use crate::keys::{Place, Space, lanes};
use crate::locks::{self, Fate};
use crate::messages::{BatchGet, Context, KeyError, Lock, Pair, Scan};
use crate::stored::Stored;
use futures_util::future::try_join_all;
use shoal_kv::{Direction, KeyRange};
use shoal_kv_remote::{Failure, Versioned, VersionedPair};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

pub(crate) struct View<'a> {
    cluster: &'a Cluster,
    space: &'a Space,
    moment: u64,
    deadline: Instant,
    /// Transactions whose locks are of no account.
    passed: RefCell<BTreeSet<u64>>,
    /// Whether locks are removed whatever their time.
    forcing: bool,
}

pub(crate) type Raw = (Vec<u8>, Vec<u8>);
/// Of one counter, by their places.
pub(crate) type Lanes = Vec<(Vec<u8>, Stored)>;

impl<'a> View<'a> {
    pub fn new(cluster: &'a Cluster, space: &'a Space, moment: u64, deadline: Instant) -> Self {
        View { cluster, space, moment, deadline, passed: RefCell::default(), forcing: false }
    }

    /// Without the writes of one that is just committing: of our own.
    pub fn without(self, start: u64) -> Self {
        self.passed.borrow_mut().insert(start);
        self
    }

    /// Ends whatever transaction has locked what is read.
    pub fn forcing(self) -> Self {
        View { forcing: true, ..self }
    }

    /// What there is at these places.
    pub async fn get_raw(&self, places: Vec<Vec<u8>>) -> Result<HashMap<Vec<u8>, Vec<u8>>, Failure> {
        let (mut left, mut found) = (places, HashMap::new());
        while !left.is_empty() {
            let context = self.context();
            let question = |keys| BatchGet { context: Some(context.clone()), keys, moment: self.moment };
            let asked = self.cluster.ask_each(left, Vec::as_slice, Vec::len, question, self.deadline).await?;
            let (mut locks, mut again) = (Vec::new(), Vec::new());
            for (keys, answer) in asked {
                if let Some(error) = answer.error {
                    locks.push(locked(error)?);
                    again.extend(keys);
                    continue;
                }
                for Pair { error, key, value } in answer.pairs {
                    match error {
                        None => drop(found.insert(key, value)),
                        Some(error) => {
                            let lock = locked(error)?;
                            again.push(lock.key.clone());
                            locks.push(lock);
                        }
                    }
                }
            }
            self.settle(locks).await?;
            left = again;
        }
        Ok(found)
    }

    /// At most `limit` of the places in a range that hold something.
    pub async fn scan_raw(
        &self,
        range: &KeyRange,
        limit: usize,
        direction: Direction,
        keys_only: bool,
    ) -> Result<Vec<Raw>, Failure> {
        let (mut rest, mut found, mut pause) = (range.clone(), Vec::new(), PAUSE_MIN);
        while found.len() < limit && rest.start < rest.end {
            let (place, part) = self.cluster.part_of(&rest, direction, self.deadline).await?;
            let wanted = (limit - found.len()).min(PAGE);
            let (start, end) = match direction {
                Direction::Forward => (part.start.clone(), part.end.clone()),
                Direction::Backward => (part.end.clone(), part.start.clone()),
            };
            let reverse = direction == Direction::Backward;
            let context = Some(self.context());
            let question = Scan { context, start, end, limit: wanted as u32, moment: self.moment, keys_only, reverse };
            let Some(answer) = self.cluster.ask(&place, question, self.deadline).await? else {
                cluster::wait(&mut pause, self.deadline).await?;
                continue;
            };
            let errors = answer.error.into_iter().chain(answer.pairs.iter().filter_map(|pair| pair.error.clone()));
            let locks = errors.map(locked).collect::<Result<Vec<_>, _>>()?;
            if !locks.is_empty() {
                self.settle(locks).await?;
                continue;
            }
            let whole = answer.pairs.len() < wanted;
            match (direction, answer.pairs.last()) {
                (Direction::Forward, Some(last)) if !whole => rest.start = [last.key.as_slice(), &[0]].concat(),
                (Direction::Backward, Some(last)) if !whole => rest.end.clone_from(&last.key),
                (Direction::Forward, _) => rest.start = part.end,
                (Direction::Backward, _) => rest.end = part.start,
            }
            found.extend(answer.pairs.into_iter().map(|pair| (pair.key, pair.value)));
        }
        Ok(found)
    }

    /// Values of keys, with their lanes.
    pub async fn get(&self, keys: &[&[u8]]) -> Result<Vec<Option<Versioned>>, Failure> {
        let places: Vec<_> = keys.iter().map(|key| self.space.value(key)).collect();
        let found = self.get_raw(places.clone()).await?;
        let values = places.iter().map(|place| found.get(place).map(|bytes| Stored::decode(place, bytes)).transpose());
        let values = values.collect::<Result<Vec<_>, _>>().map_err(Failure::Refused)?;
        let has_lanes = |value: &Option<Stored>| value.as_ref().is_some_and(|value| value.kind.has_lanes());
        let counters = places.iter().zip(&values).filter(|(_, value)| has_lanes(value)).map(|(place, _)| place.clone());
        let lanes = self.lanes_of(counters.collect()).await?;
        let joined = keys.iter().zip(&places).zip(values).map(|((key, place), value)| {
            let lanes = lanes.get(place).map_or(&[][..], Vec::as_slice);
            value.map(|value| value.joined(key, lanes)).transpose().map_err(Failure::Refused)
        });
        joined.collect()
    }

    pub async fn lanes(&self, place: &[u8]) -> Result<Lanes, Failure> {
        let lanes = self.lanes_of(vec![place.to_vec()]).await?;
        Ok(lanes.into_values().next().unwrap_or_default())
    }

    /// By the places of the counters.
    pub async fn lanes_of(&self, places: Vec<Vec<u8>>) -> Result<HashMap<Vec<u8>, Lanes>, Failure> {
        let ranges: Vec<KeyRange> = places.iter().map(|place| lanes(place)).collect();
        let found = self.scan_each(&ranges, false).await?;
        let decode = |(place, bytes): Raw| {
            let stored = Stored::decode(&place, &bytes).map_err(Failure::Refused)?;
            Ok((place, stored))
        };
        let decoded = found.into_iter().map(|raw| raw.into_iter().map(decode).collect::<Result<Lanes, Failure>>());
        places.into_iter().zip(decoded).map(|(place, lanes)| Ok((place, lanes?))).collect()
    }

    /// What is in each of these ranges. Those that lie close together are asked for at once, with what lies between them: a
    /// transaction may look at hundreds, with next to nothing in any, and the longer that takes, the more readers hold it back.
    pub async fn scan_each(&self, ranges: &[KeyRange], keys_only: bool) -> Result<Vec<Vec<Raw>>, Failure> {
        let mut order: Vec<usize> = (0..ranges.len()).collect();
        order.sort_by(|one, other| ranges[*one].start.cmp(&ranges[*other].start));
        let mut found = vec![Vec::new(); ranges.len()];
        let mut parts: Vec<&[usize]> = order.chunks(if ranges.len() > ALONE_MAX { ranges.len() } else { 1 }).collect();
        while !parts.is_empty() {
            let scans = parts.iter().map(|part| async {
                let end = part.iter().map(|range| &ranges[*range].end).max().expect("no part is empty");
                let span = KeyRange { start: ranges[part[0]].start.clone(), end: end.clone() };
                let limit = if part.len() == 1 { usize::MAX } else { part.len() * BETWEEN_MAX };
                let raw = self.scan_raw(&span, limit, Direction::Forward, keys_only).await?;
                Ok::<_, Failure>((raw.len() < limit).then_some(raw))
            });
            let scanned = try_join_all(scans).await?;
            let mut too_much = Vec::new();
            for (part, raw) in parts.into_iter().zip(scanned) {
                let Some(raw) = raw else {
                    too_much.extend(<[_; 2]>::from(part.split_at(part.len() / 2)));
                    continue;
                };
                for (place, bytes) in raw {
                    let holds = |range: &&usize| (&ranges[**range].start..&ranges[**range].end).contains(&&place);
                    for range in part.iter().filter(holds) {
                        found[*range].push((place.clone(), bytes.clone()));
                    }
                }
            }
            parts = too_much;
        }
        Ok(found)
    }

    /// At most `limit` pairs of a range, counters with their lanes.
    pub async fn scan(
        &self,
        range: &KeyRange,
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<VersionedPair>, Failure> {
        let (mut rest, mut found) = (self.space.range(range), Vec::new());
        while found.len() < limit && rest.start < rest.end {
            let wanted = limit - found.len();
            let raw = self.scan_raw(&rest, wanted, direction, false).await?;
            let whole = raw.len() < wanted;
            let mut groups: BTreeMap<Vec<u8>, Group> = BTreeMap::new();
            for (place, bytes) in raw {
                let stored = Stored::decode(&place, &bytes).map_err(Failure::Refused)?;
                match self.space.parse(&place) {
                    Some(Place::Value(key)) => groups.entry(key).or_default().value = Some(stored),
                    Some(Place::Lane(key)) => groups.entry(key).or_default().lanes.push((place, stored)),
                    None => {
                        let why = format!("tikv: {} is no place of a value", place.escape_ascii());
                        return Err(Failure::Refused(shoal_kv::KvError::Damaged(why)));
                    }
                }
            }
            // The group that the page may have cut.
            let last = match direction {
                Direction::Forward => groups.last_entry(),
                Direction::Backward => groups.first_entry(),
            };
            if let Some(mut last) = last {
                let place = self.space.value(last.key());
                match direction {
                    Direction::Forward => rest.start.clone_from(&lanes(&place).end),
                    Direction::Backward => rest.end.clone_from(&place),
                }
                let group = last.get_mut();
                if !whole && group.value.as_ref().is_none_or(|value| value.kind.has_lanes()) {
                    group.lanes = self.lanes(&place).await?;
                    if group.value.is_none() {
                        let bytes = self.get_raw(vec![place.clone()]).await?.remove(&place);
                        let value = bytes.map(|bytes| Stored::decode(&place, &bytes)).transpose();
                        group.value = value.map_err(Failure::Refused)?;
                    }
                }
            }
            let joined = |(key, group): (Vec<u8>, Group)| {
                let Some(value) = group.value else {
                    let why = format!("tikv: {} has lanes and no value", key.escape_ascii());
                    return Err(Failure::Refused(shoal_kv::KvError::Damaged(why)));
                };
                let mut lanes = group.lanes;
                lanes.sort_by(|one, other| one.0.cmp(&other.0));
                let versioned = value.joined(&key, &lanes).map_err(Failure::Refused)?;
                Ok((key, versioned))
            };
            let pairs = groups.into_iter().map(joined).collect::<Result<Vec<_>, _>>()?;
            match direction {
                Direction::Forward => found.extend(pairs),
                Direction::Backward => found.extend(pairs.into_iter().rev()),
            }
            if whole {
                break;
            }
        }
        Ok(found)
    }

    fn context(&self) -> Context {
        Context { passed_locks: self.passed.borrow().iter().copied().collect(), ..Context::default() }
    }

    /// Makes these locks no obstacle any more.
    async fn settle(&self, locks: Vec<Lock>) -> Result<(), Failure> {
        if locks.is_empty() {
            return Ok(());
        }
        let now = match self.forcing {
            true => u64::MAX,
            false => self.cluster.placement.timestamp(self.deadline).await?,
        };
        let mut waiting = false;
        for (transaction, keys) in locks::by_transaction(locks) {
            match locks::fate(self.cluster, &transaction, self.moment, now, self.deadline).await? {
                Fate::Alive { held_back: true } => drop(self.passed.borrow_mut().insert(transaction.start)),
                // Its primary is not there yet.
                Fate::Alive { held_back: false } => waiting = true,
                fate => locks::resolve(self.cluster, &transaction, fate, keys, self.deadline).await?,
            }
        }
        if waiting {
            tokio::time::sleep(PRIMARY_PAUSE).await;
        }
        Ok(())
    }
}

#[derive(Default)]
struct Group {
    value: Option<Stored>,
    lanes: Vec<(Vec<u8>, Stored)>,
}

/// What else than a lock a read could fail by, we know nothing of.
fn locked(error: KeyError) -> Result<Lock, Failure> {
    error.locked.ok_or_else(|| Failure::Later(format!("tikv: a read was refused: {}{}", error.retryable, error.abort)))
}

const PAGE: usize = 1024;
/// For each of several ranges that are asked for together, so many places beside what they hold.
const BETWEEN_MAX: usize = 8;
/// So few are asked for each by itself, all at once.
const ALONE_MAX: usize = 16;
const PRIMARY_PAUSE: Duration = Duration::from_millis(1);
