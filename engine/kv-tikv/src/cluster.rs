//! The stores: which region a key lies in, and requests to regions wherever they are by now.

use crate::keys;
use crate::messages::{Peer, Region, RegionAnswer, RegionError, RegionRequest};
use crate::placement::Placement;
use crate::wire::Wire;
use futures_util::future::try_join_all;
use shoal_kv::{Direction, KeyRange, KvError};
use shoal_kv_remote::Failure;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

pub(crate) struct Cluster {
    pub placement: Placement,
    wire: Arc<Wire>,
    /// By where they end, as the placement driver writes keys; the last of all under `LAST`.
    regions: RwLock<BTreeMap<Vec<u8>, Arc<Place>>>,
    stores: RwLock<HashMap<u64, String>>,
}

/// A region as we know it.
#[derive(Clone)]
pub(crate) struct Place {
    region: Region,
    leader: Peer,
    address: String,
}

impl Cluster {
    pub fn new(wire: Wire, named: Vec<String>) -> Self {
        let wire = Arc::new(wire);
        let placement = Placement::new(wire.clone(), named);
        Cluster { placement, wire, regions: RwLock::default(), stores: RwLock::default() }
    }

    /// One request about these items to each region, all at once, in parts of bounded size; again where a region has moved. Gives
    /// each answer with the items it is about.
    pub async fn ask_each<T: Clone, Q: RegionRequest>(
        &self,
        items: Vec<T>,
        key: impl Fn(&T) -> &[u8],
        bytes: impl Fn(&T) -> usize,
        question: impl Fn(Vec<T>) -> Q,
        deadline: Instant,
    ) -> Result<Vec<(Vec<T>, Q::Answer)>, Failure> {
        let (mut left, mut answers, mut pause) = (items, Vec::new(), PAUSE_MIN);
        loop {
            let parts = self.parts(std::mem::take(&mut left), &key, &bytes, deadline).await?;
            let asked = parts.into_iter().map(|(place, part)| {
                let question = question(part.clone());
                async move { Ok::<_, Failure>((self.ask(&place, question, deadline).await?, part)) }
            });
            for (answer, part) in try_join_all(asked).await? {
                match answer {
                    Some(answer) => answers.push((part, answer)),
                    None => left.extend(part),
                }
            }
            if left.is_empty() {
                return Ok(answers);
            }
            wait(&mut pause, deadline).await?;
        }
    }

    /// The same about one key.
    pub async fn ask_one<Q: RegionRequest>(
        &self,
        key: &[u8],
        question: &Q,
        deadline: Instant,
    ) -> Result<Q::Answer, Failure> {
        let mut pause = PAUSE_MIN;
        loop {
            let place = self.place(key, deadline).await?;
            if let Some(answer) = self.ask(&place, question.clone(), deadline).await? {
                return Ok(answer);
            }
            wait(&mut pause, deadline).await?;
        }
    }

    /// `None`: the region is not as we knew it.
    pub async fn ask<Q: RegionRequest>(
        &self,
        place: &Place,
        mut question: Q,
        deadline: Instant,
    ) -> Result<Option<Q::Answer>, Failure> {
        let context = question.context().get_or_insert_default();
        context.region = place.region.id;
        context.epoch.clone_from(&place.region.epoch);
        context.peer = Some(place.leader.clone());
        let answer = self.wire.ask::<Q::Answer>(&place.address, Q::PATH, question, deadline).await;
        let mut answer = answer.inspect_err(|_| self.forget_store(place))?;
        match answer.take_region_error() {
            None => Ok(Some(answer)),
            Some(error) => self.learn(place, error).map(|()| None),
        }
    }

    async fn parts<T>(
        &self,
        items: Vec<T>,
        key: impl Fn(&T) -> &[u8],
        bytes: impl Fn(&T) -> usize,
        deadline: Instant,
    ) -> Result<Vec<(Arc<Place>, Vec<T>)>, Failure> {
        let mut parts: Vec<(Arc<Place>, Vec<T>, usize)> = Vec::new();
        for item in items {
            let (place, size) = (self.place(key(&item), deadline).await?, bytes(&item));
            let part = parts.iter_mut().rev().find(|(other, part, total)| {
                other.region.id == place.region.id && total + size <= PART_BYTES_MAX && part.len() < PART_ITEMS_MAX
            });
            match part {
                Some((_, part, total)) => {
                    part.push(item);
                    *total += size;
                }
                None => parts.push((place, vec![item], size)),
            }
        }
        Ok(parts.into_iter().map(|(place, part, _)| (place, part)).collect())
    }

    pub async fn place(&self, key: &[u8], deadline: Instant) -> Result<Arc<Place>, Failure> {
        let key = keys::encode_for_placement(key);
        if let Some(place) = self.known(&key) {
            return Ok(place);
        }
        let (region, leader) = self.placement.region(key, deadline).await?;
        let leader = leader.filter(|leader| leader.id != 0).or_else(|| region.peers.first().cloned());
        let leader = leader.ok_or_else(|| Failure::Lost(format!("tikv: region {} has no leader", region.id)))?;
        let place = Arc::new(Place { address: self.address(leader.store, deadline).await?, region, leader });
        self.remember(place.clone());
        Ok(place)
    }

    /// The part of a range, at its beginning or at its end, that lies in one region, and that region: it has to be asked, and
    /// no other that has come in its place, which may hold less of it.
    pub async fn part_of(
        &self,
        range: &KeyRange,
        direction: Direction,
        deadline: Instant,
    ) -> Result<(Arc<Place>, KeyRange), Failure> {
        let mut start = range.start.clone();
        loop {
            let place = self.place(&start, deadline).await?;
            let region_end = place.end()?;
            let within = region_end.is_empty() || region_end >= range.end;
            if within || direction == Direction::Forward {
                let end = if within { range.end.clone() } else { region_end };
                return Ok((place, KeyRange { start, end }));
            }
            start = region_end;
        }
    }

    fn known(&self, key: &[u8]) -> Option<Arc<Place>> {
        let regions = self.regions.read().expect("no panic under this lock");
        let (_, place) = regions.range::<[u8], _>((Bound::Excluded(key), Bound::Unbounded)).next()?;
        (place.region.start.as_slice() <= key).then(|| place.clone())
    }

    fn remember(&self, place: Arc<Place>) {
        let end = if place.region.end.is_empty() { LAST.to_vec() } else { place.region.end.clone() };
        let mut regions = self.regions.write().expect("no panic under this lock");
        // Those that it overlaps are no more.
        regions.retain(|other, known| *other <= place.region.start || known.region.start >= end);
        regions.insert(end, place);
    }

    async fn address(&self, store: u64, deadline: Instant) -> Result<String, Failure> {
        if let Some(address) = self.stores.read().expect("no panic under this lock").get(&store) {
            return Ok(address.clone());
        }
        let address = self.placement.store(store, deadline).await?;
        self.stores.write().expect("no panic under this lock").insert(store, address.clone());
        Ok(address)
    }

    fn forget_store(&self, place: &Place) {
        self.stores.write().expect("no panic under this lock").remove(&place.leader.store);
        self.forget(place);
    }

    fn forget(&self, place: &Place) {
        let mut regions = self.regions.write().expect("no panic under this lock");
        regions.retain(|_, known| known.region.id != place.region.id);
    }

    fn learn(&self, place: &Place, error: RegionError) -> Result<(), Failure> {
        let leader = error.not_leader.and_then(|error| error.leader).filter(|leader| leader.id != 0);
        let stores = self.stores.read().expect("no panic under this lock");
        let address = leader.as_ref().and_then(|leader| stores.get(&leader.store).cloned());
        drop(stores);
        match (leader, address) {
            _ if error.disk_full.is_some() => {
                return Err(Failure::Refused(KvError::NoSpace(format!("tikv: {}", error.message))));
            }
            (Some(leader), Some(address)) => {
                self.remember(Arc::new(Place { region: place.region.clone(), leader, address }));
            }
            // A busy store is still the right one.
            _ if error.busy.is_some() => {}
            _ => self.forget(place),
        }
        Ok(())
    }
}

impl Place {
    /// In our keys; empty: it goes on to the last of all.
    fn end(&self) -> Result<Vec<u8>, Failure> {
        keys::decode_from_placement(&self.region.end)
            .ok_or_else(|| Failure::Lost(format!("tikv: region {} does not end at a key", self.region.id)))
    }

    pub fn holds(&self, key: &[u8]) -> bool {
        let (key, Region { start, end, .. }) = (keys::encode_for_placement(key), &self.region);
        *start <= key && (end.is_empty() || key < *end)
    }
}

pub(crate) async fn wait(pause: &mut Duration, deadline: Instant) -> Result<(), Failure> {
    if Instant::now() + *pause >= deadline {
        return Err(Failure::Lost("tikv: regions move again and again".into()));
    }
    tokio::time::sleep(*pause).await;
    *pause = (*pause * 2).min(PAUSE_MAX);
    Ok(())
}

/// Behind every key: groups end in at most this byte, and there is no end of so many of them.
const LAST: [u8; 17] = [0xff; 17];
/// Of one request, unless a single item is larger.
const PART_BYTES_MAX: usize = 512 << 10;
const PART_ITEMS_MAX: usize = 1024;
pub(crate) const PAUSE_MIN: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(200);
