//! Reads of 4 KiB at random offsets of a file that is in the local cache; and how near the cache comes to its floors.

use super::sequential::{bandwidth, reading};
use super::{Workload, content};
use crate::arguments::{Settings, TargetKind};
use crate::failure::Outcome;
use crate::fio::{Access, Job};
use crate::results::{Measured, Unit};
use crate::targets::{Running, Setup};
use std::path::Path;

pub(super) struct RandomRead;
/// Against fio on the cache's own file: the disk without us.
pub(super) struct DiskCache;
/// The same where the mount is read-only.
pub(super) struct ReadOnlyDiskCache;
/// Against the null server, with the cache in memory: FUSE without a disk.
pub(super) struct MemoryCache;

const CACHE_FILE: &str = "cache-file";

impl Workload for RandomRead {
    fn name(&self) -> &'static str {
        "random-read"
    }

    fn about(&self) -> &'static str {
        "4 KiB reads at random, each at most once: direct, buffered, and 32 at a time; local cache warm"
    }

    fn prepare(&self, target: &Running, settings: &Settings) -> Outcome<()> {
        content::prepare(target, settings.file_bytes)
    }

    fn run(&self, target: &Running, settings: &Settings) -> Outcome<Vec<Measured>> {
        let direct = random(target, settings);
        let buffered = Job { direct: false, ..direct.clone() };
        let deep = Job { depth: 32, ..direct.clone() };
        Ok(vec![
            rate(&direct, format!("{}/4k-direct", self.name()))?,
            rate(&buffered, format!("{}/4k-buffered", self.name()))?,
            rate(&deep, format!("{}/4k-direct-depth-32", self.name()))?,
        ])
    }

    fn clean_up(&self, target: &Running) -> Outcome<()> {
        content::remove(target)
    }
}

impl Workload for DiskCache {
    fn name(&self) -> &'static str {
        "disk-cache"
    }

    fn about(&self) -> &'static str {
        "direct reads through ShoalFS, and the same fio job on the cache's data file itself"
    }

    fn concerns(&self, target: TargetKind) -> bool {
        target == TargetKind::Shoal
    }

    fn prepare(&self, target: &Running, settings: &Settings) -> Outcome<()> {
        content::prepare(target, settings.file_bytes)
    }

    fn run(&self, target: &Running, settings: &Settings) -> Outcome<Vec<Measured>> {
        beside_the_cache_file(self.name(), target, settings)
    }

    fn clean_up(&self, target: &Running) -> Outcome<()> {
        content::remove(target)
    }
}

impl Workload for ReadOnlyDiskCache {
    fn name(&self) -> &'static str {
        "read-only-disk-cache"
    }

    fn about(&self) -> &'static str {
        "the reads of disk-cache on a read-only mount, where the kernel reads cached files by itself"
    }

    fn setup(&self) -> Setup {
        Setup::ReadOnly
    }

    fn concerns(&self, target: TargetKind) -> bool {
        target == TargetKind::Shoal
    }

    fn prepare(&self, target: &Running, settings: &Settings) -> Outcome<()> {
        content::prepare_read_only(target, settings.file_bytes)
    }

    fn run(&self, target: &Running, settings: &Settings) -> Outcome<Vec<Measured>> {
        beside_the_cache_file(self.name(), target, settings)
    }
}

/// The same jobs on the target's file and on the cache's data file of it.
fn beside_the_cache_file(name: &str, target: &Running, settings: &Settings) -> Outcome<Vec<Measured>> {
    let cache_file = content::cache_file(target, settings.file_bytes)?;
    let deep = Job { depth: 32, ..random(target, settings) };
    let sequential = Job { direct: true, depth: 8, ..reading(target, settings) };
    let mut measured = Vec::new();
    for (file, instead_of_target) in [(content::path(target), None), (cache_file, Some(CACHE_FILE))] {
        let (deep, sequential) = (at(&deep, &file), at(&sequential, &file));
        let (rate, bandwidth) = (
            rate(&deep, format!("{name}/random-read-4k-depth-32"))?,
            bandwidth(&sequential, format!("{name}/sequential-read-1m"))?,
        );
        measured.extend([rate, bandwidth].map(|measured| Measured { instead_of_target, ..measured }));
    }
    Ok(measured)
}

impl Workload for MemoryCache {
    fn name(&self) -> &'static str {
        "memory-cache"
    }

    fn about(&self) -> &'static str {
        "reads from a warm local cache in memory, against files of the null server"
    }

    fn setup(&self) -> Setup {
        Setup::CacheInMemory
    }

    fn concerns(&self, target: TargetKind) -> bool {
        target != TargetKind::Plain
    }

    fn prepare(&self, target: &Running, settings: &Settings) -> Outcome<()> {
        content::prepare(target, settings.file_bytes)
    }

    fn run(&self, target: &Running, settings: &Settings) -> Outcome<Vec<Measured>> {
        Ok(vec![
            bandwidth(&reading(target, settings), format!("{}/sequential-read-1m", self.name()))?,
            rate(&random(target, settings), format!("{}/random-read-4k-direct", self.name()))?,
        ])
    }

    fn clean_up(&self, target: &Running) -> Outcome<()> {
        content::remove(target)
    }
}

/// One direct read after the other.
fn random(target: &Running, settings: &Settings) -> Job {
    let seconds_max = Some(settings.random_seconds);
    Job { access: Access::RandomRead, block_bytes: 4096, direct: true, seconds_max, ..reading(target, settings) }
}

fn at(job: &Job, file: &Path) -> Job {
    Job { file: file.to_path_buf(), ..job.clone() }
}

fn rate(job: &Job, metric: String) -> Outcome<Measured> {
    let figures = job.run()?;
    Ok(Measured {
        metric,
        unit: Unit::OperationsPerSecond,
        value: figures.operations_per_second,
        latency: Some(figures.latency),
        instead_of_target: None,
    })
}
