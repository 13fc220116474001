//! PostgreSQL with its data directory on the mount, killed in mid-work: the server alone, and the daemon below it.
//!
//! `pgbench` writes a line for each transaction that it was told is committed. Each adds one amount to an account, a teller
//! and a branch, and one row to the history.

use shoal_ci_conformance::{Server, command_as, create_folder_of, is_long, run, wait_until};
use shoal_ci_testbed::{Bed, Daemon};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

const USER: &str = "postgres";
const PORT: &str = "54329";
const CLIENTS: usize = 8;

struct Postgres {
    bed: Bed,
    /// Where Debian keeps the programs of the newest version here.
    programs: PathBuf,
}

impl Postgres {
    fn new() -> Self {
        let bed = Bed::new(&[]);
        let versions = fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed: see ci/install");
        let newest = versions.map(|entry| entry.expect("listed").path()).max().expect("PostgreSQL has a version");
        // For its own user, who has to get here.
        fs::set_permissions(bed.path("."), fs::Permissions::from_mode(0o755)).expect("our folder takes a mode");
        create_folder_of(USER, &bed.path("beside"));
        Postgres { bed, programs: newest.join("bin") }
    }

    fn mount(&self) -> Daemon {
        let allow_other: &[&str] = if rustix::process::geteuid().is_root() { &["--allow-other"] } else { &[] };
        self.bed.mount(allow_other)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = command_as(USER, self.programs.join(program));
        command.env("PGHOST", self.beside()).env("PGPORT", PORT).env("PGDATABASE", "postgres").env("LC_ALL", "C");
        command.current_dir(self.beside());
        command
    }

    /// For sockets and logs: on the machine's own disk.
    fn beside(&self) -> PathBuf {
        self.bed.path("beside")
    }

    fn data(&self) -> PathBuf {
        self.bed.mount_point().join("postgres/data")
    }

    fn create(&self) {
        create_folder_of(USER, &self.bed.mount_point().join("postgres"));
        run(self.command("initdb").args(["--auth=trust", "--no-locale", "--data-checksums", "-D"]).arg(self.data()));
        let settings = format!(
            "listen_addresses = ''\nunix_socket_directories = '{}'\nport = {PORT}\n\
             # Little memory and short logs, so that much of the work is the file system's.\n\
             shared_buffers = 8MB\nmax_wal_size = 64MB\ncheckpoint_timeout = 30s\n",
            self.beside().display()
        );
        fs::write(self.data().join("postgresql.auto.conf"), settings).expect("the settings are written");
    }

    fn start(&self) -> Server {
        let mut server = self.command("postgres");
        server.arg("-D").arg(self.data());
        let ready = || self.command("psql").args(["-c", ""]).output().is_ok_and(|output| output.status.success());
        Server::start(server, &self.beside().join("server-log"), ready)
    }

    #[track_caller]
    fn ask(&self, sql: &str) -> String {
        run(self.command("psql").args(["-qAtX", "-v", "ON_ERROR_STOP=1", "-c", sql])).trim().to_owned()
    }

    fn history_count(&self) -> usize {
        self.ask("select count(*) from pgbench_history").parse().expect("a count is a number")
    }

    /// Lets clients work until `transactions` more are committed, then calls `interrupt`; how many they were told are.
    #[track_caller]
    fn work_until(&self, transactions: usize, round: usize, interrupt: impl FnOnce()) -> usize {
        let prefix = format!("round-{round}");
        let mut pgbench = self.command("pgbench");
        pgbench.args(["-n", "-c", &CLIENTS.to_string(), "-j", "2", "-T", "600", "-l", "--log-prefix", &prefix]);
        pgbench.stdout(Stdio::null()).stderr(Stdio::null());
        let before = self.history_count();
        let mut clients = pgbench.spawn().expect("pgbench starts");
        wait_until(Duration::from_secs(300), "pgbench to get work done", || {
            assert!(clients.try_wait().expect("a child of ours").is_none(), "pgbench ended by itself");
            self.history_count() >= before + transactions
        });
        interrupt();
        let ended = clients.wait().expect("a child of ours can be waited for");
        assert!(!ended.success(), "pgbench has noticed");
        let told = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().expect("names of ours");
            let text = name.starts_with(&format!("{prefix}.")).then(|| fs::read_to_string(entry.path()));
            text.map_or(0, |text| text.expect("a log of pgbench is text").lines().count())
        };
        fs::read_dir(self.beside()).expect("listed").map(|entry| told(entry.expect("listed"))).sum()
    }

    /// Everything that was told to be committed is there, nothing half, and the server finds its files in order.
    #[track_caller]
    fn check(&self, acknowledged: usize, rounds: usize) {
        let sums = "select (select sum(abalance) from pgbench_accounts), (select sum(tbalance) from pgbench_tellers), \
                    (select sum(bbalance) from pgbench_branches), (select sum(delta) from pgbench_history)";
        let told = self.ask(sums);
        let sums: Vec<&str> = told.split('|').collect();
        assert!(sums.iter().all(|sum| sum == &sums[0] && !sum.is_empty()), "the sums differ: {told}");
        let count = self.history_count();
        assert!(count >= acknowledged, "{acknowledged} were acknowledged, {count} are there");
        // A client has one in flight; its answer may be lost with the server.
        assert!(count <= acknowledged + rounds * CLIENTS, "{acknowledged} were acknowledged, {count} are there");
        run(self.command("pg_amcheck").args(["--heapallindexed", "--parent-check", "postgres"]));
    }
}

#[test]
fn every_commit_that_postgresql_acknowledged_outlives_kills_of_it_and_of_the_mount() {
    let postgres = Postgres::new();
    let mut daemon = postgres.mount();
    postgres.create();
    let mut server = postgres.start();
    run(postgres.command("pgbench").args(["-i", "-q", "-s", if is_long() { "20" } else { "1" }]));
    postgres.ask("create extension amcheck");
    let (rounds, transactions) = if is_long() { (10, 5_000) } else { (2, 150) };
    let mut acknowledged = 0;
    for round in 0..rounds {
        if round % 2 == 0 {
            acknowledged += postgres.work_until(transactions, round, || server.kill());
        } else {
            acknowledged += postgres.work_until(transactions, round, || {
                daemon.kill();
                server.kill();
            });
            run(Command::new("umount").arg("-l").arg(postgres.bed.mount_point()));
            daemon = postgres.mount();
        }
        server = postgres.start();
        postgres.check(acknowledged, round + 1);
        println!("round {round}: {acknowledged} commits acknowledged, all there");
    }
    run(postgres.command("vacuumdb").args(["--full", "--analyze", "--quiet", "postgres"]));
    run(postgres.command("reindexdb").args(["--quiet", "postgres"]));
    assert!(server.stop("INT").success());
    assert!(daemon.stop().success(), "{}", postgres.bed.log());

    let daemon = postgres.mount();
    run(postgres.command("pg_checksums").arg("--check").arg("-D").arg(postgres.data()));
    let server = postgres.start();
    postgres.check(acknowledged, rounds);
    assert!(server.stop("INT").success());
    assert!(daemon.stop().success(), "{}", postgres.bed.log());
    postgres.bed.check();
}
