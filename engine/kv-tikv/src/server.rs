//! Where the cluster is, and what of it is a volume's.

use crate::cluster::Cluster;
use crate::commit::Committing;
use crate::connection::{Shared, TikvConnection};
use crate::keys::Space;
use crate::placement::LOGICAL_BITS;
use crate::snapshot::TikvSnapshot;
use crate::stored::{Kind, Stored};
use crate::two_phases::Writes;
use crate::wire::Wire;
use shoal_kv::{Direction, KeyRange, KvError, KvResult, Snapshot};
use shoal_kv_remote::{Address, AddressError, Failure, Server, Tls};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::runtime::Builder;

pub struct TikvServer {
    members: Vec<String>,
    space: Space,
    tls: Option<Tls>,
    answer_max: Duration,
    /// Made when it is first needed: a daemon forks before.
    shared: OnceLock<Arc<Shared>>,
    /// Numbers for slots that nobody else uses.
    slots: (RandomState, AtomicU64),
}

impl TikvServer {
    fn shared(&self) -> Result<Arc<Shared>, Failure> {
        if let Some(shared) = self.shared.get() {
            return Ok(shared.clone());
        }
        let runtime = Builder::new_multi_thread().worker_threads(THREADS).thread_name("tikv").enable_all().build();
        let runtime = runtime.map_err(|error| Failure::Later(format!("tikv: starting a runtime: {error}")))?;
        let cluster = Arc::new(Cluster::new(Wire::new(self.tls.clone(), self.answer_max), self.members.clone()));
        let committing = Committing::new(cluster, self.space.clone());
        let shared = Arc::new(Shared { runtime, committing, answer_max: self.answer_max });
        Ok(self.shared.get_or_init(|| shared).clone())
    }

    fn new_slot(&self) -> u64 {
        let (state, counter) = &self.slots;
        state.hash_one(counter.fetch_add(1, Ordering::Relaxed))
    }

    fn mark(&self, create: bool) -> Result<bool, Failure> {
        let shared = self.shared()?;
        let place = self.space.mark();
        if create {
            let mark = |start, there: Option<Stored>| {
                there.is_none().then(|| Stored { kind: Kind::Plain, start, value: FORMAT.to_vec() }.encode())
            };
            shared.run(|deadline| shared.committing.write(&place, mark, deadline))?;
        }
        let found = shared.run(async |deadline| {
            let moment = shared.committing.cluster.placement.timestamp(deadline).await?;
            shared.view(moment, deadline).get_raw(vec![place.clone()]).await
        })?;
        match found.get(&place).map(|bytes| Stored::decode(&place, bytes)).transpose() {
            Ok(None) => Ok(false),
            Ok(Some(mark)) if mark.value == FORMAT => Ok(true),
            Ok(Some(_)) => {
                Err(Failure::Refused(KvError::Other("tikv: the volume was written by a newer version".into())))
            }
            Err(error) => Err(Failure::Refused(error)),
        }
    }

    /// Removes slots that nobody has used for days.
    fn forget_old_slots(&self) -> Result<(), Failure> {
        let shared = self.shared()?;
        let old = |now: u64, start: u64| (now >> LOGICAL_BITS).saturating_sub(start >> LOGICAL_BITS) > SLOT_MILLIS_MAX;
        shared.run(async |deadline| {
            let now = shared.committing.cluster.placement.timestamp(deadline).await?;
            let slots = self.space.slots();
            let found = shared.view(now, deadline).scan_raw(&slots, SLOTS_AT_ONCE, Direction::Forward, false).await?;
            let stored =
                found.into_iter().filter_map(|(place, bytes)| Some((Stored::decode(&place, &bytes).ok()?, place)));
            let places = stored.filter(|(stored, _)| old(now, stored.start)).map(|(_, place)| place).collect();
            remove(&shared, now, places, deadline).await.map(drop)
        })
    }

    /// Some of what is in a range; `false`: there was nothing.
    fn remove_some(&self, range: &KeyRange) -> Result<bool, Failure> {
        let shared = self.shared()?;
        shared.run(async |deadline| {
            let now = shared.committing.cluster.placement.timestamp(deadline).await?;
            let found = shared.view(now, deadline).scan_raw(range, SLOTS_AT_ONCE, Direction::Forward, true).await?;
            let places: Vec<_> = found.into_iter().map(|(place, _)| place).collect();
            match places.is_empty() {
                true => Ok(false),
                false => remove(&shared, now, places, deadline).await.map(|()| true),
            }
        })
    }
}

/// If somebody else is just writing one of them, nothing is done.
async fn remove(shared: &Shared, start: u64, places: Vec<Vec<u8>>, deadline: Instant) -> Result<(), Failure> {
    let Some(primary) = places.first().cloned() else { return Ok(()) };
    let cluster = &shared.committing.cluster;
    let writes = Writes { start, primary, places: places.into_iter().map(|place| (place, None)).collect() };
    if let Err(obstacles) = writes.lock(cluster, deadline).await? {
        return obstacles.clear(cluster, start, deadline).await;
    }
    shared.committing.commit_whenever(&writes, deadline).await?;
    Ok(())
}

impl Server for TikvServer {
    type Connection = TikvConnection;

    fn at(address: &Address, answer_max: Duration) -> Result<Self, AddressError> {
        let wrong = |why: &str| Err(AddressError(why.into()));
        address.check_options(&[&["prefix"][..], &Tls::OPTIONS].concat())?;
        let tls = address.tls(false)?;
        if address.user.is_some() {
            return wrong("TiKV knows no users: who may use it is decided by certificates");
        }
        let prefix = match (address.path.as_str(), address.option("prefix")) {
            ("", _) => address.prefix()?.to_string(),
            (path, None) => Address::checked_prefix(path)?.to_string(),
            (_, Some(_)) => return wrong("the prefix is named twice"),
        };
        let member = |(host, port): (&str, Option<u16>)| {
            let host = if host.contains(':') { format!("[{host}]") } else { host.into() };
            format!("{host}:{}", port.unwrap_or(PORT_DEFAULT))
        };
        Ok(TikvServer {
            members: address.hosts().map(member).collect(),
            space: Space::new(&prefix),
            tls,
            answer_max,
            shared: OnceLock::new(),
            slots: (RandomState::new(), AtomicU64::new(0)),
        })
    }

    fn prepare(&self, create: bool) -> KvResult<bool> {
        let there = self.mark(create).map_err(Failure::into_error)?;
        if there {
            self.forget_old_slots().map_err(Failure::into_error)?;
        }
        Ok(there)
    }

    /// The mark goes last: a volume that is half removed is still one, to be removed again.
    fn destroy(&self) -> KvResult<()> {
        let all = self.space.all_but_the_mark();
        while self.remove_some(&all).map_err(Failure::into_error)? {}
        let mark = self.space.mark();
        let mark = KeyRange { end: [mark.as_slice(), &[0]].concat(), start: mark };
        while self.remove_some(&mark).map_err(Failure::into_error)? {}
        Ok(())
    }

    /// TiKV acknowledges what most replicas have on disk, and can't be told otherwise.
    fn durability_warning(&self) -> KvResult<Option<String>> {
        Ok(None)
    }

    fn connect(&self) -> Result<TikvConnection, Failure> {
        TikvConnection::open(self.shared()?, self.new_slot())
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot>, Failure> {
        Ok(Box::new(TikvSnapshot::take(self.shared()?)?))
    }
}

const PORT_DEFAULT: u16 = 2379;
/// They only wait for answers.
const THREADS: usize = 2;
const FORMAT: &[u8] = b"1";
/// A week: longer than any client goes on waiting for what became of its commit.
const SLOT_MILLIS_MAX: u64 = 7 * 24 * 60 * 60 * 1000;
const SLOTS_AT_ONCE: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: &str) -> Result<TikvServer, AddressError> {
        TikvServer::at(&url.parse().unwrap(), Duration::from_secs(1))
    }

    #[test]
    fn an_address_names_members_and_a_volume() {
        let server = at("tikv://a,b:23790,[::1]/photos").unwrap();
        assert_eq!(server.members, ["a:2379", "b:23790", "[::1]:2379"]);
        assert_eq!(server.space.mark(), Space::new("photos").mark());
        assert_eq!(at("tikv://a?prefix=photos").unwrap().space.mark(), Space::new("photos").mark());
        assert_eq!(at("tikv://a").unwrap().space.mark(), Space::new("shoal").mark());
        for wrong in ["tikv://me@a/b", "tikv://a/b/c", "tikv://a/b?prefix=c", "tikv://a/b?prefx=c", "tikv://a/b?ca=/c"]
        {
            assert!(at(wrong).is_err(), "{wrong}");
        }
    }
}
