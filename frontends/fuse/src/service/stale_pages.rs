//! Files of which the kernel holds pages that are wrong: it is told so from a thread of its own.
//!
//! Telling waits for the locks of the pages, which a request in flight may hold until some shard has answered it.

use crate::notifier::Notifier;
use std::collections::BTreeSet;
use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

/// Cheap to clone; the thread ends with the last of them.
#[derive(Clone)]
pub(super) struct StalePages {
    /// Each once, so never more than there are files open.
    nodes: Arc<Mutex<BTreeSet<u64>>>,
    wake: SyncSender<()>,
}

impl StalePages {
    pub fn start(notifier: Notifier) -> io::Result<Self> {
        let (wake, woken) = sync_channel(1);
        let nodes = Arc::new(Mutex::new(BTreeSet::new()));
        let stale = nodes.clone();
        let work = move || {
            for () in woken {
                let nodes = std::mem::take(&mut *stale.lock().expect("no panic under this lock"));
                nodes.into_iter().for_each(|node| tell(&notifier, node));
            }
        };
        std::thread::Builder::new().name("stale-pages".into()).spawn(work)?;
        Ok(StalePages { nodes, wake })
    }

    /// To be called after the answer to the request that made them wrong.
    pub fn forget(&self, node: u64) {
        self.nodes.lock().expect("no panic under this lock").insert(node);
        // One that is full means that the thread has yet to look.
        let _ = self.wake.try_send(());
    }
}

fn tell(notifier: &Notifier, node: u64) {
    if let Err(error) = notifier.invalidate_inode(node) {
        // The mount is gone, and its pages with it.
        tracing::debug!(%error, node, "the kernel was not told of stale pages");
    }
}
