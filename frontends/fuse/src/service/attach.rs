//! Brings a running volume and a mount together: one connection and one service on each shard.

use super::clone::OfferedSources;
use super::kernel_pages::PageForgetter;
use super::nodes::Nodes;
use super::passthrough::Passthrough;
use super::reopening::Reopening;
use super::{ServiceOptions, SharedByShards, VolumeService};
use crate::mount::Mounted;
use futures_util::task::AtomicWaker;
use shoal_client::Volume;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::task::Poll;

/// The loops of one mount, running on the volume's shards.
#[must_use = "the volume must not be stopped while its mount is served"]
pub struct Serving {
    ended: mpsc::Receiver<io::Result<()>>,
    shards: usize,
    stopper: Stopper,
}

/// Ends the loops of a mount although files are open on it. Requests that wait in the kernel fail when the mount is
/// dropped; those that were received are answered.
#[derive(Clone)]
pub struct Stopper(Arc<Stop>);

struct Stop {
    asked: AtomicBool,
    /// One a shard.
    wakers: Vec<AtomicWaker>,
}

/// Starts serving `mounted` from `volume`. Not for a shard's thread.
pub fn serve_volume(volume: &Volume, mounted: &Mounted, options: ServiceOptions) -> io::Result<Serving> {
    let shards = volume.count();
    let (report, ended) = mpsc::channel();
    let stopper = Stopper::new(shards);
    let nodes = Nodes { root: options.root };
    let kernel_pages = PageForgetter::new(mounted.notifier().downgrade(), nodes, options.writeback_cache);
    volume.set_kernel_pages(kernel_pages.clone());
    let passthrough = Passthrough::new(mounted).filter(|_| options.read_only);
    let shared = SharedByShards {
        interrupts: mounted.interrupts(),
        kernel_pages,
        offered_sources: Arc::new(OfferedSources::default()),
        reopening: Arc::new(Reopening::new()),
    };
    let rings = mounted.negotiated().over_io_uring;
    for (shard, connection) in mounted.connections(shards)?.into_iter().enumerate() {
        let (shared, notifier) = (shared.clone(), mounted.notifier());
        let passthrough = passthrough.clone();
        let report = report.clone();
        let stop = stopper.clone();
        volume.run(shard, move |local| {
            let interrupts = shared.interrupts.clone();
            let service = VolumeService::new(local.clone(), options, shared, notifier, passthrough);
            shoal_runtime::spawn(async move {
                let result = stop.ends(shard, connection.serve(service, interrupts)).await;
                if let Err(error) = &result {
                    tracing::error!(shard, %error, "a shard no longer serves the mount");
                    if rings {
                        // The kernel keeps requests in the queues of this shard; nobody else can answer them.
                        stop.stop();
                    }
                }
                // Nobody listens if the owner doesn't care how it ended.
                let _ = report.send(result);
            });
        });
    }
    Ok(Serving { ended, shards, stopper })
}

impl Stopper {
    fn new(shards: usize) -> Self {
        let wakers = (0..shards).map(|_| AtomicWaker::new()).collect();
        Stopper(Arc::new(Stop { asked: AtomicBool::new(false), wakers }))
    }

    /// On any thread. `Serving::wait` then returns.
    pub fn stop(&self) {
        self.0.asked.store(true, SeqCst);
        self.0.wakers.iter().for_each(AtomicWaker::wake);
    }

    /// The loop, for as long as nobody has asked to stop. It is dropped between two requests.
    async fn ends(&self, shard: usize, serving: impl Future<Output = io::Result<()>>) -> io::Result<()> {
        let mut serving = pin!(serving);
        poll_fn(|context| {
            // Registered before it is looked at: whoever asks after that wakes this task.
            self.0.wakers[shard].register(context.waker());
            match self.0.asked.load(SeqCst) {
                true => Poll::Ready(Ok(())),
                false => serving.as_mut().poll(context),
            }
        })
        .await
    }
}

impl Serving {
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Blocks until the mount is gone: unmounted, and its last file closed. An error is the first that ended a shard's
    /// loop before that; the other shards went on serving.
    pub fn wait(self) -> io::Result<()> {
        let stopped = || io::Error::other("a shard stopped while it served the mount");
        let mut outcome = Ok(());
        for _ in 0..self.shards {
            let result = self.ended.recv().unwrap_or_else(|_| Err(stopped()));
            outcome = outcome.and(result);
        }
        outcome
    }
}
