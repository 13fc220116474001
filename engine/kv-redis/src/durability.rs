//! What an acknowledged commit survives: Redis leaves that to its settings, and some lose data.

use crate::error;
use redis::Connection;
use shoal_kv::KvResult;
use std::fmt;

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Durability {
    /// Each commit is on disk before it is acknowledged.
    PowerLoss,
    /// Commits survive the death of the server's process. Power loss takes those of the last second or so.
    ProcessDeath,
    /// Commits since the last snapshot are lost when the server ends unexpectedly.
    Nothing,
    /// The server evicts keys when its memory is full, and with them the whole volume.
    Evicts(String),
    /// The server doesn't say: its settings are kept from this user.
    Unknown,
}

impl Durability {
    pub(crate) fn of(connection: &mut Connection) -> KvResult<Self> {
        let mut setting = |name: &str| -> KvResult<Option<String>> {
            match redis::cmd("CONFIG").arg("GET").arg(name).query::<Vec<String>>(connection) {
                Ok(pair) => Ok(pair.into_iter().nth(1)),
                // Services often keep CONFIG to themselves.
                Err(error) if !error.is_io_error() => Ok(None),
                Err(error) => Err(error::translate(error).into_error()),
            }
        };
        let policy = setting("maxmemory-policy")?;
        if let (Some(policy), Some(limit)) = (policy, setting("maxmemory")?)
            && policy != "noeviction"
            && limit != "0"
        {
            return Ok(Durability::Evicts(policy));
        }
        Ok(match (setting("appendonly")?.as_deref(), setting("appendfsync")?.as_deref()) {
            (Some("yes"), Some("always")) => Durability::PowerLoss,
            (Some("yes"), Some(_)) => Durability::ProcessDeath,
            (Some(_), _) => Durability::Nothing,
            (None, _) => Durability::Unknown,
        })
    }

    /// What to tell whoever relies on it; nothing where fsync keeps its promise.
    pub fn warning(&self) -> Option<String> {
        (*self != Durability::PowerLoss).then(|| self.to_string())
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cure = "fsync is honest only with `appendonly yes` and `appendfsync always`";
        match self {
            Durability::PowerLoss => write!(f, "this Redis has each commit on disk before it acknowledges it"),
            Durability::ProcessDeath => {
                write!(
                    f,
                    "this Redis may lose the last second of acknowledged changes when its host loses power; {cure}"
                )
            }
            Durability::Nothing => write!(
                f,
                "this Redis keeps no log: it loses acknowledged changes whenever it ends unexpectedly; {cure}"
            ),
            Durability::Evicts(policy) => write!(
                f,
                "this Redis throws data away when its memory is full (maxmemory-policy {policy}), and then the volume is \
                 lost; set `maxmemory-policy noeviction`"
            ),
            Durability::Unknown => {
                write!(f, "this Redis does not tell how it keeps its data; {cure} and `maxmemory-policy noeviction`")
            }
        }
    }
}
