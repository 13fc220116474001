//! The programs at work, each on a thread of its own.

use crate::workloads::{Append, Names, Overwrite, Replace, Workload, is_dead};
use shoal_kv::Random;
use std::fs::{self, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

pub struct Worker {
    workload: Box<dyn Workload>,
    random: Random,
    /// Steps acknowledged so far.
    pub steps: u64,
}

impl Worker {
    /// One of each kind.
    pub fn all(random: &mut Random) -> Vec<Self> {
        let workloads: [Box<dyn Workload>; 4] =
            [Box::<Replace>::default(), Box::<Append>::default(), Box::<Overwrite>::default(), Box::<Names>::default()];
        let worker = |workload| Worker { workload, random: Random::new(random.next_u64()), steps: 0 };
        workloads.into_iter().map(worker).collect()
    }

    pub fn name(&self) -> &'static str {
        self.workload.name()
    }

    /// Its folder below a mount point. Acknowledged when the call returns.
    pub fn make_folder(&self, mount_point: &Path) {
        fs::create_dir(mount_point.join(self.name())).expect("a folder on a new mount");
    }

    /// What must be there is there.
    pub fn verify(&mut self, mount_point: &Path) -> Result<(), String> {
        self.workload.verify(&mount_point.join(self.workload.name()))
    }
}

/// Whether a program puts up with errors other than the death of its mount. It ends at any.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Errors {
    /// The store fails: not acknowledged, and what is visible now may be gone after a kill.
    Expected,
    Unexpected,
}

/// Each below the mount point that stands beside it.
pub struct Crew {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<Worker, String>>>,
}

impl Crew {
    pub fn start<'a>(workers: impl IntoIterator<Item = (Worker, &'a Path)>, errors: Errors) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let start = |(mut worker, mount_point): (Worker, &Path)| {
            let over = over.clone();
            // By a descriptor, as the path leads to the empty mount point and then to the next mount while this one's dead:
            // who was not run for that long would not notice.
            let root =
                OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(mount_point).expect("a live mount");
            let folder = PathBuf::from(format!("/proc/self/fd/{}", root.as_raw_fd())).join(worker.name());
            thread::spawn(move || {
                let _root = root;
                while !over.load(Ordering::Acquire) {
                    match worker.workload.step(&folder, &mut worker.random) {
                        Ok(()) => worker.steps += 1,
                        // The program ends as if it had been killed too.
                        Err(error) if is_dead(&error) || errors == Errors::Expected => break,
                        Err(error) => return Err(format!("{}: {error}, and the daemon lived", worker.workload.name())),
                    }
                }
                Ok(worker)
            })
        };
        let threads = workers.into_iter().map(start).collect();
        Crew { over, threads }
    }

    /// Each ends after the step it's at. Otherwise what one of them has met that it must not meet.
    pub fn stop(self) -> Result<Vec<Worker>, String> {
        self.over.store(true, Ordering::Release);
        self.threads.into_iter().map(|thread| thread.join().expect("a worker does not panic")).collect()
    }
}
