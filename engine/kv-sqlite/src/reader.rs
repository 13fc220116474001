//! Reads on the caller's thread, one read transaction for each call: on the writer's connection if it is free and the
//! read is small, otherwise on one of a pool of read-only connections.
//!
//! SQLite throws away all that a connection has cached when another one has committed. The writer's connection keeps its
//! pages over its own commits, so a look at one name or inode finds them there. In WAL mode the pool's readers wait for
//! nobody and nobody waits for them. The snapshot is taken by the first read inside the transaction, and so is never
//! older than the call.

use crate::error::{closed, translate};
use crate::limits::{READERS_KEPT_MAX, SMALL_READ_PAIRS_MAX};
use crate::open::open_reader;
use crate::place::Place;
use crate::transaction::TableView;
use rusqlite::Connection;
use shoal_kv::{Direction, KeyRange, KvError, KvResult, Pair, Reader};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicUsize};

pub(crate) struct Readers {
    path: PathBuf,
    /// Idle connections. A thread looks at its own place first: the pages cached there are those it has asked for.
    idle: Box<[Place<Connection>]>,
    closed: AtomicBool,
}

impl Readers {
    pub fn new(path: &Path) -> Self {
        let idle = (0..READERS_KEPT_MAX).map(|_| Place::empty()).collect();
        Readers { path: path.to_path_buf(), idle, closed: AtomicBool::new(false) }
    }

    pub fn read(&self, body: &mut dyn FnMut(&mut dyn Reader) -> KvResult<()>) -> KvResult<()> {
        let connection = self.take()?;
        // A body that panics, or a transaction that cannot be ended, takes the connection with it.
        let result = read_on(&connection, &self.path, body);
        if connection.is_autocommit() {
            self.put_back(connection);
        }
        result
    }

    /// Drops the idle connections; those in use follow when they come back.
    pub fn close(&self) {
        self.closed.store(true, SeqCst);
        self.idle.iter().for_each(|place| drop(place.take()));
    }

    fn take(&self) -> KvResult<Box<Connection>> {
        if self.closed.load(SeqCst) {
            return Err(closed(&self.path));
        }
        match self.places().find_map(Place::take) {
            Some(connection) => Ok(connection),
            None => {
                let opened = open_reader(&self.path).map_err(|error| translate(&self.path, "opening to read", error));
                opened.map(Box::new)
            }
        }
    }

    fn put_back(&self, connection: Box<Connection>) {
        // One more than there are places is dropped.
        let _ = self.places().try_fold(connection, |connection, place| match place.put(connection) {
            Ok(()) => Err(()),
            Err(connection) => Ok(connection),
        });
        // Put back after `close` had passed by.
        if self.closed.load(SeqCst) {
            self.close();
        }
    }

    /// All places, the thread's own first.
    fn places(&self) -> impl Iterator<Item = &Place<Connection>> {
        let (before, from) = self.idle.split_at(own_place() % self.idle.len());
        from.iter().chain(before)
    }
}

/// A number for the current thread.
fn own_place() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: usize = NEXT.fetch_add(1, Relaxed);
    }
    OWN.with(|own| *own)
}

/// Runs the body on one snapshot of the connection.
pub(crate) fn read_on(
    connection: &Connection,
    path: &Path,
    body: &mut dyn FnMut(&mut dyn Reader) -> KvResult<()>,
) -> KvResult<()> {
    let control = |sql| {
        let done = connection.prepare_cached(sql).and_then(|mut statement| statement.execute(()));
        done.map(drop).map_err(|error| translate(path, "reading", error))
    };
    control("BEGIN")?;
    let result = body(&mut TableView { connection, path });
    // Nothing was written, so there is nothing to lose in an end that fails; it shows in the autocommit state.
    let ended = control("COMMIT");
    result.and(ended)
}

/// A reader that asks for a few pairs at most.
pub(crate) struct SmallReader<'a> {
    reader: &'a mut dyn Reader,
    pairs_left: usize,
    /// Set once more was asked for, and refused: whatever the body makes of that means nothing.
    exceeded: &'a mut bool,
}

impl<'a> SmallReader<'a> {
    pub fn new(reader: &'a mut dyn Reader, exceeded: &'a mut bool) -> Self {
        SmallReader { reader, pairs_left: SMALL_READ_PAIRS_MAX, exceeded }
    }

    fn spend(&mut self, pairs: usize) -> KvResult<()> {
        let Some(left) = self.pairs_left.checked_sub(pairs) else {
            *self.exceeded = true;
            return Err(KvError::Limit("a read that is not small".into()));
        };
        self.pairs_left = left;
        Ok(())
    }
}

impl Reader for SmallReader<'_> {
    fn get(&mut self, key: &[u8]) -> KvResult<Option<Vec<u8>>> {
        self.spend(1)?;
        self.reader.get(key)
    }

    fn scan(&mut self, range: &KeyRange, limit: usize, direction: Direction) -> KvResult<Vec<Pair>> {
        self.spend(limit)?;
        self.reader.scan(range, limit, direction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::open::open_writer;

    #[test]
    fn a_connection_is_used_again_and_one_that_comes_back_after_the_end_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let (_writer, path) = open_writer(&folder.path().join("volume"), true).unwrap();
        let readers = Readers::new(&path);
        let idle = || readers.idle.iter().filter(|place| !place.is_empty()).count();
        // A read within a read needs a second connection.
        readers.read(&mut |_| readers.read(&mut |_| Ok(()))).unwrap();
        assert_eq!(idle(), 2);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..100).for_each(|_| readers.read(&mut |reader| reader.get(b"k").map(drop)).unwrap()));
            }
        });
        assert!((2..=10).contains(&idle()), "{} connections for 8 threads", idle());
        let closing = readers.read(&mut |_| {
            readers.close();
            Ok(())
        });
        assert_eq!((closing, idle()), (Ok(()), 0));
        assert!(matches!(readers.read(&mut |_| Ok(())), Err(KvError::Unavailable(_))));
    }
}
