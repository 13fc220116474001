//! Where the server is, and how to get a connection to it.

use crate::connection::{PostgresConnection, Wire};
use crate::listener::PostgresListener;
use crate::schema;
use crate::snapshot::PostgresSnapshot;
use shoal_kv::{KvResult, Snapshot};
use shoal_kv_remote::{Address, AddressError, Commits, Failure, Listener, Server, Tls};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

pub struct PostgresServer {
    config: Config,
    tls: Option<Tls>,
    schema: String,
    answer_max: Duration,
    /// Numbers for slots that nobody else uses.
    slots: (RandomState, AtomicU64),
}

impl PostgresServer {
    fn open(&self) -> Result<Wire, Failure> {
        Wire::open(&self.config, self.tls.as_ref(), self.answer_max)
    }

    fn new_slot(&self) -> u64 {
        let (state, counter) = &self.slots;
        // The server's numbers have a sign.
        state.hash_one(counter.fetch_add(1, Ordering::Relaxed)) >> 1
    }
}

impl Server for PostgresServer {
    type Connection = PostgresConnection;

    fn at(address: &Address, answer_max: Duration) -> Result<Self, AddressError> {
        address.check_options(&[&["prefix"][..], &Tls::OPTIONS].concat())?;
        address.require_one_host()?;
        let tls = address.tls(false)?;
        let user = address.user.as_deref().ok_or_else(|| AddressError("it names no user".into()))?;
        if address.path.is_empty() || address.path.contains('/') {
            return Err(AddressError("the path is the name of a database".into()));
        }
        let mut config = Config::new();
        config.host(&address.host).port(address.port.unwrap_or(PORT_DEFAULT)).user(user).dbname(&address.path);
        config.connect_timeout(answer_max).application_name("shoal");
        config.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
        if let Some(password) = &address.password {
            config.password(password);
        }
        let schema = schema::quoted(address.prefix()?);
        Ok(PostgresServer { config, tls, schema, answer_max, slots: (RandomState::new(), AtomicU64::new(0)) })
    }

    fn prepare(&self, create: bool) -> KvResult<bool> {
        let wire = self.open().map_err(Failure::into_error)?;
        wire.run(schema::prepare(&wire.client, &self.schema, create)).map_err(Failure::into_error)
    }

    fn destroy(&self) -> KvResult<()> {
        let wire = self.open().map_err(Failure::into_error)?;
        wire.run(schema::remove(&wire.client, &self.schema)).map_err(Failure::into_error)
    }

    fn durability_warning(&self) -> KvResult<Option<String>> {
        let wire = self.open().map_err(Failure::into_error)?;
        let fsync = wire.ask_one("SELECT current_setting('fsync')").map_err(Failure::into_error)?;
        Ok((fsync != "on").then(|| {
            "this PostgreSQL runs with `fsync = off`: power loss may take acknowledged changes or damage everything"
                .into()
        }))
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot>, Failure> {
        Ok(Box::new(PostgresSnapshot::take(self.open()?, &self.schema)?))
    }

    fn connect(&self) -> Result<PostgresConnection, Failure> {
        PostgresConnection::new(self.open()?, &self.schema, self.new_slot())
    }

    /// Only of stamped commits: telling of all would cost each of them something.
    fn listen(&self, to: Commits) -> KvResult<Option<Box<dyn Listener>>> {
        if to == Commits::All {
            return Ok(None);
        }
        let listener = PostgresListener::open(&self.config, self.tls.as_ref(), &self.schema, self.answer_max);
        Ok(Some(Box::new(listener.map_err(Failure::into_error)?)))
    }
}

const PORT_DEFAULT: u16 = 5432;
