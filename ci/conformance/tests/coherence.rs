//! How soon one mount sees what another does, on each metadata engine and in each consistency mode. Delays are printed.

use rustix::process::{Pid, Signal, kill_process};
use shoal_ci_conformance::{is_long, wait_until};
use shoal_ci_servers::{FoundationDb, Mariadb, Postgres, Program, Redis, Server, Tikv};
use shoal_ci_testbed::{Bed, Daemon};
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Where the engine, or a watch, tells of commits; and where it has to be asked.
const PUSHED_MAX: Duration = Duration::from_millis(20);
const POLLED_MAX: Duration = Duration::from_millis(150);

struct Pair {
    bed: Bed,
    first: Daemon,
    second: Daemon,
}

impl Pair {
    fn new(bed: Bed, mode: &str) -> Self {
        let options = ["--consistency", mode];
        let (first, second) = (bed.mount(&options), bed.mount_second(&options));
        Pair { bed, first, second }
    }

    fn paths(&self, name: &str) -> [PathBuf; 2] {
        [self.first.mount_point().join(name), self.second.mount_point().join(name)]
    }

    fn end(self) {
        assert!(self.second.stop().success(), "{}", self.bed.log());
        assert!(self.first.stop().success(), "{}", self.bed.log());
        self.bed.check();
    }
}

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("the mode is set");
}

/// Waits without a pause, for a moment.
fn until(what: &str, condition: impl Fn() -> bool) -> Duration {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(30), "still waiting until {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
    start.elapsed()
}

fn print_delays(engine: &str, what: &str, mut delays: Vec<Duration>) -> Duration {
    delays.sort_unstable();
    let share = |percent: usize| delays[(delays.len() * percent / 100).min(delays.len() - 1)];
    let (median, p99) = (share(50), share(99));
    eprintln!("{engine}: {what} is seen in another mount's cached stat after {median:?} (median), {p99:?} (p99)");
    p99
}

/// The first mount changes what the second's kernel has in memory.
fn changes_reach_cached_stats(engine: &str, bed: Bed, bound: Duration) {
    let pair = Pair::new(bed, "coherent");
    let rounds = if is_long() { 500 } else { 60 };
    let names: Vec<_> = (0..rounds).map(|round| format!("f{round}")).collect();
    for name in &names {
        fs::write(&pair.paths(name)[0], b"content").expect("written");
    }
    // What has just changed the kernel is not told to remember.
    std::thread::sleep(Duration::from_millis(1500));
    let (mut attributes, mut moved) = (Vec::new(), Vec::new());
    for name in &names {
        let [here, there] = pair.paths(name);
        let before = mode_of(&there);
        set_mode(&here, before ^ 0o077);
        attributes.push(until("the mode is seen", || mode_of(&there) != before));
    }
    std::thread::sleep(Duration::from_millis(1500));
    for name in &names {
        let [here, there] = pair.paths(name);
        assert!(there.exists());
        fs::rename(here, pair.paths(&format!("{name}-moved"))[0].as_path()).expect("renamed");
        moved.push(until("the old name is gone", || !there.exists()));
        assert!(pair.paths(&format!("{name}-moved"))[1].exists(), "a new name is there at once");
    }
    let p99 = print_delays(engine, "a change of attributes", attributes).max(print_delays(engine, "a move", moved));
    // On a machine that does other things as well a bound in milliseconds means little.
    let bound = if is_long() { bound } else { bound * 20 };
    assert!(p99 <= bound, "{p99:?} at {engine}");
    remembers(&pair);
    pair.end();
}

/// A directory that nobody changes is told by the kernel: it takes no request, although another mount lives.
fn remembers(pair: &Pair) {
    let [here, there] = pair.paths("still");
    fs::create_dir(here).expect("made");
    std::thread::sleep(Duration::from_millis(1500));
    let mode = mode_of(&there);
    let busy = pair.second.cpu_seconds();
    (0..20_000).for_each(|_| assert_eq!(mode_of(&there), mode));
    let busy = pair.second.cpu_seconds() - busy;
    assert!(busy < 0.2, "the daemon was busy for {busy} s although the kernel knows the answers");
}

/// What one has closed the other reads when it opens it: written anew, written over, or put in place of another file.
fn close_to_open(engine: &str, bed: Bed, mode: &str) {
    let pair = Pair::new(bed, mode);
    for round in 0..if is_long() { 1000 } else { 60 } {
        let (writer, reader) = (round % 2, 1 - round % 2);
        let content = format!("{round:06}\n").repeat(1 + round * 37 % 300);
        let paths = pair.paths("file");
        match round % 3 {
            0 => fs::write(&paths[writer], &content).expect("written"),
            1 => {
                let new = &pair.paths("new")[writer];
                fs::write(new, &content).expect("written");
                fs::rename(new, &paths[writer]).expect("put in its place");
            }
            _ => {
                fs::remove_file(&paths[writer]).expect("removed");
                fs::write(&paths[writer], &content).expect("written");
            }
        }
        let read = fs::read_to_string(&paths[reader]).unwrap_or_else(|error| panic!("{engine} {mode}: {error}"));
        assert!(read == content, "{engine} {mode}, round {round}: {} bytes for {}", read.len(), content.len());
        if mode == "strict" {
            set_mode(&paths[writer], 0o600 + round as u32 % 0o77);
            assert_eq!(mode_of(&paths[reader]), 0o600 + round as u32 % 0o77, "at once");
        }
    }
    pair.end();
}

/// `shoal watch` on the second mount tells what the first does. With `late` it looks when everything is over, and gone; not so
/// where a program that is stopped in a transaction holds up all others (SQLite).
fn watch_tells(bed: Bed, late: bool) {
    let pair = Pair::new(bed, "coherent");
    fs::create_dir(&pair.paths("folder")[0]).expect("made");
    wait_until(Duration::from_secs(10), "the folder", || pair.paths("folder")[1].exists());
    let mut watch = pair.bed.command();
    watch.args(["watch", "--recursive", "--json"]).arg(&pair.paths("folder")[1]);
    let mut watch = watch.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let (mut said, mut complaint) = (String::new(), String::new());
    let mut errors = BufReader::new(watch.stderr.take().expect("piped"));
    errors.read_line(&mut said).expect("it says that it watches");
    assert!(said.starts_with("watching "), "{said}");
    let mut lines = BufReader::new(watch.stdout.take().expect("piped")).lines();
    let mut tell = || lines.next().map(|line| serde_json::from_str(&line.expect("text")).expect("JSON"));
    let folder = &pair.paths("folder")[0];
    let process = Pid::from_child(&watch);
    fs::create_dir(folder.join("a")).expect("made");
    let mut told: Vec<serde_json::Value> = tell().into_iter().collect();
    // From here on it waits for more.
    if late {
        kill_process(process, Signal::STOP).expect("stopped");
    }
    fs::write(pair.paths("outside")[0].as_path(), b"not told").expect("written");
    fs::write(folder.join("a/f"), b"told").expect("written");
    fs::rename(folder.join("a"), folder.join("b")).expect("moved");
    set_mode(&folder.join("b/f"), 0o600);
    fs::remove_file(folder.join("b/f")).expect("removed");
    fs::remove_dir(folder.join("b")).expect("removed");
    fs::remove_dir(folder).expect("removed");
    kill_process(process, Signal::CONT).expect("continued");
    told.extend(std::iter::from_fn(tell));
    errors.read_to_string(&mut complaint).expect("text");
    assert!(watch.wait().expect("it ends").success(), "it ends with its folder: {complaint}");
    let words: Vec<String> = told
        .iter()
        .map(|told| [&told["change"], &told["path"], &told["from"]].map(|word| word.as_str().unwrap_or("-")).join(" "))
        .collect();
    let expected = [
        "created /folder/a -",
        "created /folder/a/f -",
        "content /folder/a/f -",
        "renamed /folder/b /folder/a",
        "attributes /folder/b/f -",
        "removed /folder/b/f -",
        "removed /folder/b -",
        "removed /folder -",
    ];
    assert_eq!(words, expected);
    pair.end();
}

/// Eight processes on four mounts make files in one directory.
fn creates_in_one_directory(engine: &str, bed: Bed) {
    const PROCESSES: usize = 8;
    let each = if is_long() { 12_500 } else { 250 };
    let mounts: Vec<Daemon> = (0..4).map(|number| bed.mount_number(number, &[])).collect();
    fs::create_dir(mounts[0].mount_point().join("d")).expect("made");
    let start = Instant::now();
    let makers: Vec<_> = (0..PROCESSES)
        .map(|number| {
            let folder = mounts[number % mounts.len()].mount_point().join("d");
            let script = format!("set -e; for i in $(seq {each}); do : > p{number}-$i; done");
            Command::new("bash").arg("-c").arg(script).current_dir(folder).spawn().expect("bash starts")
        })
        .collect();
    for mut maker in makers {
        assert!(maker.wait().expect("it ends").success(), "no create fails");
    }
    let elapsed = start.elapsed();
    eprintln!("{engine}: {} files by {PROCESSES} processes on 4 mounts in {elapsed:?}", PROCESSES * each);
    for mount in &mounts {
        let folder = mount.mount_point().join("d");
        assert_eq!(fs::read_dir(&folder).expect("listed").count(), PROCESSES * each);
        // Also as the directory counts itself.
        until("the count is seen", || fs::metadata(&folder).expect("it is there").size() == (PROCESSES * each) as u64);
    }
    mounts.into_iter().rev().for_each(|mount| assert!(mount.stop().success()));
    bed.check();
}

fn on(server: &Server<impl Program>, prefix: &str) -> Bed {
    Bed::on_server(&server.url(prefix))
}

fn all(engine: &str, server: &Server<impl Program>, bound: Duration) {
    changes_reach_cached_stats(engine, on(server, "delays"), bound);
    for mode in ["strict", "coherent", "relaxed"] {
        close_to_open(engine, on(server, mode), mode);
    }
    watch_tells(on(server, "watch"), true);
}

#[test]
fn sqlite() {
    let bed = || Bed::new(&["--delete-grace", "0s"]);
    changes_reach_cached_stats("sqlite", bed(), PUSHED_MAX);
    for mode in ["strict", "coherent", "relaxed"] {
        close_to_open("sqlite", bed(), mode);
    }
    watch_tells(bed(), false);
}

#[test]
fn redis() {
    let server = Server::start(Redis::default());
    all("redis", &server, PUSHED_MAX);
    creates_in_one_directory("redis", on(&server, "creates"));
}

#[test]
fn postgresql() {
    let server = Server::start(Postgres);
    all("postgresql", &server, PUSHED_MAX);
    creates_in_one_directory("postgresql", on(&server, "creates"));
}

#[test]
fn mariadb() {
    all("mariadb", &Server::start(Mariadb), POLLED_MAX);
}

#[test]
fn foundationdb() {
    let server = Server::start(FoundationDb::default());
    all("foundationdb", &server, PUSHED_MAX);
    creates_in_one_directory("foundationdb", on(&server, "creates"));
}

#[test]
fn tikv() {
    all("the mock of tikv", &Server::start(Tikv::default()), POLLED_MAX);
}
