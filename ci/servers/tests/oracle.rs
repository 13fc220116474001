//! Every metadata operation judged by the oracle, as in the tests of `engine/metadata`, on engines on a server.

// A failed unwrap is a failed test, which is what it is for.
#![allow(clippy::unwrap_used)]

#[path = "../../../engine/metadata/tests/oracle/clones.rs"]
mod clones;
#[path = "../../../engine/metadata/tests/oracle/driver.rs"]
mod driver;
#[path = "../../../engine/metadata/tests/oracle/model.rs"]
mod model;
#[path = "../../../engine/metadata/tests/oracle/operations.rs"]
mod operations;
#[path = "../../../engine/metadata/tests/oracle/tree.rs"]
mod tree;

use driver::Driver;
use shoal_ci_servers::{FoundationDb, Mariadb, Postgres, Program, Redis, RedisCluster, Server as Process, Tikv};
use shoal_kv_fdb::FdbServer;
use shoal_kv_mysql::MysqlServer;
use shoal_kv_postgres::PostgresServer;
use shoal_kv_redis::RedisServer;
use shoal_kv_remote::{Engine, RemoteOptions};
use shoal_kv_tikv::TikvServer;
use std::time::Duration;

const SEEDS: std::ops::Range<u64> = 300..304;
const STEPS: usize = 300;

fn judge<E: Engine>(process: &Process<impl Program>) {
    for seed in SEEDS {
        let server = E::at(&process.url(&format!("seed{seed}")).parse().unwrap(), Duration::from_secs(10)).unwrap();
        assert_eq!(server.prepare(true), Ok(true));
        let kv = server.open(RemoteOptions::default()).unwrap();
        let outcomes = Driver::new(kv, seed, seed % 2 == 0).run(STEPS);
        assert!(outcomes.len() > 20, "seed {seed}: {outcomes:?}");
    }
}

#[test]
fn metadata_agrees_with_the_oracle_on_redis() {
    judge::<RedisServer>(&Process::start(Redis::default()));
}

#[test]
fn metadata_agrees_with_the_oracle_on_a_redis_cluster() {
    judge::<RedisServer>(&Process::start(RedisCluster));
}

#[test]
fn metadata_agrees_with_the_oracle_on_postgresql() {
    judge::<PostgresServer>(&Process::start(Postgres));
}

#[test]
fn metadata_agrees_with_the_oracle_on_mariadb() {
    judge::<MysqlServer>(&Process::start(Mariadb));
}

#[test]
fn metadata_agrees_with_the_oracle_on_foundationdb() {
    judge::<FdbServer>(&Process::start(FoundationDb::default()));
}

#[test]
fn metadata_agrees_with_the_oracle_on_tikv() {
    judge::<TikvServer>(&Process::start(Tikv::default()));
}
