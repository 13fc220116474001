//! All pairs at one moment: a read transaction of a connection of its own.
//!
//! While it is open the WAL is not begun anew, so the database takes up more room by what is written meanwhile. Nobody
//! waits for it.

use crate::error::translate;
use crate::open::open_reader;
use crate::transaction::TableView;
use rusqlite::Connection;
use shoal_kv::{Direction, KeyRange, KvResult, Pair, Reader, Snapshot};
use std::path::{Path, PathBuf};

pub(crate) struct SqliteSnapshot {
    /// In a transaction, which ends with it.
    connection: Connection,
    path: PathBuf,
    rest: KeyRange,
}

impl SqliteSnapshot {
    pub fn take(path: &Path) -> KvResult<Self> {
        let begin = || {
            let connection = open_reader(path)?;
            connection.execute_batch("BEGIN")?;
            // The first read of the transaction decides what it sees.
            connection.query_row("SELECT count(*) FROM stamp", (), |_| Ok(()))?;
            Ok(connection)
        };
        let connection = begin().map_err(|error| translate(path, "opening to read", error))?;
        Ok(SqliteSnapshot { connection, path: path.to_path_buf(), rest: KeyRange::all() })
    }
}

impl Snapshot for SqliteSnapshot {
    fn next(&mut self) -> KvResult<Vec<Pair>> {
        let mut table = TableView { connection: &self.connection, path: &self.path };
        let pairs = table.scan(&self.rest, PAIRS, Direction::Forward)?;
        if let Some((last, _)) = pairs.last() {
            self.rest = self.rest.behind(last);
        }
        Ok(pairs)
    }
}

/// Of which most are far smaller than a value may be.
const PAIRS: usize = 256;
