//! The metadata run as a workload: both layouts, one to many threads; and stat alone with the kernel's caches off.

use super::Workload;
use crate::arguments::{Settings, TargetKind};
use crate::failure::Outcome;
use crate::metadata_run::{self, Layout, Phase, PhaseResult, Plan};
use crate::results::{Measured, Unit};
use crate::targets::{Running, Setup};

pub(super) struct Metadata;
pub(super) struct UncachedStat;

impl Workload for Metadata {
    fn name(&self) -> &'static str {
        "metadata"
    }

    fn about(&self) -> &'static str {
        "create, stat, readdir, rename and unlink of empty files, in one folder and in one a thread"
    }

    fn run(&self, target: &Running, settings: &Settings) -> Outcome<Vec<Measured>> {
        let mut measured = Vec::new();
        for layout in [Layout::Shared, Layout::Private] {
            for plan in plans(layout, settings) {
                for result in metadata_run::run(std::slice::from_ref(&target.root), plan)? {
                    let metric = format!("{}/{}/{}", self.name(), result.phase.name(), suffix(plan));
                    measured.push(rate(metric, &result));
                }
            }
        }
        Ok(measured)
    }
}

impl Workload for UncachedStat {
    fn name(&self) -> &'static str {
        "uncached-stat"
    }

    fn about(&self) -> &'static str {
        "stat when the kernel may cache neither names nor attributes"
    }

    fn setup(&self) -> Setup {
        Setup::NoAttributeCache
    }

    /// The cache of a plain folder cannot be turned off.
    fn concerns(&self, target: TargetKind) -> bool {
        target != TargetKind::Plain
    }

    fn run(&self, target: &Running, settings: &Settings) -> Outcome<Vec<Measured>> {
        let mut measured = Vec::new();
        for plan in plans(Layout::Shared, settings) {
            let results = metadata_run::run(std::slice::from_ref(&target.root), plan)?;
            let stats = results.iter().filter(|result| result.phase == Phase::Stat);
            measured.extend(stats.map(|result| rate(format!("{}/{}", self.name(), suffix(plan)), result)));
        }
        Ok(measured)
    }
}

fn plans(layout: Layout, settings: &Settings) -> impl Iterator<Item = Plan> + '_ {
    let files_per_thread = settings.metadata_files_per_thread;
    settings.metadata_threads.iter().map(move |threads| Plan { layout, threads: *threads, files_per_thread })
}

fn suffix(plan: Plan) -> String {
    format!("{}-{}", plan.layout.name(), plan.threads)
}

pub(super) fn rate(metric: String, result: &PhaseResult) -> Measured {
    Measured {
        metric,
        unit: Unit::OperationsPerSecond,
        value: result.operations_per_second(),
        latency: Some(result.latency),
        instead_of_target: None,
    }
}
