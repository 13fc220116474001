//! One file from end to end in requests of 1 MiB, through the page cache and around it.

use super::{Workload, content};
use crate::arguments::Settings;
use crate::failure::{During, Outcome};
use crate::fio::{Access, Job};
use crate::results::{Measured, Unit};
use crate::targets::Running;

pub(super) struct Write;
pub(super) struct Read;

impl Workload for Write {
    fn name(&self) -> &'static str {
        "sequential-write"
    }

    fn about(&self) -> &'static str {
        "a new file in 1 MiB writes, with the fsync at its end"
    }

    fn run(&self, target: &Running, settings: &Settings) -> Outcome<Vec<Measured>> {
        let file = target.root.join("written");
        let job = Job { file: file.clone(), access: Access::SequentialWrite, ..reading(target, settings) };
        let measured = bandwidth(&job, format!("{}/1m", self.name()));
        // Also after a failure, so that the next round begins as this one did.
        let removed = std::fs::remove_file(&file).during(file.display());
        let measured = measured?;
        removed?;
        Ok(vec![measured])
    }
}

impl Workload for Read {
    fn name(&self) -> &'static str {
        "sequential-read"
    }

    fn about(&self) -> &'static str {
        "a file in 1 MiB reads, dropped from the page cache before; local cache warm"
    }

    fn prepare(&self, target: &Running, settings: &Settings) -> Outcome<()> {
        content::prepare(target, settings.file_bytes)
    }

    fn run(&self, target: &Running, settings: &Settings) -> Outcome<Vec<Measured>> {
        let buffered = reading(target, settings);
        let direct = Job { direct: true, ..buffered.clone() };
        Ok(vec![
            bandwidth(&buffered, format!("{}/1m-buffered", self.name()))?,
            bandwidth(&direct, format!("{}/1m-direct", self.name()))?,
        ])
    }

    fn clean_up(&self, target: &Running) -> Outcome<()> {
        content::remove(target)
    }
}

/// Reads the content once, 1 MiB at a time.
pub(super) fn reading(target: &Running, settings: &Settings) -> Job {
    Job {
        file: content::path(target),
        access: Access::SequentialRead,
        block_bytes: 1 << 20,
        file_bytes: settings.file_bytes,
        direct: false,
        depth: 1,
        seconds_max: None,
    }
}

pub(super) fn bandwidth(job: &Job, metric: String) -> Outcome<Measured> {
    let figures = job.run()?;
    Ok(Measured {
        metric,
        unit: Unit::BytesPerSecond,
        value: figures.bytes_per_second,
        latency: Some(figures.latency),
        instead_of_target: None,
    })
}
