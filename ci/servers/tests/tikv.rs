//! The contract of metadata engines, and what failures may do to it, on TiKV's protocol over its mock store; and on a real
//! cluster where `SHOAL_TIKV_PD` names one.

// A failed unwrap is a failed test, which is what it is for.
#![allow(clippy::unwrap_used)]

mod support;

use shoal_ci_servers::{Server, Tikv};
use shoal_kv::retry::RetryPolicy;
use shoal_kv::{Direction, Durability, KeyRange, Kv, Transaction, Verdict};
use shoal_kv_remote::{Engine, RemoteOptions};
use shoal_kv_tikv::TikvServer;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;
use support::failures;

fn tikv(url: &str, answer_max: Duration) -> TikvServer {
    let server = TikvServer::at(&url.parse().unwrap(), answer_max).unwrap();
    // There is none while the server is down.
    let _ = server.prepare(true);
    server
}

#[test]
fn the_contract_is_kept() {
    failures::contract(|url| tikv(url, support::ANSWER_MAX), &Server::start(Tikv::default()));
}

#[test]
fn the_contract_is_kept_while_regions_split_and_change_their_leaders() {
    failures::contract(|url| tikv(url, support::ANSWER_MAX), &Server::start(Tikv { unrest: true }));
}

/// Without a cluster there is nothing to do: the same has been done on the mock.
#[test]
fn the_contract_is_kept_by_a_real_cluster_where_one_is_named() {
    if Tikv::real_url("contract").is_none() {
        println!("no real cluster: SHOAL_TIKV_PD names none");
        return;
    }
    struct Store(String);
    impl shoal_kv::contract::ContractStore for Store {
        fn client(&self) -> Arc<dyn Kv> {
            tikv(&self.0, support::ANSWER_MAX).open(RemoteOptions::default()).unwrap()
        }
    }
    impl Drop for Store {
        fn drop(&mut self) {
            tikv(&self.0, support::ANSWER_MAX).destroy().unwrap();
        }
    }
    shoal_kv::contract::run_all(&|| Box::new(Store(Tikv::real_url("c").unwrap())));
}

#[test]
fn operations_keep_to_their_round_trips() {
    failures::operations_keep_to_their_round_trips(tikv, &Server::start(Tikv::default()), 3..=3);
}

#[test]
fn a_lost_answer_never_means_twice_or_not_at_all() {
    failures::a_lost_answer_never_means_twice_or_not_at_all(tikv, &Server::start(Tikv::default()));
}

#[test]
fn cut_connections_delay_and_nothing_else() {
    failures::cut_connections_delay_and_nothing_else(tikv, &Server::start(Tikv::default()));
}

#[test]
fn a_commit_that_comes_late_is_refused() {
    failures::a_commit_that_comes_late_is_refused(tikv, &Server::start(Tikv::default()));
}

#[test]
fn a_silent_server_fails_operations_in_bounded_time() {
    failures::a_silent_server_fails_operations_in_bounded_time(tikv, &Server::start(Tikv::default()));
}

#[test]
fn a_killed_server_loses_nothing_that_was_acknowledged() {
    failures::a_killed_server_loses_nothing_that_was_acknowledged(tikv, &mut Server::start(Tikv::default()));
}

#[test]
fn an_absent_server_is_reported_at_once() {
    failures::an_absent_server_is_reported_at_once(tikv, &mut Server::start(Tikv::default()));
}

#[test]
fn a_volume_is_made_once_and_removed_with_all_that_is_in_it_and_others_stay() {
    let process = Server::start(Tikv::default());
    let at = |prefix: &str| TikvServer::at(&process.url(prefix).parse().unwrap(), support::ANSWER_MAX).unwrap();
    let (server, other) = (at("made"), at("made2"));
    assert_eq!(server.prepare(false), Ok(false));
    thread::scope(|scope| {
        (0..4).for_each(|_| drop(scope.spawn(|| assert_eq!(server.prepare(true), Ok(true)))));
    });
    assert_eq!((server.prepare(false), other.prepare(true)), (Ok(true), Ok(true)));
    assert_eq!(server.durability_warning(), Ok(None));
    for prefix in ["made", "made2"] {
        let kv: Arc<dyn Kv> = at(prefix).open(RemoteOptions::default()).unwrap();
        let fill = |transaction: &mut dyn Transaction, _| {
            (0..1500u32).for_each(|number| transaction.put(&number.to_be_bytes(), b"value"));
            Ok(((), Verdict::Commit))
        };
        kv.transact(Durability::Durable, fill).unwrap();
    }
    server.destroy().unwrap();
    assert_eq!((server.prepare(false), other.prepare(false)), (Ok(false), Ok(true)));
    let first = |prefix: &str| at(prefix).open(RemoteOptions::default()).unwrap().snapshot().unwrap().next();
    assert_eq!(first("made"), Ok(Vec::new()));
    assert!(!first("made2").unwrap().is_empty());
}

/// Eight threads of two clients count in one place, so it's spread; another takes what has been counted away, again and again.
#[test]
fn counters_that_are_spread_lose_nothing_while_they_are_read_and_removed() {
    const ROUNDS: u64 = 40;
    let process = Server::start(Tikv::default());
    let open = || -> Arc<dyn Kv> { tikv(&process.url("spread"), support::ANSWER_MAX).open(patient()).unwrap() };
    let clients = [open(), open()];
    let number = |value: Option<Vec<u8>>| value.map_or(0, |bytes| i64::from_le_bytes(bytes.try_into().unwrap()));
    let counters: Vec<_> = (0..8)
        .map(|who| {
            let kv = clients[who % 2].clone();
            let count = move |round: u64| {
                kv.transact(Durability::Visible, move |transaction, _| {
                    transaction.add(b"count", 1);
                    transaction.max(b"top", round);
                    Ok(((), Verdict::Commit))
                })
                .unwrap();
            };
            thread::spawn(move || (0..ROUNDS).for_each(count))
        })
        .collect();
    let take = |by_range: bool| {
        clients[0]
            .transact(Durability::Visible, move |transaction, _| {
                let count = number(transaction.get(b"count")?);
                transaction.add(b"taken", count);
                match by_range {
                    true => transaction.delete_range(&KeyRange::prefix(b"count"))?,
                    false => transaction.delete(b"count"),
                }
                Ok(((), Verdict::Commit))
            })
            .unwrap();
    };
    let mut by_range = false;
    while counters.iter().any(|counter| !counter.is_finished()) {
        take(by_range);
        by_range = !by_range;
    }
    counters.into_iter().for_each(|counter| counter.join().unwrap());
    let read = |transaction: &mut dyn Transaction, _| {
        let values = transaction.get_many(&[b"count", b"taken", b"top"])?;
        Ok((values, Verdict::Abort))
    };
    let mut values = clients[1].transact(Durability::Visible, read).unwrap().into_iter();
    let mut next = || number(values.next().unwrap());
    assert_eq!(next() + next(), 8 * ROUNDS as i64);
    assert_eq!(next(), ROUNDS as i64 - 1);
}

/// Stamps are given before the order of commits is known: a follower that goes on from the last one must not miss any.
#[test]
fn followers_of_stamps_miss_none_and_see_them_in_order() {
    const ROUNDS: u32 = 40;
    let process = Server::start(Tikv { unrest: true });
    let open = || -> Arc<dyn Kv> { tikv(&process.url("stamps"), support::ANSWER_MAX).open(patient()).unwrap() };
    let clients = [open(), open()];
    let writers: Vec<_> = (0..8u32)
        .map(|who| {
            let kv = clients[who as usize % 2].clone();
            let write = move |round: u32| {
                let number = (who * ROUNDS + round).to_be_bytes();
                kv.transact(Durability::Visible, move |transaction, _| {
                    transaction.put_versionstamped(b"feed", &number);
                    Ok(((), Verdict::Commit))
                })
                .unwrap();
            };
            thread::spawn(move || (0..ROUNDS).for_each(write))
        })
        .collect();
    let follower = open();
    let (mut rest, mut found) = (KeyRange::prefix(b"feed"), Vec::new());
    loop {
        // A read that begins after the last commit sees all of them.
        let last_look = writers.iter().all(|writer| writer.is_finished());
        let mut page = Vec::new();
        follower
            .read(&mut |reader| {
                page = reader.scan_stamped(&rest, usize::MAX, Direction::Forward)?;
                Ok(())
            })
            .unwrap();
        if let Some((newest, _)) = page.last() {
            rest = rest.behind(newest);
        }
        found.extend(page.into_iter().map(|(_, number)| u32::from_be_bytes(number.try_into().unwrap())));
        if last_look {
            break;
        }
    }
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert_eq!(found.len() as u32, 8 * ROUNDS);
    for who in 0..8 {
        let own: Vec<_> = found.iter().filter(|number| **number / ROUNDS == who).collect();
        assert!(own.is_sorted(), "one after another, by one thread");
    }
    found.sort_unstable();
    assert!(found.into_iter().eq(0..8 * ROUNDS));
}

/// The removals conflict with every count, and the machine may be busy.
fn patient() -> RemoteOptions {
    let retry = RetryPolicy { total_max: Duration::from_secs(120), ..RetryPolicy::default() };
    RemoteOptions { retry, ..RemoteOptions::default() }
}

/// As a file is compacted whose counters are those of hundreds of objects, while other mounts follow what happens.
#[test]
fn a_commit_that_removes_hundreds_of_counters_is_not_held_back_for_ever_by_readers_of_what_it_writes() {
    const COUNTERS: u32 = 400;
    let process = Server::start(Tikv::default());
    let open = || -> Arc<dyn Kv> { tikv(&process.url("many"), support::ANSWER_MAX).open(patient()).unwrap() };
    let (writer, reader) = (open(), open());
    let counter = |number: u32| [b"object ".as_slice(), &number.to_be_bytes()].concat();
    let make = move |transaction: &mut dyn Transaction, _| {
        (0..COUNTERS).for_each(|number| transaction.add(&counter(number), 1));
        transaction.put(b"told", b"made");
        Ok(((), Verdict::Commit))
    };
    writer.transact(Durability::Visible, make).unwrap();
    let removed = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !removed.load(SeqCst) {
                    reader.read(&mut |reader| reader.get(b"told").map(drop)).unwrap();
                    // A few times as often as a mount asks what has happened; not to wait for anything.
                    thread::sleep(Duration::from_millis(10));
                }
            });
        }
        let remove = move |transaction: &mut dyn Transaction, _| {
            for number in 0..COUNTERS {
                assert!(transaction.get(&counter(number))?.is_some());
                transaction.delete(&counter(number));
            }
            transaction.put(b"told", b"removed");
            Ok(((), Verdict::Commit))
        };
        let end = writer.transact(Durability::Visible, remove);
        removed.store(true, SeqCst);
        end.unwrap();
    });
}
