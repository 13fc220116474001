//! Rounds on a metadata server with two mounts: one of the three is killed while programs work on both mounts.
//!
//! When the server dies, nobody may notice but by the clock: operations wait and are done once. When a mount dies, the
//! programs on it end, and those on the other one go on; it may have been the one that maintains the volume. What died
//! comes back, and everything that was acknowledged must be there: on a mount that is new if one died.

use crate::crew::{Crew, Errors, Worker};
use shoal_ci_servers::{Program, Server};
use shoal_ci_testbed::{Bed, Daemon};
use shoal_kv::Random;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

pub struct ServerPlan {
    pub rounds: u32,
    pub seed: u64,
    /// Says on standard error how it goes.
    pub told: bool,
}

#[derive(Clone, Copy, Debug)]
enum Victim {
    Server,
    Mount(usize),
}

/// Whole rounds, after which the volume is looked at while nobody has it mounted.
const ROUNDS_BETWEEN_CHECKS: u32 = 10;
/// Milliseconds of work, at the most, before something is killed, and after the server has come back.
const WORK_MS_MAX: u64 = 1500;

/// Panics at the first thing that is missing or wrong, with the seed. The server must keep what it has acknowledged.
pub fn run_on_server<P: Program>(plan: &ServerPlan, program: P) {
    let mut server = Server::start(program);
    let bed = Bed::on_server(&server.url("crash"));
    let mut random = Random::new(plan.seed);
    let mut workers = Worker::all(&mut random);
    let mut mounts = mount_all(&bed);
    workers.iter().for_each(|worker| worker.make_folder(mounts[0].mount_point()));
    for round in 0..plan.rounds {
        let points: Vec<PathBuf> = mounts.iter().map(|mount| mount.mount_point().to_owned()).collect();
        let mut placed = |worker| (worker, points[random.below(2) as usize].as_path());
        let placed: Vec<(Worker, &Path)> = workers.into_iter().map(&mut placed).collect();
        let places: Vec<&Path> = placed.iter().map(|(_, point)| *point).collect();
        let crew = Crew::start(placed, Errors::Unexpected);
        let mut work = || thread::sleep(Duration::from_millis(random.below(WORK_MS_MAX)));
        work();
        let victim = match random.below(4) {
            0 => Victim::Mount(0),
            1 => Victim::Mount(1),
            _ => Victim::Server,
        };
        match victim {
            Victim::Server => {
                server.restart();
                thread::sleep(Duration::from_millis(random.below(WORK_MS_MAX)));
                workers = crew.stop().unwrap_or_else(|wrong| fail(plan, round, &wrong, &bed));
                check(plan, round, workers.iter_mut().zip(places), &bed);
            }
            Victim::Mount(index) => {
                mounts.remove(index).kill();
                mounts.insert(index, bed.mount_number(index, &[]));
                workers = crew.stop().unwrap_or_else(|wrong| fail(plan, round, &wrong, &bed));
                check(plan, round, workers.iter_mut().map(|worker| (worker, points[index].as_path())), &bed);
            }
        }
        if plan.told {
            let steps: Vec<u64> = workers.iter().map(|worker| worker.steps).collect();
            eprintln!("round {} of {}: {victim:?} killed, acknowledged so far {steps:?}", round + 1, plan.rounds);
        }
        if (round + 1) % ROUNDS_BETWEEN_CHECKS == 0 {
            unmount_all(mounts);
            bed.check();
            mounts = mount_all(&bed);
        }
    }
    unmount_all(mounts);
    bed.check();
    for worker in &workers {
        assert!(worker.steps > 0, "{} had nothing acknowledged: a test of nothing", worker.name());
    }
}

fn mount_all(bed: &Bed) -> Vec<Daemon> {
    (0..2).map(|number| bed.mount_number(number, &[])).collect()
}

fn unmount_all(mounts: Vec<Daemon>) {
    mounts.into_iter().rev().for_each(|mount| assert!(mount.stop().success(), "a mount ends well"));
}

fn check<'a>(plan: &ServerPlan, round: u32, placed: impl Iterator<Item = (&'a mut Worker, &'a Path)>, bed: &Bed) {
    for (worker, mount_point) in placed {
        if let Err(wrong) = worker.verify(mount_point) {
            fail(plan, round, &wrong, bed);
        }
    }
}

fn fail(plan: &ServerPlan, round: u32, wrong: &str, bed: &Bed) -> ! {
    let logs = [0, 1].map(|number| std::fs::read_to_string(bed.path(&format!("log-{number}"))).unwrap_or_default());
    panic!("seed {} round {round}: {wrong}\n{}", plan.seed, logs.join("\n"));
}
