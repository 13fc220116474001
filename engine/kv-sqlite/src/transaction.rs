//! What a job's transaction reads: the group's earlier writes, then hot values, then SQLite; and how a group is applied.
//!
//! Layers, from the top: the job's own `WriteBuffer` (inside `BufferedTransaction`) → the group's `WriteBuffer` → the
//! hot values → the table. All reads of the table see the state before the group, because the group is applied only at
//! its end. Statements are compiled once and kept by the writer's connection.

use crate::error::translate;
use crate::hot_values::HotValues;
use rusqlite::{Connection, Statement};
use shoal_kv::{Direction, Effect, KeyRange, KvResult, Pair, Reader, WriteBuffer, WriteSet};
use std::path::Path;

const GET: &str = "SELECT v FROM kv WHERE k = ?1";
pub(crate) const SCAN_FORWARD: &str = "SELECT k, v FROM kv WHERE k >= ?1 AND k < ?2 ORDER BY k LIMIT ?3";
const SCAN_BACKWARD: &str = "SELECT k, v FROM kv WHERE k >= ?1 AND k < ?2 ORDER BY k DESC LIMIT ?3";

const PUT: &str = "REPLACE INTO kv(k, v) VALUES (?1, ?2)";
const DELETE: &str = "DELETE FROM kv WHERE k = ?1";
const DELETE_RANGE: &str = "DELETE FROM kv WHERE k >= ?1 AND k < ?2";

/// Differs from the last answer if another connection has committed in between.
pub(crate) fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row((), |row| row.get(0))
}

pub(crate) fn last_stamp(connection: &Connection) -> rusqlite::Result<u64> {
    connection.prepare_cached("SELECT last FROM stamp")?.query_row((), |row| row.get(0)).map(i64::cast_unsigned)
}

/// Deleted ranges first, then the keys in order, so that neighbours are written while their page is at hand.
pub(crate) fn apply(connection: &Connection, writes: &WriteSet, stamp: Option<u64>) -> rusqlite::Result<()> {
    for range in writes.cleared.iter() {
        connection.prepare_cached(DELETE_RANGE)?.execute(range)?;
    }
    let mut put = connection.prepare_cached(PUT)?;
    for (key, effect) in &writes.effects {
        match effect {
            Effect::Put(value) => put.execute((key.as_slice(), value.as_slice()))?,
            Effect::Delete => connection.prepare_cached(DELETE)?.execute((key.as_slice(),))?,
            Effect::Update(_) | Effect::Updates(_) => unreachable!("a group holds settled writes only"),
        };
    }
    if let Some(stamp) = stamp {
        connection.prepare_cached("UPDATE stamp SET last = ?1")?.execute((stamp.cast_signed(),))?;
    }
    Ok(())
}

/// What the jobs of a group have in common: the state below each of them.
pub(crate) struct GroupView<'a> {
    pub group: &'a WriteBuffer,
    pub hot: &'a mut HotValues,
    pub connection: &'a Connection,
    pub path: &'a Path,
}

impl GroupView<'_> {
    fn table(&self) -> TableView<'_> {
        TableView { connection: self.connection, path: self.path }
    }
}

impl Reader for GroupView<'_> {
    fn get(&mut self, key: &[u8]) -> KvResult<Option<Vec<u8>>> {
        if let Some(settled) = self.group.settled(key) {
            return Ok(settled.map(<[u8]>::to_vec));
        }
        if let Some(value) = self.hot.get(key) {
            return Ok(Some(value.to_vec()));
        }
        let value = self.table().get(key)?;
        if let Some(value) = &value {
            self.hot.insert(key, value);
        }
        Ok(value)
    }

    fn scan(&mut self, range: &KeyRange, limit: usize, direction: Direction) -> KvResult<Vec<Pair>> {
        self.group.scan(range, limit, direction, &mut self.table())
    }
}

/// The table alone: for readers, and as the group's buffer wants it below itself.
pub(crate) struct TableView<'a> {
    pub connection: &'a Connection,
    pub path: &'a Path,
}

impl Reader for TableView<'_> {
    fn get(&mut self, key: &[u8]) -> KvResult<Option<Vec<u8>>> {
        let found = self.connection.prepare_cached(GET).and_then(|mut get| query_get(&mut get, key));
        found.map_err(|error| translate(self.path, "reading", error))
    }

    fn scan(&mut self, range: &KeyRange, limit: usize, direction: Direction) -> KvResult<Vec<Pair>> {
        let sql = match direction {
            Direction::Forward => SCAN_FORWARD,
            Direction::Backward => SCAN_BACKWARD,
        };
        let found = self.connection.prepare_cached(sql).and_then(|mut scan| query_scan(&mut scan, range, limit));
        found.map_err(|error| translate(self.path, "scanning", error))
    }
}

fn query_get(statement: &mut Statement<'_>, key: &[u8]) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut rows = statement.query((key,))?;
    match rows.next()? {
        Some(row) => Ok(Some(row.get_ref(0)?.as_blob()?.to_vec())),
        None => Ok(None),
    }
}

fn query_scan(statement: &mut Statement<'_>, range: &KeyRange, limit: usize) -> rusqlite::Result<Vec<Pair>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = statement.query((range.start.as_slice(), range.end.as_slice(), limit))?;
    let mut pairs = Vec::new();
    while let Some(row) = rows.next()? {
        pairs.push((row.get_ref(0)?.as_blob()?.to_vec(), row.get_ref(1)?.as_blob()?.to_vec()));
    }
    Ok(pairs)
}
