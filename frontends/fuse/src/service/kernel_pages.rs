//! Making the kernel forget the pages of a file, or a name.
//!
//! The kernel waits for pages that are being read or written, or for the lock of a directory that somebody is changing, and
//! those wait for a shard. So it's told on threads of its
//! own, started when they are needed: one that waits for a slow store does not keep others from their locks.

use super::nodes::Nodes;
use crate::notifier::{Notifier, WeakNotifier};
use futures_channel::oneshot;
use shoal_client::KernelPages;
use shoal_types::{Ino, Name};
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// Ends its threads when it's dropped.
pub(super) struct PageForgetter {
    pool: Arc<Pool>,
    keep_writes: bool,
}

struct Pool {
    /// Weak: the connection must not live on because locks could be asked for.
    notifier: WeakNotifier,
    nodes: Nodes,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Those that nobody waits for; each once, so never more than there are files open.
    stale: BTreeSet<Ino>,
    threads: usize,
    idle: usize,
    ended: bool,
}

struct Job {
    what: What,
    done: Box<dyn FnOnce() + Send>,
}

enum What {
    Pages(Ino),
    Entry(Ino, Name),
    /// What is open below it stays usable.
    ExpiredEntry(Ino, Name),
}

const THREADS_MAX: usize = 8;

impl PageForgetter {
    pub fn new(notifier: WeakNotifier, nodes: Nodes, keep_writes: bool) -> Arc<Self> {
        let (state, changed) = (Mutex::default(), Condvar::new());
        Arc::new(PageForgetter { pool: Arc::new(Pool { notifier, nodes, state, changed }), keep_writes })
    }

    /// Of a file whose pages a request has made wrong: to be called after the answer to it. Must not block.
    pub fn forget_soon(&self, ino: Ino) {
        let mut state = self.pool.state();
        state.stale.insert(ino);
        self.hand_out(state);
    }

    /// When this returns, whoever looks for the name asks us.
    pub async fn forget_entry(&self, parent: Ino, name: &Name) {
        let (sender, receiver) = oneshot::channel();
        let done = Box::new(move || {
            // Nobody waits any more when the mount ends meanwhile.
            let _ = sender.send(());
        });
        self.queue(Job { what: What::Entry(parent, name.clone()), done });
        // The threads that are left at the end of a mount are done with all jobs first.
        let _ = receiver.await;
    }

    fn queue(&self, job: Job) {
        let mut state = self.pool.state();
        state.jobs.push_back(job);
        self.hand_out(state);
    }

    fn hand_out(&self, mut state: MutexGuard<'_, State>) {
        if state.idle < state.jobs.len() + state.stale.len() && state.threads < THREADS_MAX {
            let pool = self.pool.clone();
            match std::thread::Builder::new().name("page-forgetter".into()).spawn(move || pool.work()) {
                Ok(_) => state.threads += 1,
                Err(error) => tracing::warn!(%error, threads = state.threads, "starting a thread"),
            }
        }
        self.pool.changed.notify_one();
    }
}

impl KernelPages for PageForgetter {
    fn forget(&self, ino: Ino, done: Box<dyn FnOnce() + Send>) {
        self.queue(Job { what: What::Pages(ino), done });
    }

    fn forget_attributes(&self, ino: Ino) {
        self.pool.tell(ino, Notifier::invalidate_attributes);
    }

    fn forget_entry(&self, parent: Ino, name: Name) {
        self.queue(Job { what: What::ExpiredEntry(parent, name), done: Box::new(|| ()) });
    }

    fn keep_writes(&self) -> bool {
        self.keep_writes
    }
}

impl Drop for PageForgetter {
    fn drop(&mut self) {
        self.pool.state().ended = true;
        self.pool.changed.notify_all();
    }
}

impl Pool {
    fn work(&self) {
        while let Some(Job { what, done }) = self.next() {
            self.forget(&what);
            done();
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.state();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if let Some(ino) = state.stale.pop_first() {
                return Some(Job { what: What::Pages(ino), done: Box::new(|| ()) });
            }
            if state.ended {
                return None;
            }
            state.idle += 1;
            state = self.changed.wait(state).expect(UNPOISONED);
            state.idle -= 1;
        }
    }

    fn forget(&self, what: &What) {
        match what {
            What::Pages(ino) => self.tell(*ino, Notifier::invalidate_inode),
            What::Entry(parent, name) => {
                self.tell(*parent, |notifier, node| notifier.invalidate_entry(node, name.as_bytes()));
            }
            What::ExpiredEntry(parent, name) => {
                self.tell(*parent, |notifier, node| notifier.expire_entry(node, name.as_bytes()));
            }
        }
    }

    fn tell(&self, ino: Ino, tell: impl FnOnce(&Notifier, u64) -> io::Result<()>) {
        // Nothing is cached of a mount that is gone, or of an inode above its root.
        let (Some(notifier), Ok(node)) = (self.notifier.upgrade(), self.nodes.node(ino)) else { return };
        if let Err(error) = tell(&notifier, node) {
            tracing::warn!(%ino, %error, "the kernel has not forgotten what it knows of a file, or a name");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect(UNPOISONED)
    }
}

const UNPOISONED: &str = "no code panics while it holds this lock";
