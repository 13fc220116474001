//! The contract of metadata engines, and what failures may do to it, on FoundationDB: on a real cluster where
//! `FDB_CLUSTER_FILE` names one, otherwise on our stand-in. The failures are the stand-in's in any case but for those of a
//! client library, of which a process can have one: with a real cluster they are left out, and said to be.

// A failed unwrap is a failed test, which is what it is for.
#![allow(clippy::unwrap_used)]

mod support;

use shoal_ci_servers::{FoundationDb, Proxy, Server};
use shoal_kv::retry::RetryPolicy;
use shoal_kv::{Durability, Kv, KvError, Verdict};
use shoal_kv_fdb::FdbServer;
use shoal_kv_remote::{Counted, Engine, RemoteOptions};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use support::failures;

fn fdb(url: &str, answer_max: Duration) -> FdbServer {
    let server = FdbServer::at(&url.parse().unwrap(), answer_max).unwrap();
    // There is none while the server is down.
    let _ = server.prepare(true);
    server
}

/// Failures can be ordered of the stand-in alone.
fn has_standin(test: &str) -> bool {
    let real = FoundationDb::real_cluster();
    if let Some(path) = &real {
        eprintln!("foundationdb: NOT RUN on the real cluster of {}: {test}", path.display());
    }
    real.is_none()
}

#[test]
fn the_contract_is_kept() {
    failures::contract(|url| fdb(url, support::ANSWER_MAX), &Server::start(FoundationDb::default()));
}

/// Its transactions go by turns to as many handles as there are threads; the first in a process says how many.
#[test]
fn the_contract_is_kept_by_a_library_that_works_on_several_threads() {
    // For that its file must be named.
    if std::env::var_os("FDB_CLIENT_LIB_PATH").is_none() && !has_standin("several threads, without FDB_CLIENT_LIB_PATH")
    {
        return;
    }
    failures::contract(
        |url| fdb(&format!("{url}&threads=3"), support::ANSWER_MAX),
        &Server::start(FoundationDb::default()),
    );
}

/// But for the claims that nobody conflicts.
#[test]
fn the_contract_is_kept_while_one_commit_in_ten_and_one_read_in_fifty_fail() {
    if !has_standin("the contract with errors by order") {
        return;
    }
    let faults = [
        ("--not-committed", 0.03),
        ("--unknown-committed", 0.03),
        ("--unknown-not-committed", 0.03),
        ("--too-old", 0.01),
        ("--process-behind", 0.01),
    ];
    let server = Server::start(FoundationDb::failing(&faults));
    failures::contract_with_conflicts(|url| fdb(url, support::ANSWER_MAX), &server);
}

#[test]
fn increments_are_applied_once_however_often_their_results_are_unknown() {
    if !has_standin("increments with unknown results") {
        return;
    }
    let faults = [("--unknown-committed", 0.03), ("--unknown-not-committed", 0.02), ("--too-old", 0.1)];
    let server = Server::start(FoundationDb::failing(&faults));
    let kv = fdb(&server.url("increments"), support::ANSWER_MAX).open(RemoteOptions::default()).unwrap();
    let (threads, each) = (8, if std::env::var_os("SHOAL_LONG").is_some() { 2_500_u64 } else { 250 });
    thread::scope(|scope| {
        for _ in 0..threads {
            let kv: Arc<dyn Kv> = kv.clone();
            scope.spawn(move || {
                for _ in 0..each {
                    kv.transact(Durability::Durable, |transaction, attempt| {
                        assert!(!attempt.maybe_committed, "the engine knows what has become of earlier runs");
                        transaction.add(b"blind", 1);
                        let sum =
                            transaction.get(b"guarded")?.map_or(0, |sum| u64::from_le_bytes(sum.try_into().unwrap()));
                        transaction.put(b"guarded", &(sum + 1).to_le_bytes());
                        Ok(((), Verdict::Commit))
                    })
                    .unwrap();
                }
            });
        }
    });
    let mut sums = Vec::new();
    kv.read(&mut |reader| {
        sums = reader.get_many(&[b"blind", b"guarded"])?;
        Ok(())
    })
    .unwrap();
    let all = Some((threads * each).to_le_bytes().to_vec());
    assert_eq!(sums, [all.clone(), all], "each was applied once");
}

#[test]
fn a_lost_answer_never_means_twice_or_not_at_all() {
    if has_standin("lost answers") {
        failures::a_lost_answer_never_means_twice_or_not_at_all(fdb, &Server::start(FoundationDb::default()));
    }
}

#[test]
fn cut_connections_delay_and_nothing_else() {
    if has_standin("cut connections") {
        failures::cut_connections_delay_and_nothing_else(fdb, &Server::start(FoundationDb::default()));
    }
}

#[test]
fn a_commit_that_comes_late_is_refused() {
    if has_standin("late commits") {
        failures::a_commit_that_comes_late_is_refused(fdb, &Server::start(FoundationDb::default()));
    }
}

/// As above, but what is held is the commit itself: it had its version before.
#[test]
fn a_commit_that_is_held_after_its_reads_is_refused_when_it_arrives() {
    if !has_standin("commits that are held after their reads") {
        return;
    }
    let process = Server::start(FoundationDb::default());
    let proxy = Arc::new(Proxy::to(process.port()));
    let retry = RetryPolicy { total_max: Duration::from_secs(60), ..RetryPolicy::default() };
    let options = RemoteOptions { retry, ..RemoteOptions::default() };
    let url = process.url_through(proxy.port(), "held");
    let kv: Arc<dyn Kv> = fdb(&url, Duration::from_millis(300)).open(options).unwrap();
    for round in 1..=3_u64 {
        let held = proxy.clone();
        let add = kv.transact(Durability::Durable, move |transaction, attempt| {
            let sum = transaction.get_unchecked(b"sum")?;
            if attempt.number == 0 {
                held.hold();
            }
            transaction.add(b"sum", 1);
            Ok((sum, Verdict::Commit))
        });
        add.unwrap();
        proxy.release();
        // What was held arrives meanwhile.
        thread::sleep(Duration::from_millis(300));
        kv.read(&mut |reader| {
            assert_eq!(reader.get(b"sum")?, Some(round.to_le_bytes().to_vec()), "it was applied once");
            Ok(())
        })
        .unwrap();
    }
}

#[test]
fn a_silent_server_fails_operations_in_bounded_time() {
    if has_standin("a silent server") {
        failures::a_silent_server_fails_operations_in_bounded_time(fdb, &Server::start(FoundationDb::default()));
    }
}

#[test]
fn a_killed_server_loses_nothing_that_was_acknowledged() {
    if has_standin("a killed server") {
        failures::a_killed_server_loses_nothing_that_was_acknowledged(fdb, &mut Server::start(FoundationDb::default()));
    }
}

#[test]
fn an_absent_server_is_reported_at_once() {
    if has_standin("an absent server") {
        failures::an_absent_server_is_reported_at_once(fdb, &mut Server::start(FoundationDb::default()));
    }
}

#[test]
fn operations_keep_to_their_round_trips() {
    // The stand-in gives 80 kB at once.
    failures::operations_keep_to_their_round_trips(fdb, &Server::start(FoundationDb::default()), 1..=3);
}

/// Each appends what nobody else does, to a value that grows beyond what is appended to blindly and up to the limit.
#[test]
fn nothing_that_was_appended_is_left_away() {
    let server = Server::start(FoundationDb::default());
    let url = server.url("appended");
    let threads: Vec<_> = (0..6u8)
        .map(|who| {
            let kv: Arc<dyn Kv> = fdb(&url, support::ANSWER_MAX).open(RemoteOptions::default()).unwrap();
            thread::spawn(move || {
                let mut acknowledged = 0_usize;
                loop {
                    let appended = kv.transact(Durability::Durable, move |transaction, _| {
                        transaction.append(b"list", &[who; 500]);
                        Ok(((), Verdict::Commit))
                    });
                    match appended {
                        Ok(()) => acknowledged += 500,
                        Err(KvError::Limit(_)) => return acknowledged,
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    let acknowledged: Vec<usize> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let kv = fdb(&url, support::ANSWER_MAX).open(RemoteOptions::default()).unwrap();
    let mut list = Vec::new();
    kv.read(&mut |reader| {
        list = reader.get(b"list")?.unwrap();
        Ok(())
    })
    .unwrap();
    let found: Vec<usize> = (0..6u8).map(|who| list.iter().filter(|byte| **byte == who).count()).collect();
    assert_eq!(found, acknowledged, "what was acknowledged is there, and nothing else");
    assert_eq!(list.len(), 100_000, "and it was filled");
}

/// A blind append that began before the value became long would be dropped without a word.
#[test]
fn an_append_to_what_was_short_when_it_began_is_not_left_away() {
    let server = Server::start(FoundationDb::default());
    let url = server.url("short");
    let open = || -> Arc<dyn Kv> { fdb(&url, support::ANSWER_MAX).open(RemoteOptions::default()).unwrap() };
    let (appending, filling) = (open(), open());
    let appended = appending.transact(Durability::Durable, move |transaction, attempt| {
        transaction.get_unchecked(b"list")?;
        if attempt.number == 0 {
            filling
                .transact(Durability::Durable, |transaction, _| {
                    transaction.put(b"list", &[0; 100_000]);
                    Ok(((), Verdict::Commit))
                })
                .unwrap();
        }
        transaction.append(b"list", b"more");
        Ok(((), Verdict::Commit))
    });
    assert!(matches!(appended, Err(KvError::Limit(_))), "{appended:?}");
}

#[test]
fn a_volume_is_made_once_and_removed_with_all_that_is_in_it() {
    let process = Server::start(FoundationDb::default());
    let server = |prefix: &str| FdbServer::at(&process.url(prefix).parse().unwrap(), support::ANSWER_MAX).unwrap();
    assert_eq!(server("made").prepare(false), Ok(false));
    assert_eq!(server("made").prepare(true), Ok(true));
    assert_eq!(server("made").prepare(false), Ok(true));
    assert_eq!(server("made2").prepare(false), Ok(false), "another volume");
    assert_eq!(server("made").durability_warning(), Ok(None));
    server("made").destroy().unwrap();
    assert_eq!(server("made").prepare(false), Ok(false));
}

/// What a cluster file says is checked before anything waits.
#[test]
fn a_wrong_cluster_file_is_named() {
    let process = Server::start(FoundationDb::default());
    let url = process.url("wrong");
    let (_, options) = url.split_once('?').unwrap();
    let folder = process.folder().to_path_buf();
    std::fs::write(folder.join("wrong.cluster"), "no such thing\n").unwrap();
    for name in ["wrong.cluster", "missing.cluster"] {
        let path = folder.join(name);
        let server =
            FdbServer::at(&format!("fdb://{}?{options}", path.display()).parse().unwrap(), support::ANSWER_MAX);
        let start = Instant::now();
        let error = server.unwrap().prepare(false).unwrap_err();
        assert!(matches!(&error, KvError::Unavailable(why) if why.contains(path.to_str().unwrap())), "{error}");
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}

/// And who commits when it has ended pays nothing for it.
#[test]
fn a_snapshot_outlives_what_a_cluster_remembers_and_one_at_a_time_is_read() {
    let server = Server::start(FoundationDb::default());
    let url = server.url("snapshots");
    let kv: Arc<FoundationDbKv> = fdb(&url, support::ANSWER_MAX).open(RemoteOptions::default()).unwrap();
    let kv_dyn: Arc<dyn Kv> = kv.clone();
    let put = |value: &'static [u8]| {
        kv_dyn
            .transact(Durability::Durable, move |transaction, _| {
                transaction.put(b"key", value);
                transaction.put_versionstamped(b"stamped", value);
                Ok(((), Verdict::Commit))
            })
            .unwrap();
    };
    put(b"old");
    let mut snapshot = kv.snapshot().unwrap();
    put(b"new");
    assert!(matches!(kv.snapshot().map(drop), Err(KvError::Unavailable(_))), "there is one already");
    // Longer than a version can be read.
    thread::sleep(Duration::from_secs(6));
    put(b"newer");
    let pairs = snapshot.next().unwrap();
    assert_eq!(pairs.len(), 2, "{pairs:?}");
    assert!(pairs.iter().all(|(_, value)| value == b"old"), "{pairs:?}");
    assert_eq!(snapshot.next(), Ok(Vec::new()));
    drop(snapshot);
    let pairs = kv.snapshot().unwrap().next().unwrap();
    assert_eq!(pairs.len(), 4, "{pairs:?}");
    let before = kv.round_trips();
    put(b"last");
    assert_eq!(kv.round_trips() - before, 2, "once more to see that the snapshot has ended");
    put(b"last");
    assert_eq!(kv.round_trips() - before, 3, "and then the commit alone");
}

/// It does not know that there is something to keep, and must not commit so.
#[test]
fn a_change_that_began_before_a_snapshot_is_not_in_it() {
    let server = Server::start(FoundationDb::default());
    let url = server.url("began");
    let open = || -> Arc<dyn Kv> { fdb(&url, support::ANSWER_MAX).open(RemoteOptions::default()).unwrap() };
    let (kv, other) = (open(), open());
    let (taken, snapshot) = mpsc::channel();
    kv.transact(Durability::Durable, move |transaction, attempt| {
        transaction.get_unchecked(b"key")?;
        if attempt.number == 0 {
            taken.send(other.snapshot().unwrap()).unwrap();
        }
        transaction.put(b"key", b"value");
        Ok(((), Verdict::Commit))
    })
    .unwrap();
    let mut snapshot = snapshot.recv().unwrap();
    assert_eq!(snapshot.next(), Ok(Vec::new()), "there was nothing at that moment");
}

/// Versions are the clock by which a snapshot counts as left behind, and they jump by 100 seconds when a cluster recovers.
#[test]
fn a_snapshot_that_was_left_behind_is_given_up_by_who_takes_one_or_changes_something() {
    if !has_standin("a snapshot that was left behind") {
        return;
    }
    let mut server = Server::start(FoundationDb::default());
    let url = server.url("behind");
    let open = |url: &str| -> Arc<dyn Kv> { fdb(url, support::ANSWER_MAX).open(RemoteOptions::default()).unwrap() };
    // Another volume, in which something happens between the recoveries.
    let (kv, other) = (open(&url), open(&server.url("beside")));
    let put = |kv: &Arc<dyn Kv>| {
        kv.transact(Durability::Durable, |transaction, _| {
            transaction.put(b"key", b"value");
            Ok(((), Verdict::Commit))
        })
    };
    for change in [false, true] {
        let mut left = kv.snapshot().unwrap();
        put(&kv).unwrap();
        assert!(kv.snapshot().is_err(), "it is still being read");
        for _ in 0..4 {
            server.restart();
            put(&other).unwrap();
        }
        if change {
            put(&kv).unwrap();
        } else {
            drop(kv.snapshot().unwrap());
        }
        assert!(matches!(left.next(), Err(KvError::Unavailable(_))), "it is gone");
    }
}

type FoundationDbKv = <FdbServer as Engine>::Client;

/// Operations that can't be done are told so within their time.
#[test]
fn a_cluster_that_is_away_is_waited_for_with_a_bound() {
    if !has_standin("a cluster that is away") {
        return;
    }
    let mut process = Server::start(FoundationDb::default());
    let retry = RetryPolicy { total_max: Duration::from_secs(2), ..RetryPolicy::default() };
    let options = RemoteOptions { retry, ..RemoteOptions::default() };
    let kv: Arc<dyn Kv> = fdb(&process.url("away"), Duration::from_millis(500)).open(options).unwrap();
    let mut watch = kv.watch(b"key").unwrap();
    process.kill();
    let start = Instant::now();
    let read = kv.read(&mut |reader| reader.get(b"key").map(drop));
    assert!(matches!(read, Err(KvError::Unavailable(_))), "{read:?}");
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    process.restart();
    kv.transact(Durability::Durable, |transaction, _| {
        transaction.put(b"key", b"value");
        Ok(((), Verdict::Commit))
    })
    .unwrap();
    assert_eq!(watch.wait(Duration::from_secs(30)), Ok(true), "the watch has outlived the server");
}
