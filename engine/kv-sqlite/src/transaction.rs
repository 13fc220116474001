//! What a job's transaction reads: the group's earlier writes, then hot values, then SQLite; and how a group is applied.
//!
//! Layers, from the top: the job's own `WriteBuffer` (inside `BufferedTransaction`) → the group's `WriteBuffer` → the
//! hot values → the table. All reads of the table see the state before the group, because the group is applied only at
//! its end. Statements are prepared once and live as long as the writer's connection.

use crate::error::translate;
use crate::hot_values::HotValues;
use rusqlite::{Connection, Statement};
use shoal_kv::{Direction, Effect, KeyRange, KvResult, Pair, Reader, WriteBuffer, WriteSet};
use std::path::Path;

pub(crate) const GET: &str = "SELECT v FROM kv WHERE k = ?1";
pub(crate) const SCAN_FORWARD: &str = "SELECT k, v FROM kv WHERE k >= ?1 AND k < ?2 ORDER BY k LIMIT ?3";
pub(crate) const SCAN_BACKWARD: &str = "SELECT k, v FROM kv WHERE k >= ?1 AND k < ?2 ORDER BY k DESC LIMIT ?3";

pub(crate) struct ReadStatements<'c> {
    get: Statement<'c>,
    forward: Statement<'c>,
    backward: Statement<'c>,
}

pub(crate) struct WriteStatements<'c> {
    put: Statement<'c>,
    delete: Statement<'c>,
    delete_range: Statement<'c>,
    last_stamp: Statement<'c>,
    set_stamp: Statement<'c>,
    data_version: Statement<'c>,
    begin: Statement<'c>,
    commit: Statement<'c>,
}

impl<'c> ReadStatements<'c> {
    pub fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(ReadStatements {
            get: connection.prepare(GET)?,
            forward: connection.prepare(SCAN_FORWARD)?,
            backward: connection.prepare(SCAN_BACKWARD)?,
        })
    }
}

impl<'c> WriteStatements<'c> {
    pub fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(WriteStatements {
            put: connection.prepare("REPLACE INTO kv(k, v) VALUES (?1, ?2)")?,
            delete: connection.prepare("DELETE FROM kv WHERE k = ?1")?,
            delete_range: connection.prepare("DELETE FROM kv WHERE k >= ?1 AND k < ?2")?,
            last_stamp: connection.prepare("SELECT last FROM stamp")?,
            set_stamp: connection.prepare("UPDATE stamp SET last = ?1")?,
            data_version: connection.prepare("PRAGMA data_version")?,
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            commit: connection.prepare("COMMIT")?,
        })
    }

    pub fn begin(&mut self) -> rusqlite::Result<()> {
        self.begin.execute(()).map(drop)
    }

    pub fn commit(&mut self) -> rusqlite::Result<()> {
        self.commit.execute(()).map(drop)
    }

    /// Differs from the last answer if another connection has committed in between.
    pub fn data_version(&mut self) -> rusqlite::Result<i64> {
        self.data_version.query_row((), |row| row.get(0))
    }

    pub fn last_stamp(&mut self) -> rusqlite::Result<u64> {
        self.last_stamp.query_row((), |row| row.get(0)).map(i64::cast_unsigned)
    }

    /// Deleted ranges first, then the keys in order, so that neighbours are written while their page is at hand.
    pub fn apply(&mut self, writes: &WriteSet, stamp: Option<u64>) -> rusqlite::Result<()> {
        for range in writes.cleared.iter() {
            self.delete_range.execute(range)?;
        }
        for (key, effect) in &writes.effects {
            match effect {
                Effect::Put(value) => self.put.execute((key.as_slice(), value.as_slice()))?,
                Effect::Delete => self.delete.execute((key.as_slice(),))?,
                Effect::Update(_) | Effect::Updates(_) => unreachable!("a group holds settled writes only"),
            };
        }
        if let Some(stamp) = stamp {
            self.set_stamp.execute((stamp.cast_signed(),))?;
        }
        Ok(())
    }
}

/// What the jobs of a group have in common: the state below each of them.
pub(crate) struct GroupView<'a, 'c> {
    pub group: &'a WriteBuffer,
    pub hot: &'a mut HotValues,
    pub statements: &'a mut ReadStatements<'c>,
    pub path: &'a Path,
}

impl Reader for GroupView<'_, '_> {
    fn get(&mut self, key: &[u8]) -> KvResult<Option<Vec<u8>>> {
        if let Some(settled) = self.group.settled(key) {
            return Ok(settled.map(<[u8]>::to_vec));
        }
        if let Some(value) = self.hot.get(key) {
            return Ok(Some(value.to_vec()));
        }
        let value = query_get(&mut self.statements.get, key).map_err(|error| translate(self.path, "reading", error))?;
        if let Some(value) = &value {
            self.hot.insert(key, value);
        }
        Ok(value)
    }

    fn scan(&mut self, range: &KeyRange, limit: usize, direction: Direction) -> KvResult<Vec<Pair>> {
        let mut table = TableView { statements: self.statements, path: self.path };
        self.group.scan(range, limit, direction, &mut table)
    }
}

/// The table alone, as the group's buffer wants it below itself.
struct TableView<'a, 'c> {
    statements: &'a mut ReadStatements<'c>,
    path: &'a Path,
}

impl Reader for TableView<'_, '_> {
    fn get(&mut self, key: &[u8]) -> KvResult<Option<Vec<u8>>> {
        query_get(&mut self.statements.get, key).map_err(|error| translate(self.path, "reading", error))
    }

    fn scan(&mut self, range: &KeyRange, limit: usize, direction: Direction) -> KvResult<Vec<Pair>> {
        let statement = match direction {
            Direction::Forward => &mut self.statements.forward,
            Direction::Backward => &mut self.statements.backward,
        };
        query_scan(statement, range, limit).map_err(|error| translate(self.path, "scanning", error))
    }
}

pub(crate) fn query_get(statement: &mut Statement<'_>, key: &[u8]) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut rows = statement.query((key,))?;
    match rows.next()? {
        Some(row) => Ok(Some(row.get_ref(0)?.as_blob()?.to_vec())),
        None => Ok(None),
    }
}

pub(crate) fn query_scan(statement: &mut Statement<'_>, range: &KeyRange, limit: usize) -> rusqlite::Result<Vec<Pair>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = statement.query((range.start.as_slice(), range.end.as_slice(), limit))?;
    let mut pairs = Vec::new();
    while let Some(row) = rows.next()? {
        pairs.push((row.get_ref(0)?.as_blob()?.to_vec(), row.get_ref(1)?.as_blob()?.to_vec()));
    }
    Ok(pairs)
}
