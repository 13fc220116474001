//! The four questions to the server.

use crate::error;
use crate::script::Tables;
use mysql::prelude::Queryable;
use mysql::{Conn, Row};
use shoal_kv::{Direction, KeyRange, KvError};
use shoal_kv_remote::{Answer, Asked, Commit, CommitEnd, Connection, Evidence, Failure, Versioned, VersionedPair};
use std::collections::HashMap;
use std::sync::Arc;

pub struct MysqlConnection {
    wire: Conn,
    tables: Arc<Tables>,
    slot: u64,
}

impl MysqlConnection {
    pub(crate) fn new(wire: Conn, tables: Arc<Tables>, slot: u64) -> Result<Self, Failure> {
        let mut connection = MysqlConnection { wire, tables, slot };
        connection.ask(&connection.tables.new_slot(slot))?;
        Ok(connection)
    }

    /// Runs a packet of statements, and gives the rows of the last one that has any.
    fn ask(&mut self, text: &str) -> Result<Vec<Row>, Failure> {
        let mut run = || {
            let mut rows = Vec::new();
            let mut results = self.wire.query_iter(text)?;
            while let Some(result) = results.iter() {
                let found = result.collect::<mysql::Result<Vec<Row>>>()?;
                if !found.is_empty() {
                    rows = found;
                }
            }
            Ok(rows)
        };
        let failure = match run() {
            Ok(rows) => return Ok(rows),
            Err(error) => error::translate(error),
        };
        // A statement that failed in the middle leaves a transaction with its locks.
        match failure {
            Failure::Lost(_) => Err(failure),
            failure => match self.wire.query_drop("ROLLBACK") {
                Ok(()) => Err(failure),
                Err(error) => Err(error::translate(error)),
            },
        }
    }

    fn read(&mut self, text: &str) -> Asked<Vec<VersionedPair>> {
        let mut moment = None;
        let mut pairs = Vec::new();
        for row in self.ask(text)? {
            let (key, value, version): (Option<Vec<u8>>, Option<Vec<u8>>, u64) = mysql::from_row_opt(row)
                .map_err(|error| Failure::Lost(format!("mysql: a row makes no sense: {error}")))?;
            match (key, value) {
                (Some(key), Some(value)) => pairs.push((key, Versioned { version, value })),
                _ => moment = Some(version),
            }
        }
        Ok(moment.map_or(Answer::Moved, |moment| Answer::At(moment, pairs)))
    }
}

impl Connection for MysqlConnection {
    fn get_many(&mut self, seen: &Evidence, keys: &[&[u8]]) -> Asked<Vec<Option<Versioned>>> {
        let text = self.tables.get_many(seen, keys);
        let (moment, pairs) = match self.read(&text)? {
            Answer::Moved => return Ok(Answer::Moved),
            Answer::At(moment, pairs) => (moment, pairs),
        };
        let mut found: HashMap<Vec<u8>, Versioned> = pairs.into_iter().collect();
        Ok(Answer::At(moment, keys.iter().map(|key| found.remove(*key)).collect()))
    }

    fn scan(
        &mut self,
        seen: &Evidence,
        range: &KeyRange,
        limit: usize,
        direction: Direction,
    ) -> Asked<Vec<VersionedPair>> {
        let text = self.tables.scan(seen, range, limit, direction);
        let (moment, mut pairs) = match self.read(&text)? {
            Answer::Moved => return Ok(Answer::Moved),
            Answer::At(moment, pairs) => (moment, pairs),
        };
        // A union promises no order.
        pairs.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        if direction == Direction::Backward {
            pairs.reverse();
        }
        Ok(Answer::At(moment, pairs))
    }

    fn commit(&mut self, commit: &Commit<'_>) -> Result<CommitEnd, Failure> {
        let mut rows = Vec::new();
        for text in self.tables.commit(commit).texts {
            rows = self.ask(&text)?;
        }
        let end: Option<(u64, u64, u64, u64)> = rows.into_iter().next().and_then(|row| mysql::from_row_opt(row).ok());
        match end {
            Some((1, 1, 0, 0)) => Ok(CommitEnd::Done),
            Some((0, ..)) => Ok(CommitEnd::NoSlot),
            Some((_, 0, ..)) => Ok(CommitEnd::Moved),
            Some((_, _, 0, _)) => Err(Failure::Refused(KvError::Limit("an append makes too long a value".into()))),
            Some(_) => Err(Failure::Refused(KvError::Damaged("a counter does not hold 8 bytes".into()))),
            None => Err(Failure::Lost("mysql: a commit's answer makes no sense".into())),
        }
    }

    fn slot(&self) -> u64 {
        self.slot
    }

    fn close_slot(&mut self, slot: u64) -> Result<Option<u64>, Failure> {
        let text = self.tables.close_slot(slot);
        let row = self.ask(&text)?.into_iter().next();
        row.map(|row| mysql::from_row_opt::<u64>(row).map_err(|error| Failure::Lost(format!("mysql: {error}"))))
            .transpose()
    }
}
