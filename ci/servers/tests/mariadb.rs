//! The contract of metadata engines, and what failures may do to it, on a real MariaDB.

// A failed unwrap is a failed test, which is what it is for.
#![allow(clippy::unwrap_used)]

mod support;

use shoal_ci_servers::{Mariadb, Server};
use shoal_kv::KvError;
use shoal_kv_mysql::MysqlServer;
use shoal_kv_remote::Server as _;
use std::time::Duration;
use support::failures;

fn mysql(url: &str, answer_max: Duration) -> MysqlServer {
    let server = MysqlServer::at(&url.parse().unwrap(), answer_max).unwrap();
    // There are none while the server is down.
    let _ = server.prepare(true);
    server
}

/// One server for all of it, as it takes seconds to make one. The last part ends it.
#[test]
fn the_contract_is_kept_and_failures_change_nothing() {
    let mut server = Server::start(Mariadb);
    failures::contract(|url| mysql(url, support::ANSWER_MAX), &server);
    failures::operations_keep_to_their_round_trips(mysql, &server, 3..=3);
    failures::a_lost_answer_never_means_twice_or_not_at_all(mysql, &server);
    failures::cut_connections_delay_and_nothing_else(mysql, &server);
    failures::a_commit_that_comes_late_is_refused(mysql, &server);
    failures::a_silent_server_fails_operations_in_bounded_time(mysql, &server);
    failures::a_killed_server_loses_nothing_that_was_acknowledged(mysql, &mut server);
    failures::an_absent_server_is_reported_at_once(mysql, &mut server);
}

#[test]
fn tables_are_made_once_and_removed_and_a_wrong_password_is_refused() {
    let process = Server::start(Mariadb);
    let url = process.url("made");
    let server = MysqlServer::at(&url.parse().unwrap(), support::ANSWER_MAX).unwrap();
    assert_eq!(server.prepare(false), Ok(false));
    std::thread::scope(|scope| {
        (0..4).for_each(|_| drop(scope.spawn(|| assert_eq!(server.prepare(true), Ok(true)))));
    });
    assert_eq!(server.prepare(false), Ok(true));
    assert_eq!(server.durability_warning(), Ok(None));
    server.destroy().unwrap();
    assert_eq!(server.prepare(false), Ok(false));
    let wrong = MysqlServer::at(&url.replace("right", "wrong").parse().unwrap(), support::ANSWER_MAX).unwrap();
    let refused = wrong.prepare(false);
    assert!(matches!(refused, Err(KvError::Permission(_))), "{refused:?}");
}
