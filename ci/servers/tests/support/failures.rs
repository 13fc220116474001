//! What may not happen to a store when its server or the way to it fails: the same for every engine.

use super::{RemoteStore, fresh_prefix};
use shoal_ci_servers::{Program, Proxy, Server as Process};
use shoal_kv::retry::RetryPolicy;
use shoal_kv::{Attempt, Direction, Durability, KeyRange, Kv, KvError, KvResult, Transaction, Verdict};
use shoal_kv_remote::{Counted, Engine, RemoteOptions};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How a test reaches a server: by its URL, giving up on an answer after a while.
pub type Connect<E> = fn(&str, Duration) -> E;

fn patient(total_max: Duration) -> RemoteOptions {
    RemoteOptions { retry: RetryPolicy { total_max, ..RetryPolicy::default() }, ..RemoteOptions::default() }
}

fn open<E: Engine>(server: E, patience: Duration) -> Arc<dyn Kv> {
    server.open(patient(patience)).unwrap()
}

/// Adds one to the sum, blindly, and leaves a record; nothing in it would make a second run conflict.
fn count(kv: &Arc<dyn Kv>, who: u32, number: u32) -> KvResult<()> {
    kv.transact(Durability::Durable, move |transaction: &mut dyn Transaction, attempt: Attempt| {
        assert!(!attempt.maybe_committed, "the engine knows what has become of earlier runs");
        transaction.add(b"sum", 1);
        transaction.put(&record(who, number), b"");
        transaction.append(format!("list {who} {}", number / 1000).as_bytes(), &number.to_be_bytes());
        Ok(((), Verdict::Commit))
    })
}

fn record(who: u32, number: u32) -> Vec<u8> {
    [b"record ".as_slice(), &who.to_be_bytes(), &number.to_be_bytes()].concat()
}

/// The sum, and the records there are.
fn counted(kv: &Arc<dyn Kv>) -> (u64, Vec<Vec<u8>>) {
    let mut found = (0, Vec::new());
    kv.read(&mut |reader| {
        let sum = reader.get(b"sum")?.map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
        let records = reader.scan(&KeyRange::prefix(b"record "), usize::MAX, Direction::Forward)?;
        found = (sum, records.into_iter().map(|(key, _)| key).collect());
        Ok(())
    })
    .unwrap();
    found
}

/// Several threads count, each until `enough` says so, while `disturb` runs; gives what was acknowledged.
fn count_while(
    kv: &Arc<dyn Kv>,
    enough: impl Fn(u32) -> bool + Copy + Send + 'static,
    disturb: impl FnOnce(),
) -> Vec<Vec<u8>> {
    let ended = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..4)
        .map(|who| {
            let (kv, ended) = (kv.clone(), ended.clone());
            thread::spawn(move || {
                let mut acknowledged = Vec::new();
                for number in 0.. {
                    if ended.load(Ordering::SeqCst) && enough(number) {
                        break;
                    }
                    count(&kv, who, number).unwrap();
                    acknowledged.push(record(who, number));
                }
                acknowledged
            })
        })
        .collect();
    disturb();
    ended.store(true, Ordering::SeqCst);
    threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
}

fn check_counts(kv: &Arc<dyn Kv>, mut acknowledged: Vec<Vec<u8>>) {
    let (sum, records) = counted(kv);
    acknowledged.sort();
    assert_eq!(records, acknowledged, "what was acknowledged is there, and nothing else");
    assert_eq!(sum, acknowledged.len() as u64, "each was applied once");
}

pub fn a_lost_answer_never_means_twice_or_not_at_all<E: Engine>(connect: Connect<E>, process: &Process<impl Program>) {
    let proxy = Proxy::to(process.port());
    let url = process.url_through(proxy.port(), &fresh_prefix());
    let kv = open(connect(&url, Duration::from_secs(10)), Duration::from_secs(60));
    proxy.lose_one_answer_in(20);
    let acknowledged = count_while(&kv, |number| number >= 50, || ());
    proxy.lose_one_answer_in(0);
    assert!(proxy.answers_lost() >= 10, "answers were lost");
    check_counts(&kv, acknowledged);
}

pub fn cut_connections_delay_and_nothing_else<E: Engine>(connect: Connect<E>, process: &Process<impl Program>) {
    let proxy = Proxy::to(process.port());
    let url = process.url_through(proxy.port(), &fresh_prefix());
    let kv = open(connect(&url, Duration::from_secs(10)), Duration::from_secs(60));
    let acknowledged = count_while(
        &kv,
        |_| true,
        || {
            for _ in 0..20 {
                thread::sleep(Duration::from_millis(50));
                proxy.cut();
            }
        },
    );
    check_counts(&kv, acknowledged);
}

/// The request of a commit is held up on the way until its client has given it up and done it again.
pub fn a_commit_that_comes_late_is_refused<E: Engine>(connect: Connect<E>, process: &Process<impl Program>) {
    let proxy = Proxy::to(process.port());
    let url = process.url_through(proxy.port(), &fresh_prefix());
    let kv = open(connect(&url, Duration::from_millis(300)), Duration::from_secs(60));
    for number in 0..5 {
        // All workers may have connections by now: the next commit goes over one of those that are held.
        proxy.hold();
        count(&kv, 0, number).unwrap();
        proxy.release();
        // What was held has arrived when a later question over the same way is answered.
        count(&kv, 1, number).unwrap();
    }
    thread::sleep(Duration::from_millis(300));
    let acknowledged = (0..2).flat_map(|who| (0..5).map(move |number| record(who, number))).collect();
    check_counts(&kv, acknowledged);
}

pub fn a_silent_server_fails_operations_in_bounded_time<E: Engine>(
    connect: Connect<E>,
    process: &Process<impl Program>,
) {
    let proxy = Proxy::to(process.port());
    let url = process.url_through(proxy.port(), &fresh_prefix());
    let (answer_max, patience) = (Duration::from_millis(500), Duration::from_secs(2));
    let kv = open(connect(&url, answer_max), patience);
    count(&kv, 0, 0).unwrap();
    proxy.hold_all();
    let start = Instant::now();
    let read = kv.read(&mut |reader| reader.get(b"sum").map(drop));
    assert!(matches!(read, Err(KvError::Unavailable(_))), "{read:?}");
    let commit = count(&kv, 0, 1);
    assert!(matches!(commit, Err(KvError::UnknownResult(_) | KvError::Unavailable(_))), "{commit:?}");
    let took = start.elapsed();
    assert!(took < 2 * patience + 6 * answer_max, "it took {took:?}");
    proxy.release();
    count(&kv, 0, 2).unwrap();
    let (sum, records) = counted(&kv);
    assert_eq!(sum, records.len() as u64);
    assert!(records.contains(&record(0, 0)) && records.contains(&record(0, 2)));
}

pub fn a_killed_server_loses_nothing_that_was_acknowledged<E: Engine>(
    connect: Connect<E>,
    process: &mut Process<impl Program>,
) {
    let url = process.url(&fresh_prefix());
    deaths_at_lose_nothing(connect, &url, || {
        for _ in 0..4 {
            thread::sleep(Duration::from_millis(400));
            process.restart();
        }
    });
}

/// Of one of several servers.
pub fn deaths_lose_nothing_that_was_acknowledged<E: Engine>(
    connect: Connect<E>,
    process: &Process<impl Program>,
    deaths: impl FnOnce(),
) {
    deaths_at_lose_nothing(connect, &process.url(&fresh_prefix()), deaths);
}

fn deaths_at_lose_nothing<E: Engine>(connect: Connect<E>, url: &str, deaths: impl FnOnce()) {
    let kv = open(connect(url, Duration::from_secs(10)), Duration::from_secs(120));
    let acknowledged = count_while(&kv, |_| true, deaths);
    assert!(acknowledged.len() > 20, "there was something to lose");
    check_counts(&kv, acknowledged);
}

pub fn an_absent_server_is_reported_at_once<E: Engine>(connect: Connect<E>, process: &mut Process<impl Program>) {
    process.kill();
    let start = Instant::now();
    let refused = connect(&process.url("absent"), Duration::from_secs(10)).open(RemoteOptions::default());
    assert!(matches!(refused.map(drop), Err(KvError::Unavailable(_))));
    assert!(start.elapsed() < Duration::from_secs(5));
}

/// `scan`: what 2,500 small pairs may cost.
pub fn operations_keep_to_their_round_trips<E: Engine>(
    connect: Connect<E>,
    process: &Process<impl Program>,
    scan: RangeInclusive<u64>,
) {
    let kv = connect(&process.url(&fresh_prefix()), super::ANSWER_MAX).open(RemoteOptions::default()).unwrap();
    let trips = |body: fn(&mut dyn Transaction) -> KvResult<()>| {
        let before = kv.round_trips();
        let shared: Arc<dyn Kv> = kv.clone();
        let run = move |transaction: &mut dyn Transaction, _| body(transaction).map(|()| ((), Verdict::Commit));
        shared.transact(Durability::Durable, run).unwrap();
        kv.round_trips() - before
    };
    let blind = trips(|transaction| {
        transaction.add(b"counter", 1);
        transaction.delete_range(&KeyRange::prefix(b"none"))?;
        (0..2500u32).for_each(|number| transaction.put(&[b"s".as_slice(), &number.to_be_bytes()].concat(), b""));
        Ok(())
    });
    assert_eq!(blind, 1, "writes alone");
    let create = trips(|transaction| {
        transaction.get_many(&[b"session", b"parent", b"name"])?;
        transaction.get(b"parent")?;
        transaction.put(b"name", b"");
        transaction.add(b"entries", 1);
        Ok(())
    });
    assert_eq!(create, 2, "one read and the commit");
    let own = trips(|transaction| {
        transaction.put(b"name", b"own");
        transaction.get(b"name").map(drop)
    });
    assert_eq!(own, 1, "what was written is not read");
    assert_eq!(trips(|transaction| transaction.get(b"name").map(drop)), 1, "nothing to commit");
    assert_eq!(trips(|_| Ok(())), 0, "nothing at all");
    let scanned = trips(|transaction| {
        assert_eq!(transaction.scan(&KeyRange::prefix(b"s"), usize::MAX, Direction::Forward)?.len(), 2500);
        Ok(())
    });
    assert!(scan.contains(&scanned), "{scanned} round trips for a scan");
}

/// A store for the contract.
pub fn contract<E: Engine>(connect: fn(&str) -> E, process: &Process<impl Program>) {
    shoal_kv::contract::run_all(&|| Box::new(RemoteStore::new(connect, process)));
}

/// The same where commits are refused by order.
pub fn contract_with_conflicts<E: Engine>(connect: fn(&str) -> E, process: &Process<impl Program>) {
    shoal_kv::contract::run_all(&|| Box::new(RemoteStore::new(connect, process).without_counting()));
}
