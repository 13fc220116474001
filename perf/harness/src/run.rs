//! The order of it all: for each setup the targets are started, and each workload goes round and round over them.
//!
//! A workload that fails is reported and the others go on; an interruption ends everything. Targets stop when dropped.

use crate::arguments::Settings;
use crate::failure::{During, Failure, Outcome};
use crate::interrupt;
use crate::results::Results;
use crate::targets::{self, Ground, Running, Setup};
use crate::workloads::Workload;

/// Runs the workloads. What was measured before an interruption is kept.
pub fn run(mut workloads: Vec<Box<dyn Workload>>, settings: &Settings, ground: &Ground) -> Outcome<Results> {
    let mut results = Results::default();
    for setup in Setup::ALL {
        let of_setup = workloads.iter_mut().filter(|workload| workload.setup() == setup);
        let mut of_setup: Vec<&mut Box<dyn Workload>> = of_setup.collect();
        if of_setup.is_empty() {
            continue;
        }
        match run_setup(&mut of_setup, setup, settings, ground, &mut results) {
            Err(failure) if failure.is_interruption() => return Err(failure),
            Err(failure) => report(&mut results, failure),
            Ok(()) => {}
        }
    }
    Ok(results)
}

fn run_setup(
    workloads: &mut [&mut Box<dyn Workload>],
    setup: Setup,
    settings: &Settings,
    ground: &Ground,
    results: &mut Results,
) -> Outcome<()> {
    let concerned = |kind| workloads.iter().any(|workload| workload.concerns(kind));
    let kinds: Vec<_> = settings.targets.iter().copied().filter(|kind| concerned(*kind)).collect();
    if setup == Setup::CacheInMemory
        && let Some(reason) = too_little_memory(ground)?
    {
        results.skipped.push(reason);
        return Ok(());
    }
    if setup == Setup::OnStore && ground.store.is_none() {
        results.skipped.push("store-read: no object store is named; see --store".into());
        return Ok(());
    }
    if setup == Setup::ManyMounts && ground.metadata.is_none() {
        results.skipped.push("many-mounts: no metadata server is named; see --metadata".into());
        return Ok(());
    }
    let start = |kind| targets::start(kind, setup, ground);
    let targets = kinds.into_iter().map(start).collect::<Outcome<Vec<_>>>()?;
    for workload in workloads {
        match run_workload(&mut ***workload, &targets, settings, ground, results) {
            Err(failure) if failure.is_interruption() => return Err(failure),
            Err(failure) => report(results, failure),
            Ok(()) => {}
        }
    }
    Ok(())
}

fn run_workload(
    workload: &mut dyn Workload,
    targets: &[Running],
    settings: &Settings,
    ground: &Ground,
    results: &mut Results,
) -> Outcome<()> {
    let name = workload.name();
    if let Some(reason) = workload.obstacle(settings, ground).during(name)? {
        results.skipped.push(format!("{name}: {reason}"));
        return Ok(());
    }
    let targets: Vec<&Running> = targets.iter().filter(|target| workload.concerns(target.kind)).collect();
    for target in &targets {
        eprintln!("perf: {name}: preparing {}", target.kind.name());
        workload.prepare(target, settings).during(format_args!("{name} on {}", target.kind.name()))?;
    }
    for round in 0..settings.rounds {
        // Each round begins with another target, so that none always runs after the same neighbour.
        for turn in 0..targets.len() {
            let target = targets[(round + turn) % targets.len()];
            run_turn(workload, target, round, settings, results)?;
        }
    }
    for target in &targets {
        workload.clean_up(target).during(format_args!("{name} on {}", target.kind.name()))?;
    }
    Ok(())
}

fn run_turn(
    workload: &dyn Workload,
    target: &Running,
    round: usize,
    settings: &Settings,
    results: &mut Results,
) -> Outcome<()> {
    interrupt::check()?;
    let (name, kind) = (workload.name(), target.kind.name());
    eprintln!("perf: {name}: round {} of {} on {kind}", round + 1, settings.rounds);
    target.settle()?;
    for measured in workload.run(target, settings).during(format_args!("{name} on {kind}"))? {
        results.add(kind, round, measured);
    }
    Ok(())
}

/// The cache in memory must not push the machine into swapping, or fail for want of room.
fn too_little_memory(ground: &Ground) -> Outcome<Option<String>> {
    let room = rustix::fs::statvfs(&ground.memory).during(ground.memory.display())?;
    let free = room.f_bavail * room.f_frsize;
    let missing = free < ground.cache_bytes;
    Ok(missing.then(|| {
        let (folder, needed) = (ground.memory.display(), ground.cache_bytes >> 20);
        format!("memory-cache: {folder} has {} MiB free, {needed} are needed; try a smaller --file-mib", free >> 20)
    }))
}

fn report(results: &mut Results, failure: Failure) {
    eprintln!("perf: {failure}");
    results.failures.push(failure.to_string());
}
