//! A real mount on each metadata engine that is a server: a source tree goes in, the daemon and the server are killed, and
//! everything that was closed is there.

use shoal_ci_conformance::{assert_same_tree, copy_tree};
use shoal_ci_servers::{Mariadb, Postgres, Program, Redis, RedisCluster, Server};
use shoal_ci_testbed::Bed;
use std::path::Path;

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
