//! The short form with a metadata server: a few deaths of it and of mounts, on each engine.

use shoal_ci_crash::{ServerPlan, run_on_server};
use shoal_ci_servers::{FoundationDb, Mariadb, Postgres, Redis, Tikv};

const PLAN: ServerPlan = ServerPlan { rounds: 5, seed: 3, told: false };

#[test]
fn nothing_acknowledged_is_lost_when_redis_or_a_mount_is_killed() {
    run_on_server(&PLAN, Redis::default());
}

#[test]
fn nothing_acknowledged_is_lost_when_postgresql_or_a_mount_is_killed() {
    run_on_server(&PLAN, Postgres);
}

#[test]
fn nothing_acknowledged_is_lost_when_mariadb_or_a_mount_is_killed() {
    run_on_server(&PLAN, Mariadb);
}

#[test]
fn nothing_acknowledged_is_lost_when_foundationdb_or_a_mount_is_killed() {
    run_on_server(&PLAN, FoundationDb::default());
}

/// Its protocol on its mock store, which keeps its data when it is killed, so it will do here.
#[test]
fn nothing_acknowledged_is_lost_when_tikv_or_a_mount_is_killed() {
    run_on_server(&PLAN, Tikv::default());
}
