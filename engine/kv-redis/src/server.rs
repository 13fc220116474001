//! Where the server is, and how to get a connection to it.

use crate::connection::RedisConnection;
use crate::durability::Durability;
use crate::error;
use crate::listener::RedisListener;
use crate::place::{Places, SENTINEL_USER};
use crate::scripts::Scripts;
use crate::snapshot::RedisSnapshot;
use shoal_kv::{KvResult, Snapshot};
use shoal_kv_remote::{Address, AddressError, Commits, Failure, Listener, Server, Tls};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub struct RedisServer {
    places: Places,
    names: Arc<Names>,
    /// That must have a commit before it counts as done.
    replicas: Replicas,
    /// Numbers for slots that nobody else uses.
    slots: (RandomState, AtomicU64),
}

/// Of the keys of one volume on the server, and of the channel that tells of commits.
pub(crate) struct Names {
    pub order: String,
    pub values: String,
    pub commits: String,
    pub slot_prefix: String,
    pub snapshot: String,
    pub changed: String,
    pub before: String,
    /// Of all commits, and of those that stamp a key.
    pub channel: String,
    pub stamped_channel: String,
}

impl RedisServer {
    /// What acknowledged commits survive, as the server is set now.
    pub fn durability(&self) -> KvResult<Durability> {
        Durability::of(&mut self.open().map_err(Failure::into_error)?)
    }

    fn open(&self) -> Result<redis::Connection, Failure> {
        self.places.connect()
    }

    fn new_slot(&self) -> u64 {
        let (state, counter) = &self.slots;
        state.hash_one(counter.fetch_add(1, Ordering::Relaxed))
    }
}

impl Server for RedisServer {
    type Connection = RedisConnection;

    fn at(address: &Address, answer_max: Duration) -> Result<Self, AddressError> {
        address.check_options(&[&["prefix", "group", "replicas", SENTINEL_USER][..], &Tls::OPTIONS].concat())?;
        let names = Arc::new(Names::new(address.prefix()?));
        let places = Places::at(address, &names.commits, answer_max)?;
        let replicas = match address.option("replicas").map(str::parse) {
            None => 0,
            Some(Ok(count)) => count,
            Some(Err(_)) => return Err(AddressError("replicas is a number".into())),
        };
        let replicas = Replicas { count: replicas, answer_max };
        Ok(RedisServer { places, names, replicas, slots: (RandomState::new(), AtomicU64::new(0)) })
    }

    /// Keys need no preparing.
    fn prepare(&self, _: bool) -> KvResult<bool> {
        Ok(true)
    }

    fn durability_warning(&self) -> KvResult<Option<String>> {
        let losing = self.places.may_move() && self.replicas.count == 0;
        let fail_over = losing.then(|| FAIL_OVER_WARNING.to_string());
        let warnings: Vec<String> = self.durability()?.warning().into_iter().chain(fail_over).collect();
        Ok((!warnings.is_empty()).then(|| warnings.join("; and ")))
    }

    fn destroy(&self) -> KvResult<()> {
        let names = &self.names;
        let mut connection = self.open().map_err(Failure::into_error)?;
        redis::cmd("UNLINK")
            .arg(&[&names.order, &names.values, &names.commits, &names.snapshot, &names.changed, &names.before])
            .exec(&mut connection)
            .map_err(|error| error::translate(error).into_error())
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot>, Failure> {
        let mut wire = self.open()?;
        let scripts = Scripts::load(&mut wire)?;
        Ok(Box::new(RedisSnapshot::take(wire, scripts, self.names.clone(), self.new_slot())?))
    }

    fn connect(&self) -> Result<RedisConnection, Failure> {
        let mut connection = self.open()?;
        let scripts = Scripts::load(&mut connection)?;
        RedisConnection::new(connection, scripts, self.names.clone(), self.new_slot(), self.replicas)
    }

    fn listen(&self, to: Commits) -> KvResult<Option<Box<dyn Listener>>> {
        let channel = match to {
            Commits::All => &self.names.channel,
            Commits::Stamped => &self.names.stamped_channel,
        };
        let connection = self.open().map_err(Failure::into_error)?;
        let listener = RedisListener::new(connection, channel).map_err(Failure::into_error)?;
        Ok(Some(Box::new(listener)))
    }
}

impl Names {
    fn new(prefix: &str) -> Self {
        let name = |what: &str| format!("{{{prefix}}}{what}");
        Names {
            order: name("order"),
            values: name("values"),
            commits: name("commits"),
            slot_prefix: name("slot:"),
            snapshot: name("snapshot"),
            changed: name("changed"),
            before: name("before"),
            channel: name("committed"),
            stamped_channel: name("stamped"),
        }
    }

    pub fn slot(&self, slot: u64) -> String {
        format!("{}{slot:016x}", self.slot_prefix)
    }
}

/// How many replicas must have a commit, and how long a server's answer may take.
#[derive(Clone, Copy)]
pub(crate) struct Replicas {
    pub count: u32,
    pub answer_max: Duration,
}

const FAIL_OVER_WARNING: &str = "a fail-over loses the acknowledged changes that had not reached the replica; only with replicas=1 \
                                 (or more) in the URL is each change on so many before it counts as done";
