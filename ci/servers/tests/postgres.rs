//! The contract of metadata engines, and what failures may do to it, on a real PostgreSQL.

// A failed unwrap is a failed test, which is what it is for.
#![allow(clippy::unwrap_used)]

mod support;

use shoal_ci_servers::{Postgres, Server};
use shoal_kv_postgres::PostgresServer;
use shoal_kv_remote::Server as _;
use std::time::Duration;
use support::failures;

fn postgres(url: &str, answer_max: Duration) -> PostgresServer {
    let server = PostgresServer::at(&url.parse().unwrap(), answer_max).unwrap();
    // There is none while the server is down.
    let _ = server.prepare(true);
    server
}

/// One server for all of it, as it takes seconds to make one. The last part ends it.
#[test]
fn the_contract_is_kept_and_failures_change_nothing() {
    let mut server = Server::start(Postgres);
    failures::contract(|url| postgres(url, support::ANSWER_MAX), &server);
    failures::operations_keep_to_their_round_trips(postgres, &server, 3..=3);
    failures::a_lost_answer_never_means_twice_or_not_at_all(postgres, &server);
    failures::cut_connections_delay_and_nothing_else(postgres, &server);
    failures::a_commit_that_comes_late_is_refused(postgres, &server);
    failures::a_silent_server_fails_operations_in_bounded_time(postgres, &server);
    failures::a_killed_server_loses_nothing_that_was_acknowledged(postgres, &mut server);
    failures::an_absent_server_is_reported_at_once(postgres, &mut server);
}

#[test]
fn a_schema_is_made_once_and_removed_with_all_that_is_in_it() {
    let process = Server::start(Postgres);
    let server = PostgresServer::at(&process.url("made").parse().unwrap(), support::ANSWER_MAX).unwrap();
    assert_eq!(server.prepare(false), Ok(false));
    std::thread::scope(|scope| {
        (0..4).map(|_| scope.spawn(|| assert_eq!(server.prepare(true), Ok(true)))).for_each(drop);
    });
    assert_eq!(server.prepare(false), Ok(true));
    assert_eq!(server.durability_warning(), Ok(None));
    server.destroy().unwrap();
    assert_eq!(server.prepare(false), Ok(false));
}
