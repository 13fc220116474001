//! Many clients make files in one directory, on engines on a server: nobody fails, nothing is missing, and hardly anybody is in
//! another's way. How many files a second one, two and four clients make is printed. `SHOAL_LONG=1`: 100,000 files by four.

// A failed unwrap is a failed test, which is what it is for.
#![allow(clippy::unwrap_used)]

#[path = "../../../engine/metadata/tests/behaviour/support.rs"]
#[allow(dead_code)]
mod support;

use shoal_ci_servers::{FoundationDb, Mariadb, Postgres, Program, Redis, Server as Process, Tikv};
use shoal_kv_fdb::FdbServer;
use shoal_kv_mysql::MysqlServer;
use shoal_kv_postgres::PostgresServer;
use shoal_kv_redis::RedisServer;
use shoal_kv_remote::{Counted, Engine, RemoteOptions};
use shoal_kv_tikv::TikvServer;
use shoal_metadata::{LeaseInodes, MetaOp};
use shoal_types::{FileKind, Ino};
use std::thread;
use std::time::{Duration, Instant};
use support::{Mount, mount, volume};

/// As many as there would be programs.
const THREADS: u64 = 8;

fn fill<E: Engine>(process: &Process<impl Program>) {
    let files = if std::env::var_os("SHOAL_LONG").is_some() { 100_000 } else { 2_000 };
    let engine = std::any::type_name::<E>().rsplit("::").next().unwrap();
    for clients in [1, 2, 4] {
        let open = || {
            let url = process.url(&format!("clients{clients}")).parse().unwrap();
            let server = E::at(&url, Duration::from_secs(10)).unwrap();
            server.prepare(true).unwrap();
            server.open(RemoteOptions::default()).unwrap()
        };
        let kvs: Vec<_> = (0..clients).map(|_| open()).collect();
        let mounts: Vec<Mount> = kvs
            .iter()
            .enumerate()
            .map(|(at, kv)| if at == 0 { volume(kv.clone()) } else { mount(kv.clone()) })
            .collect();
        let directory = mounts[0].first_ino;
        mounts[0].create(1, "d", directory, FileKind::Directory).unwrap();
        // One after the other: these do conflict, and a mount needs one for thousands of files.
        let makers = (0..THREADS as usize).map(|number| {
            let mount = &mounts[number % mounts.len()];
            let lease = LeaseInodes { count: files / THREADS, session: mount.session };
            (mount, mount.run(MetaOp::LeaseInodes(lease)).unwrap().into_leased().unwrap())
        });
        let makers: Vec<_> = makers.collect();
        let start = Instant::now();
        thread::scope(|scope| {
            for (mount, inodes) in makers {
                scope.spawn(move || {
                    for ino in inodes {
                        mount.create(directory, &format!("file-{ino}"), ino, FileKind::Regular).unwrap();
                    }
                });
            }
        });
        let rate = files as f64 / start.elapsed().as_secs_f64();
        let conflicts: u64 = kvs.iter().map(|kv| kv.conflicts()).sum();
        println!("{engine}: {files} files by {clients} clients, {rate:.0} a second, {conflicts} conflicts");
        assert!(conflicts * 100 < files, "less than one create in a hundred is run again");
        let attributes = mounts[0].metadata.get_attributes(Ino(directory)).unwrap();
        assert_eq!(attributes.length, files, "as the directory counts itself");
        mounts[0].assert_sound();
    }
}

#[test]
fn clients_do_not_conflict_in_one_directory_on_redis() {
    fill::<RedisServer>(&Process::start(Redis::default()));
}

#[test]
fn clients_do_not_conflict_in_one_directory_on_postgresql() {
    fill::<PostgresServer>(&Process::start(Postgres));
}

#[test]
fn clients_do_not_conflict_in_one_directory_on_mariadb() {
    fill::<MysqlServer>(&Process::start(Mariadb));
}

#[test]
fn clients_do_not_conflict_in_one_directory_on_foundationdb() {
    fill::<FdbServer>(&Process::start(FoundationDb::default()));
}

#[test]
fn clients_do_not_conflict_in_one_directory_on_tikv() {
    fill::<TikvServer>(&Process::start(Tikv::default()));
}
