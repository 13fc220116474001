//! The contract of metadata engines on a Redis Cluster and behind Sentinels, and what the death of servers may do to it.

// A failed unwrap is a failed test, which is what it is for.
#![allow(clippy::unwrap_used)]

mod support;

use shoal_ci_servers::{RedisCluster, RedisSentinels, Server};
use shoal_kv::KvError;
use shoal_kv_redis::RedisServer;
use shoal_kv_remote::{Address, Server as _};
use std::time::Duration;
use support::failures;

fn redis(url: &str, answer_max: Duration) -> RedisServer {
    RedisServer::at(&url.parse().unwrap(), answer_max).unwrap()
}

#[test]
fn the_contract_is_kept_on_a_cluster() {
    // The stores of the contract have prefixes, and so hash slots, of which each node has some.
    failures::contract(|url| redis(url, support::ANSWER_MAX), &Server::start(RedisCluster));
}

#[test]
fn a_killed_cluster_loses_nothing_that_was_acknowledged() {
    failures::a_killed_server_loses_nothing_that_was_acknowledged(redis, &mut Server::start(RedisCluster));
}

#[test]
fn the_contract_is_kept_behind_sentinels() {
    failures::contract(|url| redis(url, support::ANSWER_MAX), &Server::start(RedisSentinels));
}

#[test]
fn a_fail_over_loses_nothing_that_was_acknowledged() {
    let process = Server::start(RedisSentinels);
    let fail_overs = if std::env::var_os("SHOAL_LONG").is_some() { 10 } else { 1 };
    failures::deaths_lose_nothing_that_was_acknowledged(redis, &process, || {
        for _ in 0..fail_overs {
            RedisSentinels::fail_over(process.folder());
            process.wait();
        }
    });
}

#[test]
fn who_may_lose_changes_in_a_fail_over_is_told() {
    let process = Server::start(RedisSentinels);
    let warning = |url: &str| redis(url, support::ANSWER_MAX).durability_warning().unwrap().unwrap();
    let url = process.url("told");
    assert!(!warning(&url).contains("replicas=1"));
    assert!(warning(&url.replace("&replicas=1", "")).contains("replicas=1"));
}

#[test]
fn sentinels_are_asked_with_their_own_user_and_password() {
    let process = Server::start(RedisSentinels);
    RedisSentinels::guard(process.folder(), "asker", "hush");
    let open = |url: &str, password: Option<&str>| {
        let mut address: Address = url.parse().unwrap();
        address.sentinel_password = password.map(str::to_owned);
        let prepared = RedisServer::at(&address, support::ANSWER_MAX).unwrap().durability();
        prepared.map(drop)
    };
    let url = process.url("guarded");
    let named = format!("{url}&sentinel_user=asker");
    for (url, password) in [(&url, None), (&url, Some("hush")), (&named, Some("loud"))] {
        match open(url, password) {
            Err(KvError::Permission(why)) => assert!(why.contains("Sentinel") && !why.contains("hush"), "{why}"),
            other => panic!("{url} {password:?}: {other:?}"),
        }
    }
    assert_eq!(open(&named, Some("hush")), Ok(()));
    let refused =
        "redis://h/0?sentinel_user=x".parse().map(|address| RedisServer::at(&address, support::ANSWER_MAX).err());
    assert!(refused.unwrap().is_some());
}
