//! Opening the database: settings of each connection, creation, and the refusal of what is not ours.
//!
//! Never opens the database file by itself, not even to look: closing any descriptor of a file drops the POSIX locks
//! that this process holds on it, among them those of SQLite's other connections.

use crate::error::{from_io, translate};
use crate::gathered_wal;
use crate::limits::*;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::{Access, access};
use shoal_kv::{KvError, KvResult};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// "SHOA": how this database is told from those of other programs (by `file` as well).
const APPLICATION_ID: i64 = 0x5348_4f41;
/// The layout of the tables. A newer one is refused.
const LAYOUT_VERSION: i64 = 1;

const TABLES: &str = "
    CREATE TABLE kv(k BLOB PRIMARY KEY NOT NULL, v BLOB NOT NULL) WITHOUT ROWID;
    -- The last stamp given to a versionstamped key, as the commit order of the whole database.
    CREATE TABLE stamp(one INTEGER PRIMARY KEY CHECK (one = 1), last INTEGER NOT NULL);
    INSERT INTO stamp VALUES (1, 0);
";

/// The writer's connection and the database's true path.
pub(crate) fn open_writer(path: &Path, create: bool) -> KvResult<(Connection, PathBuf)> {
    check_access(path, create)?;
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags.set(OpenFlags::SQLITE_OPEN_CREATE, create);
    let connection = Connection::open_with_flags_and_vfs(path, flags, gathered_wal::vfs());
    let connection = connection.map_err(|error| translate(path, "opening", error))?;
    let path = fs::canonicalize(path).map_err(|error| from_io(path, "opening", error))?;
    prepare_database(&connection, &path, create)?;
    configure_writer(&connection).map_err(|error| translate(&path, "configuring", error))?;
    Ok((connection, path))
}

pub(crate) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    wait_for_locks(&connection, true)?;
    keep_plans(&connection)?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    // No mapping: it is unmapped at the first read after each commit of another connection, which interrupts every core
    // that runs a thread of ours.
    connection.pragma_update(None, "mmap_size", 0)?;
    Ok(connection)
}

/// For the checkpointer: reads no pages of the table, and syncs what `synchronous=NORMAL` promises.
pub(crate) fn open_checkpointer(path: &Path) -> KvResult<Connection> {
    let open = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        wait_for_locks(&connection, true)?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.pragma_update(None, "mmap_size", 0)?;
        Ok(connection)
    };
    open().map_err(|error| translate(path, "opening for checkpoints", error))
}

/// Says what is wrong before SQLite says no more than "unable to open database file".
fn check_access(path: &Path, create: bool) -> KvResult<()> {
    let unavailable = |what: String| Err(KvError::Unavailable(what));
    if path.is_dir() {
        return unavailable(format!("{} is a folder, not a metadata database", path.display()));
    }
    let folder = folder_of(path);
    if !folder.is_dir() {
        return unavailable(format!("there is no folder {} for a metadata database", folder.display()));
    }
    if path.exists() {
        access(path, Access::READ_OK | Access::WRITE_OK).map_err(|error| from_io(path, "opening", error.into()))?;
    } else if !create {
        return unavailable(format!("there is no metadata database at {}", path.display()));
    }
    // The WAL and its index are files beside it.
    access(folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| from_io(folder, "opening a database inside", error.into()))
}

fn prepare_database(connection: &Connection, path: &Path, create: bool) -> KvResult<()> {
    let failed = |error| translate(path, "opening", error);
    wait_for_locks(connection, true).map_err(failed)?;
    if is_empty(connection).map_err(failed)? {
        if !create {
            return Err(KvError::Unavailable(format!("{} is empty: no volume has been made in it", path.display())));
        }
        create_tables(connection).map_err(|error| translate(path, "creating", error))?;
        // The database's own entry in its folder; the syncer does the same for the WAL's.
        let folder = folder_of(path);
        File::open(folder).and_then(|file| file.sync_all()).map_err(|error| from_io(folder, "syncing", error))?;
    }
    let (application, version) = identity(connection).map_err(failed)?;
    if application != APPLICATION_ID {
        return Err(KvError::Other(format!("{} is a database of another program", path.display())));
    }
    if version > LAYOUT_VERSION {
        return Err(KvError::Other(format!(
            "{} was made by a newer version (layout {version}, this one knows {LAYOUT_VERSION})",
            path.display()
        )));
    }
    Ok(())
}

fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    Ok(tables == 0 && identity(connection)?.0 == 0)
}

fn identity(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    let read = |name| connection.pragma_query_value(None, name, |row| row.get(0));
    Ok((read("application_id")?, read("user_version")?))
}

/// Every step is synced (`synchronous=FULL`): a database file that power loss has left empty would make SQLite discard
/// a WAL that holds acknowledged commits.
fn create_tables(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "page_size", PAGE_BYTES as i64)?;
    switch_to_wal(connection)?;
    let transaction = rusqlite::Transaction::new_unchecked(connection, rusqlite::TransactionBehavior::Immediate)?;
    // Another process may have been first.
    if is_empty(&transaction)? {
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", LAYOUT_VERSION)?;
    }
    transaction.commit()?;
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(()))
}

/// The switch turns a read lock into a write lock, and no busy handler waits in between: two that did would wait for
/// each other. So the whole statement is tried again, with the handler's pauses.
fn switch_to_wal(connection: &Connection) -> rusqlite::Result<()> {
    let mut tries = 0;
    loop {
        let switched = connection.query_row("PRAGMA journal_mode=WAL", (), |_| Ok(()));
        match &switched {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && wait_for_lock(tries) => {
                tries += 1;
            }
            _ => return switched,
        }
    }
}

/// Without this guarantee a bound value of a range may change the plan, and so SQLite compiles the statement anew at
/// every execution.
fn keep_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

fn configure_writer(connection: &Connection) -> rusqlite::Result<()> {
    keep_plans(connection)?;
    connection.query_row("PRAGMA journal_mode=WAL", (), |_| Ok(()))?;
    // No sync at commit: it survives this process as it is, and durable jobs wait for the syncer.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    // No frame before the commit: see `gathered_wal`. The price: all pages that a group changes stay in memory so long.
    connection.pragma_update(None, "cache_spill", false)?;
    connection.pragma_update(None, "mmap_size", MMAP_BYTES)?;
    // The checkpointer does that, when it is due.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    // A WAL that one long reader has made huge gives its room back once it is folded.
    connection.pragma_update(None, "journal_size_limit", 4 * CHECKPOINT_PAGES * PAGE_BYTES as i64)?;
    connection.pragma_update(None, "temp_store", "MEMORY")
}

/// Whether what finds the database locked waits for it, or fails at once.
pub(crate) fn wait_for_locks(connection: &Connection, wait: bool) -> rusqlite::Result<()> {
    connection.busy_handler(if wait { Some(wait_for_lock) } else { None })
}

/// SQLite's own waiting grows to 100 ms a step, far longer than a group commit takes.
fn wait_for_lock(tries: i32) -> bool {
    const SHORT_TRIES: i32 = 100;
    const TRIES_MAX: i32 = LOCK_WAIT_MAX.as_millis() as i32;
    std::thread::sleep(Duration::from_micros(if tries < SHORT_TRIES { 100 } else { 1000 }));
    tries < TRIES_MAX
}

pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The database's path with a suffix, as SQLite names its companions.
pub(crate) fn companion(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::StatementStatus;

    fn refusal(path: &Path, create: bool) -> KvError {
        let error = open_writer(path, create).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(&*path.to_string_lossy()), "{error} names {}", path.display());
        error
    }

    #[test]
    fn a_missing_database_is_named_and_only_made_when_wished() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("volume");
        assert!(matches!(refusal(&path, false), KvError::Unavailable(_)));
        assert!(!path.exists());
        drop(open_writer(&path, true).unwrap());
        drop(open_writer(&path, false).unwrap());
        assert!(matches!(refusal(folder.path(), true), KvError::Unavailable(_)));
        let nowhere = open_writer(&folder.path().join("no/volume"), true).unwrap_err();
        assert!(nowhere.to_string().contains("there is no folder"), "{nowhere}");
    }

    #[test]
    fn files_of_others_are_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("text");
        fs::write(&text, [b'x'; 4096]).unwrap();
        assert!(matches!(refusal(&text, true), KvError::Damaged(_)));
        assert_eq!(fs::read(&text).unwrap(), [b'x'; 4096]);

        let foreign = folder.path().join("foreign");
        Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE theirs(x)").unwrap();
        assert!(matches!(refusal(&foreign, true), KvError::Other(_)));

        let newer = folder.path().join("newer");
        drop(open_writer(&newer, true).unwrap());
        Connection::open(&newer).unwrap().pragma_update(None, "user_version", LAYOUT_VERSION + 1).unwrap();
        assert!(refusal(&newer, false).to_string().contains("newer version"));
    }

    #[test]
    fn an_empty_file_is_no_volume_until_created() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty");
        fs::write(&path, b"").unwrap();
        assert!(matches!(refusal(&path, false), KvError::Unavailable(_)));
        drop(open_writer(&path, true).unwrap());
        drop(open_writer(&path, false).unwrap());
    }

    #[test]
    fn a_statement_is_compiled_once_whatever_is_bound_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let (writer, path) = open_writer(&folder.path().join("volume"), true).unwrap();
        for connection in [writer, open_reader(&path).unwrap()] {
            let mut scan = connection.prepare(crate::transaction::SCAN_FORWARD).unwrap();
            for key in 0..10u8 {
                assert!(scan.query_map(([key], [key + 1], 5), |_| Ok(())).unwrap().next().is_none());
            }
            assert_eq!(scan.get_status(StatementStatus::RePrepare), 0);
        }
    }

    #[test]
    fn creation_waits_for_one_who_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("volume");
        let other = Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let (created, is_created) = std::sync::mpsc::channel();
        let creator = std::thread::spawn(move || created.send(open_writer(&path, true).map(drop)));
        let early = is_created.recv_timeout(Duration::from_millis(100));
        assert!(early.is_err(), "done while another one writes: {early:?}");
        other.execute_batch("COMMIT").unwrap();
        is_created.recv().unwrap().unwrap();
        creator.join().unwrap().unwrap();
    }

    #[test]
    fn several_may_create_one_database_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("volume");
        let openers: Vec<_> = (0..4)
            .map(|_| {
                let path = path.clone();
                std::thread::spawn(move || drop(open_writer(&path, true).unwrap()))
            })
            .collect();
        openers.into_iter().for_each(|opener| opener.join().unwrap());
    }
}
