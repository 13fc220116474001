//! META-URLs of engines on a server: `redis://`, `rediss://`, `redis-sentinel://`, `redis-cluster://`, `postgres://`, `mysql://`,
//! `fdb://`, `tikv://`.
//!
//! A password comes from the URL, or else from the environment: `SHOAL_META_PASSWORD`, or the file that
//! `SHOAL_META_PASSWORD_FILE` names; that of Sentinels from `SHOAL_META_SENTINEL_PASSWORD` likewise. It is never shown. What is kept of a URL with a password (the orders of a daemon, the
//! state file of a mount) is for its owner's eyes only.

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use serde::{Deserialize, Serialize};
use shoal_kv::{Kv, KvError, KvResult};
use shoal_kv_fdb::FdbServer;
use shoal_kv_mysql::MysqlServer;
use shoal_kv_postgres::PostgresServer;
use shoal_kv_redis::RedisServer;
use shoal_kv_remote::{Address, AddressError, Engine as RemoteEngine, RemoteOptions};
use shoal_kv_tikv::TikvServer;
use std::env;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ServerUrl {
    address: Address,
}

/// What commands do with a server, whichever it is.
trait Engine {
    fn open(self: Box<Self>, create: bool) -> KvResult<Option<Arc<dyn Kv>>>;
    fn destroy(&self) -> KvResult<()>;
    fn durability_warning(&self) -> KvResult<Option<String>>;
}

const SENTINEL: &str = "redis-sentinel";

type At = fn(&Address) -> Result<Box<dyn Engine>, AddressError>;

const ENGINES: [(&str, At); 9] = [
    ("redis", at::<RedisServer>),
    ("rediss", at::<RedisServer>),
    (SENTINEL, at::<RedisServer>),
    ("redis-cluster", at::<RedisServer>),
    ("postgres", at::<PostgresServer>),
    ("postgresql", at::<PostgresServer>),
    ("mysql", at::<MysqlServer>),
    ("fdb", at::<FdbServer>),
    ("tikv", at::<TikvServer>),
];

impl ServerUrl {
    pub fn knows(scheme: &str) -> bool {
        engine_of(scheme).is_some()
    }

    /// Of a scheme that it knows. The refusals don't quote what may be a password.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let parsed = text.parse::<Address>().and_then(|address| {
            server_at(&address)?;
            Ok(ServerUrl { address })
        });
        let scheme = text.split(':').next().unwrap_or_default();
        parsed.map_err(|AddressError(why)| {
            let form = match scheme {
                "fdb" => "/CLUSTER-FILE[?prefix=NAME]",
                "tikv" => "HOST[:PORT][,HOST[:PORT]…]/NAME",
                _ => "[USER[:PASSWORD]@]HOST[:PORT]/DATABASE[?prefix=NAME]",
            };
            Failure::usage(format_args!("{scheme}://…: {why}; write {scheme}://{form}"))
        })
    }

    /// `None`: there is nothing of a volume; with `create`, never.
    pub fn open(&self, create: bool) -> Outcome<Option<Arc<dyn Kv>>> {
        self.engine()?.open(create).map_err(|error| self.explain(&error))
    }

    pub fn remove(&self) -> Outcome<()> {
        self.engine()?.destroy().map_err(|error| self.explain(&error))
    }

    pub fn durability_warning(&self) -> Outcome<Option<String>> {
        self.engine()?.durability_warning().map_err(|error| self.explain(&error))
    }

    fn explain(&self, error: &KvError) -> Failure {
        let cure = match error {
            KvError::Permission(_) if self.address.scheme == SENTINEL => {
                "check the user and SHOAL_META_PASSWORD, and the Sentinels' own: sentinel_user=NAME, SHOAL_META_SENTINEL_PASSWORD"
            }
            KvError::Permission(_) => "check the user in the URL, SHOAL_META_PASSWORD, and what the user may do there",
            _ => return Failure::of_store(self, error),
        };
        Failure::new(Exit::Permission, self, error, cure)
    }

    /// With the password, wherever it comes from.
    fn engine(&self) -> Outcome<Box<dyn Engine>> {
        let mut address = self.address.clone();
        if address.password.is_none() {
            address.password = password("SHOAL_META_PASSWORD")?;
        }
        if address.scheme == SENTINEL {
            address.sentinel_password = password("SHOAL_META_SENTINEL_PASSWORD")?;
        }
        server_at(&address).map_err(|AddressError(why)| Failure::usage(format_args!("{self}: {why}")))
    }
}

fn engine_of(scheme: &str) -> Option<At> {
    ENGINES.iter().find(|(known, _)| *known == scheme).map(|(_, at)| *at)
}

fn server_at(address: &Address) -> Result<Box<dyn Engine>, AddressError> {
    let at = engine_of(&address.scheme).ok_or_else(|| AddressError("it is no server that this build knows".into()))?;
    at(address)
}

fn at<E: RemoteEngine>(address: &Address) -> Result<Box<dyn Engine>, AddressError> {
    Ok(Box::new(E::at(address, ANSWER_MAX)?))
}

impl<E: RemoteEngine> Engine for E {
    fn open(self: Box<Self>, create: bool) -> KvResult<Option<Arc<dyn Kv>>> {
        match self.prepare(create)? {
            true => Ok(Some(RemoteEngine::open(*self, RemoteOptions::default())?)),
            false => Ok(None),
        }
    }

    fn destroy(&self) -> KvResult<()> {
        RemoteEngine::destroy(self)
    }

    fn durability_warning(&self) -> KvResult<Option<String>> {
        RemoteEngine::durability_warning(self)
    }
}

/// What the variable holds, or the file that another one names.
fn password(variable: &str) -> Outcome<Option<String>> {
    if let Ok(password) = env::var(variable) {
        return Ok(Some(password));
    }
    let Some(path) = env::var_os(format!("{variable}_FILE")) else { return Ok(None) };
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Failure::of_io(Path::new(&path), "reading the password of the metadata store", &error))?;
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_string()))
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

impl From<ServerUrl> for String {
    fn from(url: ServerUrl) -> String {
        url.address.revealed()
    }
}

impl TryFrom<String> for ServerUrl {
    type Error = Failure;

    fn try_from(text: String) -> Result<Self, Failure> {
        ServerUrl::parse(&text)
    }
}

/// A server that takes longer to answer counts as lost.
const ANSWER_MAX: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use crate::meta_url::MetaUrl;

    #[test]
    fn a_password_is_kept_for_the_daemon_and_never_shown() {
        for text in ["redis://:s%40cret@h/0", "postgres://me:s%40cret@h/db?prefix=a", "mysql://me:s%40cret@h:1/db"] {
            let url: MetaUrl = text.parse().unwrap();
            assert!(!url.to_string().contains("cret") && !format!("{url:?}").contains("cret"), "{url}");
            let orders = serde_json::to_string(&url).unwrap();
            assert!(orders.contains("s%40cret"));
            assert_eq!(serde_json::from_str::<MetaUrl>(&orders).unwrap(), url);
        }
    }

    #[test]
    fn what_a_server_cannot_make_sense_of_is_refused_at_once() {
        for (text, why) in [
            ("redis://h/x", "number"),
            ("redis://h/0?prefx=a", "prefix"),
            ("redis://h/0?ca=/a.pem", "rediss://"),
            ("rediss://h/0?tls=off", "scheme"),
            ("postgres://me:secret@h/db?tls=on&ca=a.pem", "full path"),
            ("mysql://me:secret@h/db?tls=on&cert=/a.pem", "together"),
            ("postgres://h/db", "user"),
            ("mysql://me:secret@h/", "database"),
            ("mysql://me:secret@/db", "host"),
            ("fdb://secret@host/f", "fdb:///CLUSTER-FILE"),
            ("tikv://me:secret@host/a", "tikv://HOST"),
            ("fdb:///f?library=x.so", "full path"),
            ("tikv://me:secret@h/a", "users"),
            ("tikv://h/a/b", "prefix"),
            ("tikv://h,i:70000/a", "port"),
            ("tikv://h/a?tls=on&cert=/a.pem", "together"),
        ] {
            let refusal = text.parse::<MetaUrl>().unwrap_err().to_string();
            assert!(refusal.contains(why) && !refusal.contains("secret"), "{refusal}");
        }
    }
}
