//! Rounds of mount, work, kill, mount again, look.

use crate::workloads::{Append, Names, Overwrite, Replace, Workload, is_dead};
use shoal_ci_testbed::{Bed, Daemon};
use shoal_kv::Random;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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

struct Worker {
    workload: Box<dyn Workload>,
    folder: PathBuf,
    random: Random,
    steps: u64,
}

/// Panics at the first thing that is missing or wrong, with the seed.
pub fn run(plan: &Plan) {
    let staged: &[&str] = if plan.packs { &["--stage-max", "64K", "--inline-max", "100"] } else { &[] };
    let bed = Bed::new(&[&["--delete-grace", "0s"], staged].concat());
    let mut random = Random::new(plan.seed);
    let mut workers = workers(&bed, &mut random);
    for round in 0..plan.rounds {
        let daemon = mount(&bed, plan, round);
        verify(&mut workers, plan, round, &bed);
        // A daemon dies at any moment of its life, the first ones included.
        let life = Duration::from_millis(random.below(plan.life_ms_max));
        workers = work_until_killed(workers, daemon, life, plan.fault_rate > 0.0);
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
        assert!(worker.steps > 0, "{} had nothing acknowledged: a test of nothing", worker.workload.name());
    }
}

fn workers(bed: &Bed, random: &mut Random) -> Vec<Worker> {
    let workloads: [Box<dyn Workload>; 4] =
        [Box::<Replace>::default(), Box::<Append>::default(), Box::<Overwrite>::default(), Box::<Names>::default()];
    let worker = |workload: Box<dyn Workload>| {
        let folder = bed.mount_point().join(workload.name());
        Worker { workload, folder, random: Random::new(random.next_u64()), steps: 0 }
    };
    workloads.into_iter().map(worker).collect()
}

fn mount(bed: &Bed, plan: &Plan, round: u32) -> Daemon {
    let rate = plan.fault_rate.to_string();
    let seed = (plan.seed + u64::from(round)).to_string();
    bed.mount(&["--storage-fault-rate", &rate, "--storage-fault-seed", &seed])
}

fn verify(workers: &mut [Worker], plan: &Plan, round: u32, bed: &Bed) {
    for worker in workers {
        // Made in the first round, and acknowledged by then; later it must be there.
        if round == 0 {
            fs::create_dir(&worker.folder).expect("a folder on a new mount");
        }
        if let Err(wrong) = worker.workload.verify(&worker.folder) {
            panic!("seed {} round {round}: {wrong}\n{}", plan.seed, bed.log());
        }
    }
}

fn work_until_killed(workers: Vec<Worker>, daemon: Daemon, life: Duration, store_fails: bool) -> Vec<Worker> {
    let over = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = workers
        .into_iter()
        .map(|mut worker| {
            let over = over.clone();
            thread::spawn(move || {
                while !over.load(Ordering::Acquire) {
                    match worker.workload.step(&worker.folder, &mut worker.random) {
                        Ok(()) => worker.steps += 1,
                        // The store failed: not acknowledged, and what is visible now may be gone after the kill. The
                        // program ends here as if it had been killed too.
                        Err(error) if is_dead(&error) || store_fails => break,
                        Err(error) => panic!("{}: {error}, and the daemon lived", worker.workload.name()),
                    }
                }
                worker
            })
        })
        .collect();
    // The moment of death is drawn by lot; nobody waits for a state here.
    thread::sleep(life);
    daemon.kill();
    over.store(true, Ordering::Release);
    threads.into_iter().map(|thread| thread.join().expect("a worker does not panic")).collect()
}
