//! All pairs at one moment: a transaction with a consistent snapshot on a connection of its own.
//!
//! While it is open the server keeps what is deleted or overwritten meanwhile. It holds no lock on any row.

use crate::error;
use crate::script::Tables;
use mysql::Conn;
use mysql::prelude::Queryable;
use shoal_kv::{KvResult, Pair, Snapshot};
use shoal_kv_remote::Failure;
use std::sync::Arc;

pub(crate) struct MysqlSnapshot {
    wire: Conn,
    tables: Arc<Tables>,
    /// The last key so far.
    last: Vec<u8>,
}

impl MysqlSnapshot {
    pub fn take(mut wire: Conn, tables: Arc<Tables>) -> Result<Self, Failure> {
        BEGIN.iter().try_for_each(|text| wire.query_drop(text)).map_err(error::translate)?;
        Ok(MysqlSnapshot { wire, tables, last: Vec::new() })
    }
}

impl Snapshot for MysqlSnapshot {
    fn next(&mut self) -> KvResult<Vec<Pair>> {
        let found = self.wire.query(self.tables.next_pairs(&self.last, PAIRS));
        let pairs: Vec<Pair> = found.map_err(|error| error::translate(error).into_error())?;
        if let Some((key, _)) = pairs.last() {
            self.last.clone_from(key);
        }
        Ok(pairs)
    }
}

/// Whoever takes what is read may take long.
const BEGIN: [&str; 3] = [
    "SET SESSION wait_timeout = 86400",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
];
/// Of which most are far smaller than a value may be.
const PAIRS: usize = 256;
