//! Shard threads: one per shard, pinned where there is a core for each, one ring in each.

use compio_driver::ProactorBuilder;
use compio_runtime::{Runtime, RuntimeBuilder};
use std::collections::HashSet;
use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::mpsc;
use std::thread::JoinHandle;

pub struct ShardThreads(Vec<JoinHandle<()>>);

/// Tasks that other threads have woken and that wait for their turn; far above the tasks a shard can have in flight,
/// because a waker on a foreign thread would have to wait for room.
const FOREIGN_WAKES_MAX: usize = 1 << 16;
const RING_ENTRIES: u32 = 1024;

/// Starts `count` shards; shard `i` runs the future that `body(i)` makes, and ends with it. `pin` binds shard `i` to
/// the `i`-th core this process may use, if there are enough. Returns once every ring exists.
///
/// A panic in a shard ends the process: a shard that finds itself wrong must not leave the others waiting for it.
pub fn shard_threads<F, Fut>(count: usize, pin: bool, body: F) -> io::Result<ShardThreads>
where
    F: Fn(usize) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let body = std::sync::Arc::new(body);
    let cores = usable_cores();
    let (ready, started) = mpsc::channel();
    let mut threads = Vec::with_capacity(count);
    for index in 0..count {
        let body = body.clone();
        let ready = ready.clone();
        let core = (pin && count <= cores.len()).then(|| cores[index]);
        let thread = std::thread::Builder::new().name(format!("shard-{index}")).spawn(move || {
            let runtime = match runtime(core) {
                Ok(runtime) => runtime,
                Err(error) => return ready.send(Err(error)).expect("the starter waits for every shard"),
            };
            ready.send(Ok(())).expect("the starter waits for every shard");
            let run = AssertUnwindSafe(|| runtime.block_on(body(index)));
            if std::panic::catch_unwind(run).is_err() {
                tracing::error!(shard = index, "a shard found itself wrong; the process ends");
                std::process::abort();
            }
        })?;
        threads.push(thread);
    }
    for _ in 0..count {
        started.recv().expect("every shard reports")?;
    }
    Ok(ShardThreads(threads))
}

impl ShardThreads {
    /// Waits until every shard's future has ended.
    pub fn join(self) {
        for thread in self.0 {
            // A panic has ended the process already.
            let _ = thread.join();
        }
    }
}

fn runtime(core: Option<usize>) -> io::Result<Runtime> {
    let mut proactor = ProactorBuilder::new();
    proactor.capacity(RING_ENTRIES);
    proactor.coop_taskrun(true);
    let mut builder = RuntimeBuilder::new();
    builder.with_proactor(proactor);
    builder.sync_queue_size(FOREIGN_WAKES_MAX);
    builder.thread_affinity(core.into_iter().collect::<HashSet<_>>());
    builder.build()
}

fn usable_cores() -> Vec<usize> {
    let set = rustix::thread::sched_getaffinity(None);
    match set {
        Ok(set) => (0..rustix::thread::CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect(),
        Err(_) => Vec::new(),
    }
}
