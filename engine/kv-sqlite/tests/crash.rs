//! What other processes see, and what is left of a process that was killed.

// In tests a failed unwrap is a failed test, which is what it is for.
#![allow(clippy::unwrap_used)]

use shoal_kv::{Direction, Durability, KeyRange, Kv, Reader, Verdict};
use shoal_kv_sqlite::SqliteKv;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const DATABASE: &str = "SHOAL_TEST_DATABASE";

/// Not a test by itself: the body of the child processes that the tests below start from this same binary. It prints the
/// number of each commit once it is acknowledged.
#[test]
fn child_that_commits_for_ever() {
    let Some(path) = std::env::var_os(DATABASE) else { return };
    let kv: Arc<dyn Kv> = SqliteKv::open(Path::new(&path), false).unwrap();
    let name = std::process::id();
    let mut out = std::io::stdout();
    for number in 0u32.. {
        let durability = if number % 64 == 63 { Durability::Durable } else { Durability::Visible };
        kv.transact(durability, move |transaction, _| {
            transaction.put(&key(name, number), b"");
            transaction.add(b"sum", 1);
            Ok(((), Verdict::Commit))
        })
        .unwrap();
        // The parent may be gone already.
        if writeln!(out, "committed {number}").is_err() {
            return;
        }
    }
}

fn key(process: u32, number: u32) -> Vec<u8> {
    [b"k".as_slice(), &process.to_be_bytes(), &number.to_be_bytes()].concat()
}

fn start_child(database: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_commits_for_ever", "--nocapture"])
        .env(DATABASE, database)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Kills the child with SIGKILL after it has told of `count` commits; gives all it has told.
fn kill_after(mut child: Child, count: usize) -> BTreeSet<Vec<u8>> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut told = BTreeSet::new();
    for line in lines {
        if let Some(number) = line.unwrap().strip_prefix("committed ") {
            told.insert(key(child.id(), number.parse().unwrap()));
            if told.len() == count {
                child.kill().unwrap();
            }
        }
    }
    child.wait().unwrap();
    assert!(told.len() >= count, "the child ended by itself");
    told
}

fn stored(kv: &dyn Kv) -> (BTreeSet<Vec<u8>>, i64) {
    let mut result = (BTreeSet::new(), 0);
    kv.read(&mut |reader: &mut dyn Reader| {
        let pairs = reader.scan(&KeyRange::prefix(b"k"), usize::MAX, Direction::Forward)?;
        result.0 = pairs.into_iter().map(|(key, _)| key).collect();
        result.1 = i64::from_le_bytes(reader.get(b"sum")?.unwrap().try_into().unwrap());
        Ok(())
    })
    .unwrap();
    result
}

#[test]
fn a_killed_process_loses_no_acknowledged_commit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("volume");
    SqliteKv::open(&path, true).unwrap().close().unwrap();
    let mut told = BTreeSet::new();
    for round in 1..=5 {
        told.extend(kill_after(start_child(&path), 100 * round));
        let kv = SqliteKv::open(&path, false).unwrap();
        let (keys, sum) = stored(kv.as_ref());
        assert!(told.is_subset(&keys), "{} acknowledged commits are lost", told.difference(&keys).count());
        assert_eq!(sum, keys.len() as i64, "a transaction is whole or absent");
        kv.close().unwrap();
    }
}

#[test]
fn processes_take_turns_and_see_each_other_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("volume");
    let kv = SqliteKv::open(&path, true).unwrap();
    let kv: Arc<dyn Kv> = kv;
    let mut watch = kv.watch(b"sum").unwrap();
    let epoch = kv.foreign_epoch().unwrap();
    let children = [start_child(&path), start_child(&path)];
    assert_eq!(watch.wait(Duration::from_secs(30)), Ok(true));
    assert!(kv.foreign_epoch().unwrap() > epoch);
    // We write as well, against two that never pause.
    for number in 0..200 {
        kv.transact(Durability::Visible, move |transaction, _| {
            transaction.put(&key(0, number), b"");
            transaction.add(b"sum", 1);
            Ok(((), Verdict::Commit))
        })
        .unwrap();
    }
    let mut told: BTreeSet<_> = (0..200).map(|number| key(0, number)).collect();
    for child in children {
        told.extend(kill_after(child, 200));
        assert!(told.is_subset(&stored(kv.as_ref()).0), "what was acknowledged there can be read here");
    }
    let (keys, sum) = stored(kv.as_ref());
    assert_eq!(sum, keys.len() as i64);
    // Both were killed, perhaps inside a commit: the epoch comes to rest all the same.
    kv.foreign_epoch();
    assert_eq!(kv.foreign_epoch(), kv.foreign_epoch());
}
