//! MariaDB with its data directory on the mount, killed in mid-work: the server alone, and the daemon below it.
//!
//! Clients send transactions that add an amount to an account and a row to the history, and are told a number after each
//! that is committed.

use shoal_ci_conformance::{Server, command_as, create_folder_of, is_long, run, wait_until};
use shoal_ci_testbed::{Bed, Daemon};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const USER: &str = "mysql";
const CLIENTS: u64 = 8;
const ACCOUNTS: u64 = 1000;

struct MariaDb {
    bed: Bed,
}

/// A client at work.
struct Client {
    child: Child,
    told: PathBuf,
}

impl MariaDb {
    fn new() -> Self {
        let bed = Bed::new(&[]);
        // For its own user, who has to get here.
        fs::set_permissions(bed.path("."), fs::Permissions::from_mode(0o755)).expect("our folder takes a mode");
        create_folder_of(USER, &bed.path("beside"));
        MariaDb { bed }
    }

    fn mount(&self) -> Daemon {
        let allow_other: &[&str] = if rustix::process::geteuid().is_root() { &["--allow-other"] } else { &[] };
        self.bed.mount(allow_other)
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.bed.path("beside").join(name)
    }

    /// A program of the server's, which takes the data directory.
    fn command(&self, program: &str) -> Command {
        let mut command = command_as(USER, program);
        command.arg("--no-defaults").arg(format!("--datadir={}", self.bed.mount_point().join("mariadb").display()));
        command
    }

    /// A program of the clients'.
    fn client(&self, program: &str) -> Command {
        let mut command = command_as(USER, program);
        command.args(["--no-defaults", "--user=root"]).arg(format!("--socket={}", self.beside("socket").display()));
        command
    }

    fn create(&self) {
        create_folder_of(USER, &self.bed.mount_point().join("mariadb"));
        run(self.command("mariadb-install-db").args(["--auth-root-authentication-method=normal", "--skip-test-db"]));
    }

    fn start(&self) -> Server {
        let mut server = self.command("/usr/sbin/mariadbd");
        server.arg("--skip-networking").arg(format!("--socket={}", self.beside("socket").display()));
        server.arg(format!("--pid-file={}", self.beside("pid").display()));
        // Little memory and short logs, so that much of the work is the file system's.
        server.args(["--innodb-buffer-pool-size=8M", "--innodb-log-file-size=8M"]);
        let ready = || self.client("mariadb-admin").arg("ping").output().is_ok_and(|output| output.status.success());
        Server::start(server, &self.beside("server-log"), ready)
    }

    #[track_caller]
    fn ask(&self, sql: &str) -> String {
        run(self.client("mariadb").args(["--batch", "--skip-column-names", "-e", sql])).trim().to_owned()
    }

    #[track_caller]
    fn number(&self, sql: &str) -> u64 {
        let told = self.ask(sql);
        told.parse().unwrap_or_else(|_| panic!("{sql}: {told}"))
    }

    fn begin_work(&self, round: u64, number: u64) -> Client {
        let told = self.beside(&format!("client-{round}-{number}"));
        let mut command = self.client("mariadb");
        command.args(["--batch", "--skip-column-names", "--unbuffered", "--skip-reconnect", "bank"]);
        command.stdin(Stdio::piped()).stdout(fs::File::create(&told).expect("a new file")).stderr(Stdio::null());
        let mut child = command.spawn().expect("a client starts");
        let mut statements = child.stdin.take().expect("piped");
        // Ends with the client.
        std::thread::spawn(move || {
            (1..).try_for_each(|transaction: u64| {
                let (account, delta) = ((transaction * 7919 + number * 104_729) % ACCOUNTS, transaction % 1999);
                writeln!(
                    statements,
                    "start transaction; update accounts set balance = balance + {delta} where id = {account}; \
                     insert into history values ({round}, {number}, {transaction}, {delta}, repeat('x', 200)); \
                     commit; select {transaction};"
                )
            })
        });
        Client { child, told }
    }

    /// Clients at work, once they have committed this many transactions in this round.
    #[track_caller]
    fn work(&self, transactions: u64, round: u64) -> Vec<Client> {
        let clients = (0..CLIENTS).map(|number| self.begin_work(round, number)).collect();
        let count = format!("select count(*) from bank.history where round = {round}");
        wait_until(Duration::from_secs(300), "the clients to get work done", || self.number(&count) >= transactions);
        clients
    }

    /// Everything that clients were told of is there after the server's return; how many transactions these are.
    #[track_caller]
    fn find_work_of(&self, clients: Vec<Client>, round: u64) -> u64 {
        let mut acknowledged_sum = 0;
        for (number, mut client) in clients.into_iter().enumerate() {
            let ended = client.child.wait().expect("a child of ours can be waited for");
            assert!(!ended.success(), "the client has noticed");
            let told = fs::read_to_string(&client.told).expect("numbers are text");
            let acknowledged = told.lines().last().map_or(0, |line| line.parse().expect("clients print numbers"));
            let of = format!("from bank.history where round = {round} and client = {number}");
            let there = self.number(&format!("select count(*) {of}"));
            assert_eq!(self.number(&format!("select coalesce(max(number), 0) {of}")), there, "none is left out");
            // One may be in flight; its answer may be lost with the server.
            assert!([acknowledged, acknowledged + 1].contains(&there), "{acknowledged} acknowledged, {there} there");
            acknowledged_sum += acknowledged;
        }
        acknowledged_sum
    }

    #[track_caller]
    fn check(&self) {
        let sums = self.ask("select (select sum(balance) from bank.accounts) = (select sum(delta) from bank.history)");
        assert_eq!(sums, "1", "the sums are the same");
        let told = run(self.client("mariadb-check").args(["--check", "--extended", "--all-databases"]));
        let wrong = told.lines().find(|line| !line.ends_with(" OK"));
        assert_eq!(wrong, None, "{told}");
    }
}

#[test]
fn every_commit_that_mariadb_acknowledged_outlives_kills_of_it_and_of_the_mount() {
    let mariadb = MariaDb::new();
    let mut daemon = mariadb.mount();
    mariadb.create();
    let mut server = mariadb.start();
    mariadb.ask(&format!(
        "create database bank; use bank;
         create table accounts (id int primary key, balance bigint not null, filler char(84) not null) engine = innodb;
         create table history (round int, client int, number int, delta int, filler varchar(200),
                               primary key (round, client, number), key (delta)) engine = innodb;
         insert into accounts select seq, 0, '' from seq_0_to_{}",
        ACCOUNTS - 1
    ));
    let (rounds, transactions) = if is_long() { (10, 20_000) } else { (2, 300) };
    for round in 0..rounds {
        let clients = mariadb.work(transactions, round);
        if round % 2 == 0 {
            server.kill();
        } else {
            daemon.kill();
            server.kill();
            run(Command::new("umount").arg("-l").arg(mariadb.bed.mount_point()));
            daemon = mariadb.mount();
        }
        server = mariadb.start();
        let acknowledged = mariadb.find_work_of(clients, round);
        mariadb.check();
        println!("round {round}: {acknowledged} commits acknowledged, all there");
    }
    mariadb.ask("alter table bank.history force; optimize table bank.accounts");
    assert!(server.stop("TERM").success());
    assert!(daemon.stop().success(), "{}", mariadb.bed.log());

    let daemon = mariadb.mount();
    let server = mariadb.start();
    mariadb.check();
    assert!(server.stop("TERM").success());
    assert!(daemon.stop().success(), "{}", mariadb.bed.log());
    mariadb.bed.check();
}
