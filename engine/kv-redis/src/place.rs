//! Which server has the keys: the one that is named, the primary that Sentinels name, or the node of a cluster that serves the
//! keys' hash slot. It's looked up for each new connection; connections end when what is behind them is not it any more.
//!
//! A replica that is promoted may lack what the old primary had acknowledged. So with `replicas=N` nothing counts as
//! done before so many of them have it.

use crate::error::{self, unexpected};
use redis::io::tcp::TcpSettings;
use redis::{
    Client, ClientTlsConfig, Connection, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo,
    RedisResult, TlsCertificates, Value,
};
use shoal_kv::KvError;
use shoal_kv_remote::{Address, AddressError, Failure, Tls};
use std::path::PathBuf;
use std::time::Duration;

pub(crate) struct Places {
    way: Way,
    /// At least one.
    named: Vec<Place>,
    login: RedisConnectionInfo,
    tls: Option<Tls>,
    answer_max: Duration,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Place {
    host: String,
    port: u16,
}

enum Way {
    Named,
    /// They know the group of servers by this name. Their users and passwords are their own.
    Sentinels(String, Box<RedisConnectionInfo>),
    /// All keys have the hash slot of this one.
    Cluster(String),
}

impl Places {
    /// `key`: one of those that share a hash slot.
    pub fn at(address: &Address, key: &str, answer_max: Duration) -> Result<Self, AddressError> {
        let wrong = |why: &str| AddressError(why.into());
        let group = address.option("group");
        let way = match (address.scheme.as_str(), group) {
            (SENTINEL, Some(group)) if !group.is_empty() => {
                let login = login(address.option(SENTINEL_USER), address.sentinel_password.as_deref());
                Way::Sentinels(group.into(), Box::new(login))
            }
            (SENTINEL, _) => return Err(wrong("it needs group=NAME: what the Sentinels call the servers they watch")),
            (_, Some(_)) => return Err(wrong("group is for redis-sentinel://")),
            (_, None) if address.option(SENTINEL_USER).is_some() => {
                return Err(wrong("sentinel_user is for redis-sentinel://"));
            }
            (CLUSTER, None) => Way::Cluster(key.into()),
            (_, None) => Way::Named,
        };
        if let Way::Named = way {
            address.require_one_host()?;
        }
        let database = match (address.path.as_str(), &way) {
            ("" | "0", _) => 0,
            (_, Way::Cluster(_)) => return Err(wrong("a cluster has no databases but /0")),
            (path, _) => path.parse().map_err(|_| wrong("the path is the number of a database, like /0"))?,
        };
        let login = login(address.user.as_deref(), address.password.as_deref()).set_db(database);
        let port_default = if address.scheme == SENTINEL { SENTINEL_PORT_DEFAULT } else { PORT_DEFAULT };
        let named = address.hosts().map(|(host, port)| Place { host: host.into(), port: port.unwrap_or(port_default) });
        let tls = address.tls(address.scheme == "rediss")?;
        Ok(Places { way, named: named.collect(), login, tls, answer_max })
    }

    /// Another server may come to have the keys.
    pub fn may_move(&self) -> bool {
        !matches!(self.way, Way::Named)
    }

    /// To the server that has the keys.
    pub fn connect(&self) -> Result<Connection, Failure> {
        match &self.way {
            Way::Named => self.open(&self.named[0], self.login.clone(), self.answer_max),
            Way::Sentinels(group, login) => {
                let primary = self.ask(login, |wire, _| primary_of(wire, group)).map_err(of_sentinel)?;
                let mut wire = self.open(&primary, self.login.clone(), self.answer_max)?;
                match is_primary(&mut wire)? {
                    true => Ok(wire),
                    false => Err(Failure::Lost(format!("redis: {}:{} is no primary yet", primary.host, primary.port))),
                }
            }
            Way::Cluster(key) => {
                let node = self.ask(&self.login, |wire, asked| node_of(wire, key, asked))?;
                self.open(&node, self.login.clone(), self.answer_max)
            }
        }
    }

    /// The first answer of those that are named.
    fn ask(
        &self,
        login: &RedisConnectionInfo,
        question: impl Fn(&mut Connection, &Place) -> Result<Place, Failure>,
    ) -> Result<Place, Failure> {
        let mut failure = Failure::Lost("redis: nobody is named who could be asked".into());
        for place in &self.named {
            let answer = self.open(place, login.clone(), self.answer_max.min(ASK_MAX));
            match answer.and_then(|mut wire| question(&mut wire, place)) {
                Ok(place) => return Ok(place),
                Err(refused @ Failure::Refused(_)) => return Err(refused),
                Err(other) => failure = other,
            }
        }
        Err(failure)
    }

    fn open(&self, place: &Place, login: RedisConnectionInfo, answer_max: Duration) -> Result<Connection, Failure> {
        let wire = self.client(place, login)?.get_connection_with_timeout(answer_max).map_err(error::translate)?;
        let limits = |wire: &Connection| {
            wire.set_read_timeout(Some(self.answer_max))?;
            wire.set_write_timeout(Some(self.answer_max))
        };
        limits(&wire).map_err(error::translate)?;
        Ok(wire)
    }

    /// Reads the files that TLS needs.
    fn client(&self, place: &Place, login: RedisConnectionInfo) -> Result<Client, Failure> {
        let (host, port) = (place.host.clone(), place.port);
        let address = match self.tls {
            Some(_) => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
            None => ConnectionAddr::Tcp(host, port),
        };
        let tcp = TcpSettings::default().set_nodelay(true);
        let info = |address: ConnectionAddr| -> RedisResult<ConnectionInfo> {
            Ok(address.into_connection_info()?.set_tcp_settings(tcp).set_redis_settings(login))
        };
        let info = info(address).map_err(error::translate)?;
        let Some(Tls { ca, identity }) = &self.tls else { return Client::open(info).map_err(error::translate) };
        Tls::install_cryptography();
        let read = |path: &PathBuf| Tls::read(path).map_err(Failure::Refused);
        let client_tls = match identity {
            Some((certificate, key)) => {
                Some(ClientTlsConfig { client_cert: read(certificate)?, client_key: read(key)? })
            }
            None => None,
        };
        let certificates = TlsCertificates { client_tls, root_cert: ca.as_ref().map(read).transpose()? };
        Client::build_with_tls(info, certificates).map_err(error::translate)
    }
}

fn login(user: Option<&str>, password: Option<&str>) -> RedisConnectionInfo {
    let mut login = RedisConnectionInfo::default().set_skip_set_lib_name();
    if let Some(user) = user {
        login = login.set_username(user);
    }
    if let Some(password) = password {
        login = login.set_password(password);
    }
    login
}

/// Says who refuses: the servers' password may well be right.
fn of_sentinel(failure: Failure) -> Failure {
    match failure {
        Failure::Refused(KvError::Permission(text)) => Failure::Refused(KvError::Permission(format!(
            "a Sentinel, which has a password of its own, refuses: {text}"
        ))),
        other => other,
    }
}

fn primary_of(wire: &mut Connection, group: &str) -> Result<Place, Failure> {
    let mut question = redis::cmd("SENTINEL");
    question.arg("GET-MASTER-ADDR-BY-NAME").arg(group);
    match question.query::<Option<(String, u16)>>(wire).map_err(error::translate)? {
        Some((host, port)) => Ok(Place { host, port }),
        None => Err(Failure::Later(format!("redis: the Sentinels know no group '{group}'"))),
    }
}

fn is_primary(wire: &mut Connection) -> Result<bool, Failure> {
    match redis::cmd("ROLE").query::<Value>(wire).map_err(error::translate)? {
        Value::Array(role) => Ok(role.first() == Some(&Value::BulkString(b"master".to_vec()))),
        _ => Err(unexpected("a role that is no list")),
    }
}

/// As `CLUSTER SLOTS` tells: the first and last slot of each range, then its nodes, the primary first, each with address and
/// port. Who names no address means the one at which he was asked.
fn node_of(wire: &mut Connection, key: &str, asked: &Place) -> Result<Place, Failure> {
    let slot: i64 = redis::cmd("CLUSTER").arg("KEYSLOT").arg(key).query(wire).map_err(error::translate)?;
    let ranges: Vec<Vec<Value>> = redis::cmd("CLUSTER").arg("SLOTS").query(wire).map_err(error::translate)?;
    for range in ranges {
        let [Value::Int(first), Value::Int(last), Value::Array(primary), ..] = range.as_slice() else {
            return Err(unexpected("a range of slots"));
        };
        if !(*first..=*last).contains(&slot) {
            continue;
        }
        let host = match primary.first() {
            Some(Value::BulkString(host)) if !host.is_empty() => String::from_utf8_lossy(host).into_owned(),
            Some(Value::BulkString(_) | Value::Nil) => asked.host.clone(),
            _ => return Err(unexpected("a node without an address")),
        };
        return match primary.get(1) {
            Some(Value::Int(port)) => {
                let port = u16::try_from(*port).map_err(|_| unexpected("a port beyond 65535"))?;
                Ok(Place { host, port })
            }
            _ => Err(unexpected("a node without a port")),
        };
    }
    Err(Failure::Later(format!("redis: no node of the cluster serves slot {slot}")))
}

pub(crate) const CLUSTER: &str = "redis-cluster";
pub(crate) const SENTINEL: &str = "redis-sentinel";
/// The option that names a Sentinel's user.
pub(crate) const SENTINEL_USER: &str = "sentinel_user";
const PORT_DEFAULT: u16 = 6379;
const SENTINEL_PORT_DEFAULT: u16 = 26379;
/// For who only knows where the keys are: there are others to ask.
const ASK_MAX: Duration = Duration::from_secs(2);
