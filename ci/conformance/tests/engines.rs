//! A real mount on each metadata engine that is a server: a source tree goes in, the daemon and the server are killed, and
//! everything that was closed is there.

use shoal_ci_conformance::{assert_same_tree, copy_tree};
use shoal_ci_servers::{FoundationDb, Mariadb, Postgres, Program, Redis, RedisCluster, Server, Tikv};
use shoal_ci_testbed::Bed;
use std::path::Path;
use std::time::{Duration, Instant};

/// This project's own sources, some hundred files.
fn tree() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../engine"))
}

fn a_tree_survives_killed_daemons_and_servers(mut server: Server<impl Program>) {
    let bed = Bed::on_server(&server.url("volume"));
    let copy = bed.mount_point().join("tree");
    let daemon = bed.mount(&[]);
    copy_tree(tree(), &copy);
    assert_same_tree(tree(), &copy);
    daemon.kill();
    server.restart();
    let daemon = bed.mount(&[]);
    assert_same_tree(tree(), &copy);
    // A server that is away for a moment is waited for.
    server.restart();
    std::fs::rename(&copy, bed.mount_point().join("renamed")).expect("the server is back");
    let second = bed.mount_second(&[]);
    assert_same_tree(tree(), &second.mount_point().join("renamed"));
    std::fs::write(second.mount_point().join("seen"), b"by both").expect("there is room");
    assert_eq!(std::fs::read(bed.mount_point().join("seen")).ok().as_deref(), Some(b"by both".as_slice()));
    assert!(second.stop().success());
    assert!(daemon.stop().success(), "{}", bed.log());
    bed.check();
    let status = bed.shoal(&["status", &bed.url()]).expect_code(0);
    assert!(!format!("{}{}{}", status.stdout, status.stderr, bed.log()).contains("right"), "a password was shown");
    bed.shoal(&["destroy", "--yes", &bed.url()]).expect_code(0);
    bed.shoal(&["status", &bed.url()]).expect_code(3);
}

#[test]
fn redis() {
    a_tree_survives_killed_daemons_and_servers(Server::start(Redis { password: Some("right"), ..Redis::default() }));
}

#[test]
fn redis_cluster() {
    a_tree_survives_killed_daemons_and_servers(Server::start(RedisCluster));
}

#[test]
fn postgresql() {
    a_tree_survives_killed_daemons_and_servers(Server::start(Postgres));
}

#[test]
fn mariadb() {
    a_tree_survives_killed_daemons_and_servers(Server::start(Mariadb));
}

#[test]
fn foundationdb() {
    a_tree_survives_killed_daemons_and_servers(Server::start(FoundationDb::default()));
}

/// What is wrong is told, and soon: a cluster that does not answer, a file that names none.
#[test]
fn foundationdb_that_is_not_there() {
    if FoundationDb::real_cluster().is_some() {
        eprintln!("foundationdb: NOT RUN on a real cluster, which is not ours to end: one that is not there");
        return;
    }
    let mut server = Server::start(FoundationDb::default());
    let bed = Bed::on_server(&server.url("volume"));
    let url = bed.url();
    server.kill();
    let begin = Instant::now();
    let refused = bed.shoal(&["status", &url]).expect_code(6);
    assert!(refused.stderr.contains("no answer within"), "{}", refused.stderr);
    let (_, options) = url.split_once('?').expect("it has options");
    let refused = bed.shoal(&["status", &format!("fdb:///nonexistent/fdb.cluster?{options}")]).expect_code(6);
    assert!(refused.stderr.contains("/nonexistent/fdb.cluster"), "{}", refused.stderr);
    let library = options.split('&').find(|option| option.starts_with("library=")).expect("it names its library");
    let elsewhere = url.replace(library, "library=/nonexistent/libfdb_c.so");
    let refused = bed.shoal(&["mount", &elsewhere, &bed.mount_point().display().to_string()]).expect_code(6);
    assert!(refused.stderr.contains("/nonexistent/libfdb_c.so"), "{}", refused.stderr);
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}

#[test]
fn tikv() {
    a_tree_survives_killed_daemons_and_servers(Server::start(Tikv::default()));
}
