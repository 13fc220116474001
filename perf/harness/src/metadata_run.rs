//! The metadata run: create, stat, list, rename and unlink many empty files from several threads, phase by phase.
//!
//! All threads do the same phase at once and start it together. In a shared folder every thread stats every other's
//! files as well, and lists them all. What each phase should find is counted and checked: fast and wrong is a failure.
//! Relies on an empty folder; leaves it empty.

use crate::failure::{During, Failure, Outcome};
use crate::interrupt;
use crate::results::Latency;
use hdrhistogram::Histogram;
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// All threads in one folder.
    Shared,
    /// Each thread in its own.
    Private,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Create,
    Stat,
    List,
    Rename,
    Unlink,
}

#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub layout: Layout,
    pub threads: usize,
    pub files_per_thread: usize,
}

#[derive(Clone, Copy, Debug)]
pub struct PhaseResult {
    pub phase: Phase,
    /// For `List`: entries, not calls.
    pub operations: u64,
    pub elapsed: Duration,
    /// Of one call; for `List`, of one whole listing.
    pub latency: Latency,
}

impl Layout {
    pub fn name(self) -> &'static str {
        match self {
            Layout::Shared => "shared",
            Layout::Private => "private",
        }
    }
}

impl Phase {
    pub const ALL: [Phase; 5] = [Phase::Create, Phase::Stat, Phase::List, Phase::Rename, Phase::Unlink];

    pub fn name(self) -> &'static str {
        match self {
            Phase::Create => "create",
            Phase::Stat => "stat",
            Phase::List => "readdir",
            Phase::Rename => "rename",
            Phase::Unlink => "unlink",
        }
    }
}

impl PhaseResult {
    pub fn operations_per_second(&self) -> f64 {
        self.operations as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// Runs all phases below `roots`, which are one folder seen through one or more mounts. Threads take them in turns.
pub fn run(roots: &[PathBuf], plan: Plan) -> Outcome<Vec<PhaseResult>> {
    assert!(!roots.is_empty() && plan.threads > 0 && plan.files_per_thread > 0, "a run does something");
    let folders: Vec<PathBuf> =
        (0..plan.threads).map(|thread| folder(&roots[thread % roots.len()], plan.layout, thread)).collect();
    for folder in &folders {
        fs::create_dir_all(folder).during(folder.display())?;
    }
    let mut results = Vec::new();
    for phase in Phase::ALL {
        interrupt::check()?;
        results.push(run_phase(&folders, plan, phase)?);
    }
    for folder in &folders {
        match fs::remove_dir(folder) {
            // One for all, in the shared layout.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            removed => removed.during(format_args!("{} (after everything in it was unlinked)", folder.display()))?,
        }
    }
    Ok(results)
}

fn folder(root: &Path, layout: Layout, thread: usize) -> PathBuf {
    match layout {
        Layout::Shared => root.join("shared"),
        Layout::Private => root.join(format!("private-{thread}")),
    }
}

fn run_phase(folders: &[PathBuf], plan: Plan, phase: Phase) -> Outcome<PhaseResult> {
    let start = Barrier::new(plan.threads);
    let work = |thread| {
        let worker = Worker { folders, plan, thread };
        start.wait();
        let began = Instant::now();
        let done = worker.run(phase)?;
        Ok((began, Instant::now(), done))
    };
    let outcomes: Vec<Outcome<_>> = std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..plan.threads).map(|thread| scope.spawn(move || work(thread))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a worker does not panic")).collect()
    });
    let outcomes = outcomes.into_iter().collect::<Outcome<Vec<_>>>()?;
    let began = outcomes.iter().map(|(began, ..)| *began).min().expect("there is a thread");
    let ended = outcomes.iter().map(|(_, ended, _)| *ended).max().expect("there is a thread");
    let mut latencies = new_histogram();
    let mut operations = 0;
    for (_, _, done) in &outcomes {
        operations += done.operations;
        latencies.add(&done.latencies).expect("both have the same bounds");
    }
    Ok(PhaseResult { phase, operations, elapsed: ended - began, latency: summary(&latencies) })
}

struct Worker<'a> {
    folders: &'a [PathBuf],
    plan: Plan,
    thread: usize,
}

struct Done {
    operations: u64,
    latencies: Histogram<u64>,
}

impl Worker<'_> {
    fn run(&self, phase: Phase) -> Outcome<Done> {
        match phase {
            Phase::Create => self.each_of_mine(|path| {
                fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(path).map(drop)
            }),
            Phase::Stat => self.stat_shuffled(),
            Phase::List => self.list(),
            Phase::Rename => self.each_of_mine(|path| fs::rename(path, path.with_extension("renamed"))),
            Phase::Unlink => self.each_of_mine(|path| fs::remove_file(path.with_extension("renamed"))),
        }
    }

    fn each_of_mine(&self, operation: impl Fn(&Path) -> std::io::Result<()>) -> Outcome<Done> {
        let paths = (0..self.plan.files_per_thread).map(|number| self.path(self.thread, number));
        timed(paths, |path| operation(path).map(|()| 1).during(path.display()))
    }

    /// As many as there are files of this thread, taken from all that lie in its folder, in a scattered order.
    fn stat_shuffled(&self) -> Outcome<Done> {
        let files = self.plan.files_per_thread;
        let paths = (0..files).map(|step| {
            // Steps of a number without a common factor visit each file once.
            let scattered = (step * scattering_step(files) + self.thread) % files;
            let owner = match self.plan.layout {
                Layout::Shared => (self.thread + step) % self.plan.threads,
                Layout::Private => self.thread,
            };
            self.path(owner, scattered)
        });
        timed(paths, |path| {
            let metadata = fs::symlink_metadata(path).during(path.display())?;
            let regular = metadata.is_file() && metadata.len() == 0;
            if regular { Ok(1) } else { Err(Failure::new(format_args!("{} is no empty file", path.display()))) }
        })
    }

    fn list(&self) -> Outcome<Done> {
        let folder = &self.folders[self.thread];
        let expected = match self.plan.layout {
            Layout::Shared => self.plan.files_per_thread * self.plan.threads,
            Layout::Private => self.plan.files_per_thread,
        };
        timed(std::iter::repeat_n(folder.clone(), LISTINGS), |folder| {
            let mut entries = 0;
            for entry in fs::read_dir(folder).during(folder.display())? {
                entry.during(folder.display())?;
                entries += 1;
            }
            match entries == expected {
                true => Ok(entries as u64),
                false => Err(Failure::new(format_args!("{} lists {entries} of {expected}", folder.display()))),
            }
        })
    }

    /// As this thread sees it.
    fn path(&self, owner: usize, number: usize) -> PathBuf {
        let folder = match self.plan.layout {
            Layout::Shared => self.thread,
            Layout::Private => owner,
        };
        self.folders[folder].join(format!("t{owner}-f{number}"))
    }
}

/// Names are made outside of the measured time of an operation, but inside that of the phase; it is the same for all.
fn timed(paths: impl Iterator<Item = PathBuf>, operation: impl Fn(&Path) -> Outcome<u64>) -> Outcome<Done> {
    let mut done = Done { operations: 0, latencies: new_histogram() };
    for path in paths {
        let began = Instant::now();
        done.operations += operation(&path)?;
        done.latencies.saturating_record(began.elapsed().as_nanos() as u64);
    }
    Ok(done)
}

fn scattering_step(files: usize) -> usize {
    let shares_a_factor = |step: usize| {
        let (mut a, mut b) = (step, files);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a != 1
    };
    let mut step = files * 5 / 8 + 1;
    while shares_a_factor(step) {
        step += 1;
    }
    step
}

fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(100, LATENCY_NANOS_MAX, 3).expect("the bounds are valid")
}

fn summary(latencies: &Histogram<u64>) -> Latency {
    let micros = |nanos: u64| nanos as f64 / 1000.0;
    Latency {
        mean_us: latencies.mean() / 1000.0,
        median_us: micros(latencies.value_at_quantile(0.5)),
        p99_us: micros(latencies.value_at_quantile(0.99)),
        max_us: micros(latencies.max()),
    }
}

/// Listings of each thread.
const LISTINGS: usize = 5;
const LATENCY_NANOS_MAX: u64 = 60_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_counts_its_operations_and_leaves_nothing() {
        for layout in [Layout::Shared, Layout::Private] {
            let root = tempfile::tempdir().unwrap();
            let results = run(&[root.path().to_path_buf()], Plan { layout, threads: 3, files_per_thread: 20 }).unwrap();
            let listed = 5 * 3 * if layout == Layout::Shared { 60 } else { 20 };
            let counts: Vec<u64> = results.iter().map(|result| result.operations).collect();
            assert_eq!(counts, [60, 60, listed, 60, 60]);
            assert!(results.iter().all(|result| result.operations_per_second() > 0.0 && result.latency.max_us > 0.0));
            assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn a_file_too_many_is_noticed() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("shared")).unwrap();
        fs::write(root.path().join("shared/alien"), "").unwrap();
        let plan = Plan { layout: Layout::Shared, threads: 1, files_per_thread: 5 };
        let refused = run(&[root.path().to_path_buf()], plan).unwrap_err().to_string();
        assert!(refused.contains("lists 6 of 5"), "{refused}");
    }

    #[test]
    fn scattered_steps_visit_every_file_once() {
        for files in [1, 2, 10, 37, 1000] {
            let mut visited: Vec<usize> = (0..files).map(|step| step * scattering_step(files) % files).collect();
            visited.sort_unstable();
            assert_eq!(visited, (0..files).collect::<Vec<_>>());
        }
    }
}
