//! Where the server is, and how to get a connection to it.

use crate::connection::MysqlConnection;
use crate::error;
use crate::script::Tables;
use crate::snapshot::MysqlSnapshot;
use mysql::prelude::Queryable;
use mysql::{ClientIdentity, Conn, OptsBuilder, SslOpts};
use shoal_kv::{KvResult, Snapshot};
use shoal_kv_remote::{Address, AddressError, Failure, Server, Tls};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub struct MysqlServer {
    options: OptsBuilder,
    tables: Arc<Tables>,
    /// Numbers for slots that nobody else uses.
    slots: (RandomState, AtomicU64),
}

impl MysqlServer {
    fn open(&self) -> Result<Conn, Failure> {
        Conn::new(self.options.clone()).map_err(error::translate)
    }

    fn new_slot(&self) -> u64 {
        let (state, counter) = &self.slots;
        state.hash_one(counter.fetch_add(1, Ordering::Relaxed))
    }
}

impl Server for MysqlServer {
    type Connection = MysqlConnection;

    fn at(address: &Address, answer_max: Duration) -> Result<Self, AddressError> {
        address.check_options(&[&["prefix"][..], &Tls::OPTIONS].concat())?;
        address.require_one_host()?;
        let tls = address.tls(false)?.map(secured);
        let user = address.user.as_deref().ok_or_else(|| AddressError("it names no user".into()))?;
        if address.path.is_empty() || address.path.contains('/') {
            return Err(AddressError("the path is the name of a database".into()));
        }
        let options = OptsBuilder::new()
            .ip_or_hostname(Some(&address.host))
            .tcp_port(address.port.unwrap_or(PORT_DEFAULT))
            .user(Some(user))
            .pass(address.password.as_deref())
            .db_name(Some(&address.path))
            .prefer_socket(false)
            .tcp_nodelay(true)
            .tcp_connect_timeout(Some(answer_max))
            .read_timeout(Some(answer_max))
            .write_timeout(Some(answer_max))
            .ssl_opts(tls)
            .init(SETTINGS.to_vec());
        let tables = Arc::new(Tables::new(address.prefix()?));
        Ok(MysqlServer { options, tables, slots: (RandomState::new(), AtomicU64::new(0)) })
    }

    fn prepare(&self, create: bool) -> KvResult<bool> {
        let prepare = || {
            let mut wire = self.open()?;
            if create {
                self.tables.create().iter().try_for_each(|text| wire.query_drop(text).map_err(error::translate))?;
            }
            match wire.query_first::<u64, _>(self.tables.latest()) {
                Ok(found) => Ok(found.is_some()),
                Err(mysql::Error::MySqlError(absent)) if absent.code == NO_SUCH_TABLE => Ok(false),
                Err(error) => Err(error::translate(error)),
            }
        };
        prepare().map_err(Failure::into_error)
    }

    fn destroy(&self) -> KvResult<()> {
        let mut wire = self.open().map_err(Failure::into_error)?;
        wire.query_drop(self.tables.remove()).map_err(|error| error::translate(error).into_error())
    }

    fn durability_warning(&self) -> KvResult<Option<String>> {
        let mut wire = self.open().map_err(Failure::into_error)?;
        let flush = wire.query_first::<u64, _>("SELECT @@GLOBAL.innodb_flush_log_at_trx_commit");
        let flush = flush.map_err(|error| error::translate(error).into_error())?;
        Ok((flush != Some(1)).then(|| {
            "this server may lose the last second of acknowledged changes when its host loses power; fsync is honest only \
             with `innodb_flush_log_at_trx_commit = 1`"
                .into()
        }))
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot>, Failure> {
        Ok(Box::new(MysqlSnapshot::take(self.open()?, self.tables.clone())?))
    }

    fn connect(&self) -> Result<MysqlConnection, Failure> {
        MysqlConnection::new(self.open()?, self.tables.clone(), self.new_slot())
    }
}

/// The library trusts well-known authorities (Mozilla's list) beside the one that is named.
fn secured(tls: Tls) -> SslOpts {
    Tls::install_cryptography();
    let identity = tls.identity.map(|(certificate, key)| ClientIdentity::new(certificate, key));
    SslOpts::default().with_root_cert_path(tls.ca).with_client_identity(identity)
}

/// Each statement of a commit is to see what was committed before it began.
const SETTINGS: [&str; 2] = ["SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "SET SESSION autocommit = 1"];
const PORT_DEFAULT: u16 = 3306;
const NO_SUCH_TABLE: u16 = 1146;
