//! All pairs at one moment: a transaction of the isolation REPEATABLE READ on a connection of its own.
//!
//! While it is open the server keeps what is deleted or overwritten meanwhile, in all its databases. It holds no lock
//! that a commit waits for.

use crate::connection::Wire;
use crate::error;
use shoal_kv::{KvResult, Pair, Snapshot};
use shoal_kv_remote::Failure;
use tokio_postgres::Statement;

pub(crate) struct PostgresSnapshot {
    wire: Wire,
    read: Statement,
    /// The last key so far.
    last: Vec<u8>,
}

impl PostgresSnapshot {
    pub fn take(wire: Wire, schema: &str) -> Result<Self, Failure> {
        // The first statement that reads decides what the transaction sees.
        let begin = format!("{BEGIN}; SELECT number FROM {schema}.commits");
        let read = format!("SELECT k, v FROM {schema}.pairs WHERE k > $1 ORDER BY k LIMIT {PAIRS}");
        let read = wire.run(async {
            wire.client.batch_execute(&begin).await.map_err(error::translate)?;
            wire.client.prepare(&read).await.map_err(error::translate)
        })?;
        Ok(PostgresSnapshot { wire, read, last: Vec::new() })
    }
}

impl Snapshot for PostgresSnapshot {
    fn next(&mut self) -> KvResult<Vec<Pair>> {
        let PostgresSnapshot { wire, read, last } = self;
        let rows = wire.run(async { wire.client.query(read, &[last]).await.map_err(error::translate) });
        let rows = rows.map_err(Failure::into_error)?;
        let pairs: Vec<Pair> = rows.into_iter().map(|row| (row.get(0), row.get(1))).collect();
        if let Some((key, _)) = pairs.last() {
            last.clone_from(key);
        }
        Ok(pairs)
    }
}

/// Whoever takes what is read may take long.
const BEGIN: &str = "SET idle_in_transaction_session_timeout = 0; BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
/// Of which most are far smaller than a value may be.
const PAIRS: usize = 256;
