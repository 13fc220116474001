//! Random histories on a mount: see `shoal_ci_conformance::histories`.

use shoal_ci_conformance::histories::{Histories, Players, Scramble, reasons, tree_of};
use shoal_ci_conformance::{is_long, is_root, wait_until};
use shoal_ci_servers::{FoundationDb, Mariadb, Postgres, Program, Redis, Server, Tikv};
use shoal_ci_testbed::Bed;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

#[test]
fn random_histories_are_as_the_oracle_tells() {
    if !is_root() {
        return;
    }
    let bed = Bed::new(&["--delete-grace", "0s"]);
    let mount = bed.mount(&["--allow-other"]);
    let plain = bed.path("plain");
    std::fs::create_dir(&plain).expect("a new folder takes another");
    let histories =
        Histories { mounts: vec![mount.mount_point().to_path_buf()], plain, calls: 200, excused: Default::default() };
    play(&histories, 1, if is_long() { 10_000 } else { 300 });
    if is_long() {
        let needed: BTreeSet<_> = histories.excused.lock().expect("nobody panics with it").keys().copied().collect();
        assert_eq!(needed, reasons(), "known differences that no history meets are out of date");
    }
    assert!(mount.stop().success(), "{}", bed.log());
    bed.check();
}

/// The same where every file has objects, more than one as soon as it is longer than the smallest block, compressed, and
/// where what is removed goes to the trash.
#[test]
fn random_histories_with_small_compressed_objects_and_a_trash_are_as_the_oracle_tells() {
    if !is_root() {
        return;
    }
    let layout = ["--inline-max", "0", "--block-size", "64K", "--compress", "lz4"];
    let bed = Bed::new(&[&layout[..], &["--delete-grace", "0s", "--trash-days", "1"]].concat());
    let mount = bed.mount(&["--allow-other"]);
    let plain = bed.path("plain");
    std::fs::create_dir(&plain).expect("a new folder takes another");
    let mounts = vec![mount.mount_point().to_path_buf()];
    let histories = Histories { mounts, plain, calls: 200, excused: Default::default() };
    play(&histories, 2_000_000, if is_long() { 2_000 } else { 60 });
    assert!(mount.stop().success(), "{}", bed.log());
    bed.check();
}

/// By turns, each process on its own mount: what one does the other sees at once, data from close to open.
fn histories_on_two_mounts_are_as_on_one(bed: Bed, count: u64) {
    let strict = ["--allow-other", "--consistency", "strict"];
    let first = bed.mount(&strict);
    let second = bed.mount_second(&strict);
    let plain = bed.path("plain");
    std::fs::create_dir(&plain).expect("a new folder takes another");
    let mounts = [&first, &second].map(|mount| mount.mount_point().to_path_buf()).to_vec();
    let histories = Histories { mounts, plain, calls: 200, excused: Default::default() };
    play(&histories, 1_000_000, count);
    assert!(second.stop().success(), "{}", bed.log());
    assert!(first.stop().success(), "{}", bed.log());
    bed.check();
}

fn on_server(server: Server<impl Program>) {
    if is_root() {
        histories_on_two_mounts_are_as_on_one(Bed::on_server(&server.url("turns")), if is_long() { 300 } else { 6 });
    }
}

#[test]
fn histories_on_two_mounts_with_sqlite_are_as_on_one() {
    if is_root() {
        let bed = Bed::new(&["--delete-grace", "0s"]);
        histories_on_two_mounts_are_as_on_one(bed, if is_long() { 2_000 } else { 60 });
    }
}

#[test]
fn histories_on_two_mounts_with_redis_are_as_on_one() {
    on_server(Server::start(Redis::default()));
}

#[test]
fn histories_on_two_mounts_with_postgresql_are_as_on_one() {
    on_server(Server::start(Postgres));
}

#[test]
fn histories_on_two_mounts_with_mariadb_are_as_on_one() {
    on_server(Server::start(Mariadb));
}

#[test]
fn histories_on_two_mounts_with_foundationdb_are_as_on_one() {
    on_server(Server::start(FoundationDb::default()));
}

#[test]
fn histories_on_two_mounts_with_tikv_are_as_on_one() {
    on_server(Server::start(Tikv::default()));
}

/// All at once, in the same directories: in the end there is one tree, for everybody.
#[test]
fn what_two_mounts_do_at_once_leaves_one_tree() {
    let bed = Bed::new(&["--delete-grace", "0s"]);
    let first = bed.mount(&[]);
    let second = bed.mount_second(&[]);
    let rounds = if is_long() { 40 } else { 3 };
    for round in 0..rounds {
        let folder = format!("round-{round}");
        let folders = [&first, &second].map(|mount| mount.mount_point().join(&folder));
        std::fs::create_dir(&folders[0]).expect("a folder for each round");
        thread::scope(|scope| {
            for worker in 0..4 {
                let mut scramble = Scramble::new(&folders[worker % 2], round * 4 + worker as u64);
                scope.spawn(move || scramble.run(400));
            }
        });
        let trees = || folders.clone().map(|folder| tree_of(&folder));
        assert!(trees()[0].len() > 10, "round {round} leaves something");
        // Names and attributes take a moment to get around.
        wait_until(Duration::from_secs(10), "both to show one tree", || trees()[0] == trees()[1]);
    }
    let before = tree_of(first.mount_point());
    assert!(second.stop().success(), "{}", bed.log());
    assert!(first.stop().success(), "{}", bed.log());
    let fresh = bed.mount(&[]);
    assert_eq!(tree_of(fresh.mount_point()), before, "as a fresh mount shows it");
    assert!(fresh.stop().success(), "{}", bed.log());
    bed.check();
}

/// `SHOAL_SEED=n` plays that one alone.
fn play(histories: &Histories, first: u64, count: u64) {
    let seed = std::env::var("SHOAL_SEED").ok().map(|seed| seed.parse::<u64>().expect("a seed is a number"));
    let (first, last) = seed.map_or((first, first + count), |seed| (seed, seed + 1));
    // All of them before any history: what is open by then, they close for themselves.
    let players: Vec<Players> = (0..PLAYERS).map(|number| Players::start(&format!("player-{number}"))).collect();
    let (next, complaints) = (AtomicU64::new(first), Mutex::new(Vec::new()));
    let work = |mut players: Players| {
        while complaints.lock().expect("nobody panics with it").len() < COMPLAINTS_MAX {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= last {
                break;
            }
            if let Err(complaint) = histories.check(&mut players, seed) {
                complaints.lock().expect("nobody panics with it").push(complaint);
            }
        }
    };
    thread::scope(|scope| {
        for players in players {
            scope.spawn(|| work(players));
        }
    });
    let complaints = complaints.into_inner().expect("nobody panics with it");
    assert!(complaints.is_empty(), "{}", complaints.join("\n\n"));
}

const PLAYERS: usize = 3;
/// More of them are likely to be the same again.
const COMPLAINTS_MAX: usize = 3;
