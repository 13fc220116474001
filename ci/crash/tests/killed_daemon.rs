//! The short form: a few deaths, with and without a failing store.

use shoal_ci_crash::{Plan, run};

#[test]
fn nothing_acknowledged_is_lost_when_the_daemon_is_killed() {
    run(&Plan { rounds: 12, fault_rate: 0.0, seed: 7, life_ms_max: 1200, packs: false, told: false });
}

#[test]
fn nothing_acknowledged_is_lost_when_the_object_store_fails_as_well() {
    run(&Plan { rounds: 8, fault_rate: 0.05, seed: 11, life_ms_max: 1200, packs: false, told: false });
}

#[test]
fn nothing_acknowledged_is_lost_when_the_daemon_is_killed_while_it_packs() {
    run(&Plan { rounds: 8, fault_rate: 0.0, seed: 13, life_ms_max: 2500, packs: true, told: false });
}
