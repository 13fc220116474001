//! Where the server is, and how to get a connection to it.

use crate::connection::RedisConnection;
use crate::durability::Durability;
use crate::error;
use crate::listener::RedisListener;
use crate::scripts::Scripts;
use crate::snapshot::RedisSnapshot;
use redis::io::tcp::TcpSettings;
use redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, TlsCertificates,
};
use shoal_kv::{KvResult, Snapshot};
use shoal_kv_remote::{Address, AddressError, Commits, Failure, Listener, Server, Tls};
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub struct RedisServer {
    place: ConnectionInfo,
    tls: Option<Tls>,
    names: Arc<Names>,
    answer_max: Duration,
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

    /// Reads the files that TLS needs.
    fn client(&self) -> Result<Client, Failure> {
        let place = self.place.clone();
        let Some(Tls { ca, identity }) = &self.tls else { return Client::open(place).map_err(error::translate) };
        Tls::install_cryptography();
        let read = |path: &PathBuf| Tls::read(path).map_err(Failure::Refused);
        let client_tls = match identity {
            Some((certificate, key)) => {
                Some(ClientTlsConfig { client_cert: read(certificate)?, client_key: read(key)? })
            }
            None => None,
        };
        let certificates = TlsCertificates { client_tls, root_cert: ca.as_ref().map(read).transpose()? };
        Client::build_with_tls(place, certificates).map_err(error::translate)
    }

    fn open(&self) -> Result<redis::Connection, Failure> {
        let connection = self.client()?.get_connection_with_timeout(self.answer_max).map_err(error::translate)?;
        let limits = |connection: &redis::Connection| {
            connection.set_read_timeout(Some(self.answer_max))?;
            connection.set_write_timeout(Some(self.answer_max))
        };
        limits(&connection).map_err(error::translate)?;
        Ok(connection)
    }

    fn new_slot(&self) -> u64 {
        let (state, counter) = &self.slots;
        state.hash_one(counter.fetch_add(1, Ordering::Relaxed))
    }
}

impl Server for RedisServer {
    type Connection = RedisConnection;

    fn at(address: &Address, answer_max: Duration) -> Result<Self, AddressError> {
        address.check_options(&[&["prefix"][..], &Tls::OPTIONS].concat())?;
        let tls = address.tls(address.scheme == "rediss")?;
        let database = match address.path.as_str() {
            "" => 0,
            path => path.parse().map_err(|_| AddressError("the path is the number of a database, like /0".into()))?,
        };
        let mut login = RedisConnectionInfo::default().set_db(database).set_skip_set_lib_name();
        if let Some(user) = &address.user {
            login = login.set_username(user);
        }
        if let Some(password) = &address.password {
            login = login.set_password(password);
        }
        let (host, port) = (address.host.clone(), address.port.unwrap_or(PORT_DEFAULT));
        let place = match tls {
            Some(_) => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
            None => ConnectionAddr::Tcp(host, port),
        };
        let tcp = TcpSettings::default().set_nodelay(true);
        let info = |place: ConnectionAddr| -> redis::RedisResult<ConnectionInfo> {
            Ok(place.into_connection_info()?.set_tcp_settings(tcp).set_redis_settings(login))
        };
        let place = info(place).map_err(|error| AddressError(error.to_string()))?;
        let names = Arc::new(Names::new(address.prefix()?));
        Ok(RedisServer { place, tls, names, answer_max, slots: (RandomState::new(), AtomicU64::new(0)) })
    }

    /// Keys need no preparing.
    fn prepare(&self, _: bool) -> KvResult<bool> {
        Ok(true)
    }

    fn durability_warning(&self) -> KvResult<Option<String>> {
        Ok(self.durability()?.warning())
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
        RedisConnection::new(connection, scripts, self.names.clone(), self.new_slot())
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

const PORT_DEFAULT: u16 = 6379;
