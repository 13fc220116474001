//! The threads that run jobs, each to its end, and the queue before them.

use shoal_kv::retry::SystemClock;
use shoal_kv::{Job, JobQueue, KvError, KvResult, Random, Verdict, mark_engine_thread};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle, ThreadId};

/// What workers need of the client whose jobs they run.
pub trait Runner: Send + Sync + 'static {
    /// Runs the job to its end and gives the outcome.
    fn run(&self, job: &mut dyn Job, clock: &SystemClock, jitter: &mut Random) -> KvResult<Verdict>;
}

pub struct Workers {
    queue: Arc<JobQueue<Box<dyn Job>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    thread_ids: Vec<ThreadId>,
}

impl Workers {
    pub fn start<R: Runner>(runner: &Arc<R>, count: usize) -> KvResult<Self> {
        let queue = Arc::new(JobQueue::new(QUEUED_JOBS_MAX));
        let threads = (0..count.max(1)).map(|number| {
            let (runner, queue) = (runner.clone(), queue.clone());
            let worker = thread::Builder::new().name(format!("metadata-commit-{number}"));
            worker
                .spawn(move || work(&*runner, &queue))
                .map_err(|error| KvError::Other(format!("starting a thread: {error}")))
        });
        let threads = threads.collect::<KvResult<Vec<_>>>().inspect_err(|_| queue.close())?;
        let thread_ids = threads.iter().map(|thread| thread.thread().id()).collect();
        Ok(Workers { queue, threads: Mutex::new(threads), thread_ids })
    }

    pub fn submit(&self, job: Box<dyn Job>) {
        if let Err(job) = self.queue.push(job) {
            job.done(Err(KvError::Unavailable("this client of the metadata store has been closed".into())));
        }
    }

    /// Waits until all that was submitted has ended. `false`: a worker asks, which can't wait for itself.
    pub fn close(&self) -> KvResult<bool> {
        self.queue.close();
        // The last handle of a client may be dropped by a job's `done`.
        if self.thread_ids.contains(&thread::current().id()) {
            return Ok(false);
        }
        // Held while waiting, so that a second closer returns no earlier than the first.
        let mut threads = self.threads.lock().expect("no panic under this lock");
        for thread in threads.drain(..) {
            thread.join().map_err(|_| KvError::Other("a worker of the metadata store panicked".into()))?;
        }
        Ok(true)
    }
}

fn work(runner: &impl Runner, queue: &JobQueue<Box<dyn Job>>) {
    mark_engine_thread();
    let (clock, mut jitter) = (SystemClock::default(), jitter());
    let mut batch = Vec::new();
    while queue.take(&mut batch, 1) {
        for mut job in batch.drain(..) {
            let outcome = runner.run(job.as_mut(), &clock, &mut jitter);
            job.done(outcome);
        }
    }
}

/// Of back-off: two threads, of whichever clients, must not retry in step.
pub fn jitter() -> Random {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    Random::new(RandomState::new().hash_one(NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// Jobs that may wait; more make their submitters wait.
const QUEUED_JOBS_MAX: usize = 65_536;
