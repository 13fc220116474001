//! Rounds of mount, work, kill, mount again, look.

use crate::crew::{Crew, Errors, Worker};
use shoal_ci_testbed::{Bed, Daemon};
use shoal_kv::Random;
use std::thread;
use std::time::Duration;

pub struct Plan {
    pub rounds: u32,
    /// The share of requests to the object store that fail.
    pub fault_rate: f64,
    pub seed: u64,
    /// Milliseconds that a daemon lives at the most.
    pub life_ms_max: u64,
    /// Small files wait in metadata and are packed while the daemon lives.
    pub packs: bool,
    /// Says on standard error how it goes.
    pub told: bool,
}

/// Panics at the first thing that is missing or wrong, with the seed.
pub fn run(plan: &Plan) {
    let staged: &[&str] = if plan.packs { &["--stage-max", "64K", "--inline-max", "100"] } else { &[] };
    let bed = Bed::new(&[&["--delete-grace", "0s"], staged].concat());
    let mut random = Random::new(plan.seed);
    let mut workers = Worker::all(&mut random);
    let errors = if plan.fault_rate > 0.0 { Errors::Expected } else { Errors::Unexpected };
    for round in 0..plan.rounds {
        let daemon = mount(&bed, plan, round);
        if round == 0 {
            workers.iter().for_each(|worker| worker.make_folder(&bed.mount_point()));
        }
        verify(&mut workers, plan, round, &bed);
        // A daemon dies at any moment of its life, the first ones included. Nobody waits for a state here.
        let life = Duration::from_millis(random.below(plan.life_ms_max));
        let mount_point = bed.mount_point();
        let crew = Crew::start(workers.into_iter().map(|worker| (worker, mount_point.as_path())), errors);
        thread::sleep(life);
        daemon.kill();
        workers = crew.stop().unwrap_or_else(|wrong| fail(plan, round, &wrong, &bed));
        bed.check();
        if plan.told {
            let steps: Vec<u64> = workers.iter().map(|worker| worker.steps).collect();
            eprintln!("round {} of {}: killed after {life:?}, acknowledged so far {steps:?}", round + 1, plan.rounds);
        }
    }
    let daemon = mount(&bed, plan, plan.rounds);
    verify(&mut workers, plan, plan.rounds, &bed);
    assert!(daemon.stop().success(), "the last daemon ends well: {}", bed.log());
    bed.check();
    for worker in &workers {
        assert!(worker.steps > 0, "{} had nothing acknowledged: a test of nothing", worker.name());
    }
}

fn mount(bed: &Bed, plan: &Plan, round: u32) -> Daemon {
    let rate = plan.fault_rate.to_string();
    let seed = (plan.seed + u64::from(round)).to_string();
    bed.mount(&["--storage-fault-rate", &rate, "--storage-fault-seed", &seed])
}

fn verify(workers: &mut [Worker], plan: &Plan, round: u32, bed: &Bed) {
    for worker in workers {
        if let Err(wrong) = worker.verify(&bed.mount_point()) {
            fail(plan, round, &wrong, bed);
        }
    }
}

fn fail(plan: &Plan, round: u32, wrong: &str, bed: &Bed) -> ! {
    panic!("seed {} round {round}: {wrong}\n{}", plan.seed, bed.log());
}
