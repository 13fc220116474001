//! What operations cost in round trips on an engine on a server, without quotas: a change that needs one more is seen here.
//! With another mount there, each change is told in the change feed, and that costs none. The count is kv-remote's, so one of
//! its engines speaks for all; FoundationDB counts by itself.

// A failed unwrap is a failed test, which is what it is for.
#![allow(clippy::unwrap_used)]

#[path = "../../../engine/metadata/tests/behaviour/support.rs"]
#[allow(dead_code)]
mod support;

use shoal_ci_servers::{FoundationDb, Redis, Server as Process, Tikv};
use shoal_kv::Durability;
use shoal_kv_fdb::FdbServer;
use shoal_kv_redis::RedisServer;
use shoal_kv_remote::{Counted, Engine, RemoteOptions};
use shoal_kv_tikv::TikvServer;
use shoal_metadata::feed::Follower;
use shoal_metadata::{MetaOp, RegisterSession};
use shoal_types::{FileKind, Ino};
use std::fmt::Debug;
use std::time::Duration;
use support::{at, name, volume};

#[test]
fn operations_keep_to_their_budgets_alone_and_with_other_mounts() {
    let process = Process::start(Redis::default());
    keep_to_their_budgets::<RedisServer>(&process.url("alone"), false);
    keep_to_their_budgets::<RedisServer>(&process.url("told"), true);
}

#[test]
fn operations_keep_to_their_budgets_on_foundationdb() {
    let process = Process::start(FoundationDb::default());
    keep_to_their_budgets::<FdbServer>(&process.url("alone"), false);
    keep_to_their_budgets::<FdbServer>(&process.url("told"), true);
}

/// Questions, each of which is several requests there, one after another: decision 0021 counts them.
#[test]
fn operations_keep_to_their_budgets_on_tikv() {
    let process = Process::start(Tikv::default());
    keep_to_their_budgets::<TikvServer>(&process.url("alone"), false);
    keep_to_their_budgets::<TikvServer>(&process.url("told"), true);
}

fn keep_to_their_budgets<E: Engine>(url: &str, told: bool) {
    let server = E::at(&url.parse().unwrap(), Duration::from_secs(10)).unwrap();
    assert_eq!(server.prepare(true), Ok(true));
    let kv = server.open(RemoteOptions::default()).unwrap();
    let mount = volume(kv.clone());
    let mut follower = told.then(|| {
        let record = shoal_metadata::SessionRecord { pid: 2, ..support::record() };
        let register = MetaOp::RegisterSession(RegisterSession { record, now: at(1) });
        mount.metadata.run(register, Durability::Visible).unwrap();
        Follower::at_end(&mount.metadata).unwrap()
    });
    let first = mount.first_ino;
    let mut costs = Vec::new();
    let mut measure = |operation: &'static str, run: &dyn Fn() -> Box<dyn Debug>| {
        let before = kv.round_trips();
        run();
        costs.push((operation, kv.round_trips() - before));
    };
    measure("mkdir", &|| Box::new(mount.create(1, "d", first, FileKind::Directory).unwrap()));
    measure("create", &|| Box::new(mount.create(1, "f", first + 1, FileKind::Regular).unwrap()));
    measure("create that is refused", &|| Box::new(mount.create(1, "f", first + 2, FileKind::Regular).unwrap_err()));
    measure("lookup", &|| Box::new(mount.metadata.lookup(Ino(1), &name("f")).unwrap()));
    measure("attributes", &|| Box::new(mount.metadata.get_attributes(Ino(first + 1)).unwrap()));
    measure("content", &|| Box::new(mount.metadata.get_content(Ino(first + 1)).unwrap()));
    measure("directory", &|| Box::new(mount.metadata.read_directory(Ino(1), 0, 100, false).unwrap()));
    measure("set times", &|| Box::new(mount.set_mtime(first + 1, at(5), at(5)).unwrap()));
    measure("link", &|| Box::new(mount.link(first + 1, 1, "g").unwrap()));
    measure("rename", &|| Box::new(mount.rename((1, "g"), (1, "h")).unwrap()));
    measure("unlink of one name", &|| Box::new(mount.unlink(1, "h", &[]).unwrap()));
    measure("unlink of the last name", &|| Box::new(mount.unlink(1, "f", &[]).unwrap()));
    measure("rmdir", &|| Box::new(mount.rmdir(1, "d", &[]).unwrap()));
    assert_eq!(costs, BUDGETS);
    if let Some(follower) = &mut follower {
        assert_eq!(follower.read(&mount.metadata).unwrap().events.len(), 8, "all but what was refused or read");
    }
    mount.assert_sound();
}

const BUDGETS: [(&str, u64); 13] = [
    ("mkdir", 2),
    ("create", 2),
    ("create that is refused", 1),
    ("lookup", 2),
    ("attributes", 1),
    ("content", 1),
    ("directory", 2),
    ("set times", 4),
    ("link", 4),
    ("rename", 3),
    ("unlink of one name", 3),
    ("unlink of the last name", 3),
    ("rmdir", 4),
];
