//! The contract of metadata engines, and what failures may do to it, on a real Redis.

// A failed unwrap is a failed test, which is what it is for.
#![allow(clippy::unwrap_used)]

mod support;

use shoal_ci_servers::{Redis, RedisLog, Server};
use shoal_kv::KvError;
use shoal_kv_redis::{Durability, RedisServer};
use shoal_kv_remote::{RemoteKv, RemoteOptions, Server as _};
use std::time::Duration;
use support::failures;

fn redis(url: &str, answer_max: Duration) -> RedisServer {
    RedisServer::at(&url.parse().unwrap(), answer_max).unwrap()
}

fn server() -> Server<Redis> {
    Server::start(Redis { log: RedisLog::EverySecond, ..Redis::default() })
}

#[test]
fn the_contract_is_kept() {
    failures::contract(|url| redis(url, support::ANSWER_MAX), &server());
}

#[test]
fn a_lost_answer_never_means_twice_or_not_at_all() {
    failures::a_lost_answer_never_means_twice_or_not_at_all(redis, &server());
}

#[test]
fn cut_connections_delay_and_nothing_else() {
    failures::cut_connections_delay_and_nothing_else(redis, &server());
}

#[test]
fn a_commit_that_comes_late_is_refused() {
    failures::a_commit_that_comes_late_is_refused(redis, &server());
}

#[test]
fn a_silent_server_fails_operations_in_bounded_time() {
    failures::a_silent_server_fails_operations_in_bounded_time(redis, &server());
}

#[test]
fn a_killed_server_loses_nothing_that_was_acknowledged() {
    failures::a_killed_server_loses_nothing_that_was_acknowledged(redis, &mut Server::start(Redis::default()));
}

#[test]
fn an_absent_server_is_reported_at_once() {
    failures::an_absent_server_is_reported_at_once(redis, &mut server());
}

#[test]
fn operations_keep_to_their_round_trips() {
    failures::operations_keep_to_their_round_trips(redis, &server(), 3..=3);
}

#[test]
fn what_the_settings_promise_is_told() {
    for (log, expected) in [
        (RedisLog::Never, Durability::Nothing),
        (RedisLog::EverySecond, Durability::ProcessDeath),
        (RedisLog::Always, Durability::PowerLoss),
    ] {
        let server = Server::start(Redis { log, ..Redis::default() });
        let found = redis(&server.url("told"), support::ANSWER_MAX).durability().unwrap();
        assert_eq!(found.warning().is_none(), found == Durability::PowerLoss);
        assert_eq!(found, expected);
    }
}

#[test]
fn a_wrong_password_is_a_matter_of_permission() {
    let server = Server::start(Redis { password: Some("right"), ..Redis::default() });
    let open = |url: &str| RemoteKv::open(redis(url, support::ANSWER_MAX), RemoteOptions::default()).map(drop);
    assert_eq!(open(&server.url("login")), Ok(()));
    for wrong in ["wrong", ""] {
        let refused = open(&server.url("login").replace("right", wrong));
        assert!(matches!(refused, Err(KvError::Permission(_))), "{refused:?}");
    }
}
