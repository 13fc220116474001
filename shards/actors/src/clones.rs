//! Clones that programs of this host have asked this mount for (`shoal clone`).
//!
//! A clone hangs by its **lifeline**: a file without a name that the program has open in the directory where the copy is to
//! appear. To have made it, one must be allowed to make names there; and when the program ends, whichever way, the file is
//! closed, and a clone that is not finished is given up. If it's the mount that ends, its session goes, and another mount
//! tidies up.
//!
//! The program drives: each call works for a while and tells how far it came. Steps are large transactions, so they run on
//! a thread that lives as long as the call, and never on a shard's.

use crate::limits;
use crate::message::Message;
use crate::shard::{Shard, explain};
use crate::shared::{Shared, now};
use futures_channel::oneshot;
use futures_util::future::join_all;
use shoal_kv::Durability;
use shoal_metadata::{
    BeginClone, Caller, CloneProgress, CloneRefusal, FillClone, FinishClone, LeaseInodes, MetaOp, MetaReply,
};
use shoal_types::{Errno, FsResult, Ino, Name};
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::Instant;

/// By lifeline. Asked by no path that reads, writes, looks up or creates.
#[derive(Default)]
pub(crate) struct Clones {
    jobs: Mutex<HashMap<Ino, Arc<Job>>>,
    /// How many there are: for whoever closes a file, without the lock.
    count: AtomicUsize,
}

struct Job {
    /// The copy's root.
    root: Ino,
    name: Name,
    caller: Caller,
    /// Held while somebody works on it.
    state: Mutex<State>,
    given_up: AtomicBool,
}

struct State {
    progress: CloneProgress,
    inodes: Range<u64>,
}

/// How far a clone has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CloneStatus {
    /// Names in the copy, and bytes of its files.
    pub entries: u64,
    pub bytes: u64,
    /// The copy has appeared.
    pub done: bool,
    /// Why it will never appear: what can't be copied, by its path from the volume's root.
    pub refusal: Option<(Errno, Vec<u8>)>,
}

impl Clones {
    /// The copy is being made by a program of this mount.
    pub fn is_live(&self, root: Ino) -> bool {
        self.jobs().values().any(|job| job.root == root)
    }

    fn insert(&self, lifeline: Ino, job: Job) -> FsResult<Arc<Job>> {
        let mut jobs = self.jobs();
        if jobs.contains_key(&lifeline) {
            return Err(Errno::EBUSY);
        }
        let job = Arc::new(job);
        jobs.insert(lifeline, job.clone());
        self.count.store(jobs.len(), SeqCst);
        Ok(job)
    }

    fn get(&self, lifeline: Ino) -> FsResult<Arc<Job>> {
        self.jobs().get(&lifeline).cloned().ok_or(Errno::EBADF)
    }

    fn take(&self, lifeline: Ino) -> Option<Arc<Job>> {
        let mut jobs = self.jobs();
        let job = jobs.remove(&lifeline);
        self.count.store(jobs.len(), SeqCst);
        job
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<Ino, Arc<Job>>> {
        self.jobs.lock().expect("no code panics while it holds this lock")
    }
}

impl Shard {
    /// Begins to copy `source`, to be named `name` in the directory in which `lifeline` was made. What this mount has
    /// buffered is committed first, so that it's part of the copy.
    ///
    /// Refusals are those of `BeginClone`; `EBUSY` for a lifeline that has a clone already, and whatever keeps buffered
    /// bytes from being committed.
    pub async fn begin_clone(
        self: &Rc<Self>,
        source: Ino,
        lifeline: Ino,
        name: &Name,
        caller: Caller,
    ) -> FsResult<CloneStatus> {
        let flush = |shard| self.ask(shard, |respond| Message::FlushFiles { respond });
        let flushed = join_all((0..self.count()).map(flush)).await;
        flushed.into_iter().collect::<FsResult<()>>()?;
        let root = self.next_inode(false).await?;
        let (session, now) = (self.shared.session, now());
        let begin =
            BeginClone { source, beside: lifeline, name: name.clone(), root, caller: caller.clone(), session, now };
        let progress =
            CloneProgress { parent: Ino(0), next_inode: 0, entries: 0, bytes: 0, filled: false, refusal: None };
        let state = Mutex::new(State { progress, inodes: 0..0 });
        // Known before it's in the store, or it would be taken for one that nobody is at work on.
        let job = Job { root, name: name.clone(), caller, state, given_up: AtomicBool::new(false) };
        let job = self.shared.clones.insert(lifeline, job)?;
        self.on_thread(move |shared| {
            let begun = shared.mutate_blocking(MetaOp::BeginClone(begin)).and_then(MetaReply::into_cloning);
            match begun {
                Ok(progress) => {
                    let mut state = job.state.lock().expect(UNPOISONED);
                    state.progress = progress;
                    Ok(state.status(shared))
                }
                Err(errno) => {
                    shared.give_up_clone(lifeline);
                    Err(errno)
                }
            }
        })
        .await
    }

    /// Goes on with a clone for a while. `appeared` is called, on a thread that may block, once the copy has its name. An error,
    /// as a refusal in the status, ends the clone. `EBADF` for a lifeline without a clone, `EBUSY` while another call works on
    /// it, `ECANCELED` for one that has been given up, otherwise as `FillClone` and `FinishClone`.
    pub async fn work_on_clone(
        self: &Rc<Self>,
        lifeline: Ino,
        appeared: impl FnOnce(Ino, &Name) + Send + 'static,
    ) -> FsResult<CloneStatus> {
        let job = self.shared.clones.get(lifeline)?;
        self.on_thread(move |shared| {
            let result = job.work(shared, appeared);
            let goes_on = match &result {
                Ok(status) => !status.done && status.refusal.is_none(),
                // Another call works on it.
                Err(errno) => *errno == Errno::EBUSY,
            };
            if !goes_on {
                shared.give_up_clone(lifeline);
            }
            result
        })
        .await
    }

    async fn on_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> FsResult<T> + Send + 'static,
    ) -> FsResult<T> {
        let (shared, (sender, receiver)) = (self.shared.clone(), oneshot::channel());
        let work = move || {
            // Nobody waits any more when the shard was stopped meanwhile.
            let _ = sender.send(work(&shared));
        };
        std::thread::Builder::new().name("clone".into()).spawn(work).map_err(Errno::from)?;
        receiver.await.unwrap_or(Err(Errno::EIO))
    }

    /// A file has been closed for the last time: if a clone hangs by it, that is given up, or it's done.
    pub fn give_up_clone(&self, lifeline: Ino) {
        if self.shared.clones.count.load(SeqCst) > 0 {
            self.shared.give_up_clone(lifeline);
        }
    }
}

impl Shared {
    /// The store is tidied up in the background.
    fn give_up_clone(&self, lifeline: Ino) {
        if let Some(job) = self.clones.take(lifeline) {
            job.given_up.store(true, SeqCst);
            self.want_maintenance();
        }
    }
}

impl Job {
    fn work(&self, shared: &Shared, appeared: impl FnOnce(Ino, &Name)) -> FsResult<CloneStatus> {
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::WouldBlock) => return Err(Errno::EBUSY),
            Err(TryLockError::Poisoned(_)) => panic!("{UNPOISONED}"),
        };
        let until = Instant::now() + limits::CLONE_WORK_TIME;
        while !state.progress.filled && state.progress.refusal.is_none() {
            if self.given_up.load(SeqCst) {
                return Err(Errno::ECANCELED);
            }
            self.fill(shared, &mut state)?;
            if Instant::now() >= until {
                return Ok(state.status(shared));
            }
        }
        let mut status = state.status(shared);
        if status.refusal.is_none() {
            self.finish(shared, state.progress.parent)?;
            status.done = true;
            appeared(state.progress.parent, &self.name);
        }
        Ok(status)
    }

    fn fill(&self, shared: &Shared, state: &mut State) -> FsResult<()> {
        let session = shared.session;
        if state.inodes.end - state.inodes.start < FillClone::INODES {
            let lease = LeaseInodes { count: limits::CLONE_INODE_LEASE, session };
            state.inodes = shared.mutate_blocking(MetaOp::LeaseInodes(lease))?.into_leased()?;
        }
        let inodes = state.inodes.start..state.inodes.start + FillClone::INODES;
        let fill = FillClone { clone: self.root, caller: self.caller.clone(), inodes, session, now: now() };
        state.progress = shared.mutate_blocking(MetaOp::FillClone(fill))?.into_cloning()?;
        state.inodes.start = state.progress.next_inode;
        Ok(())
    }

    fn finish(&self, shared: &Shared, parent: Ino) -> FsResult<()> {
        let (clone, name, session) = (self.root, self.name.clone(), shared.session);
        let finish = FinishClone { clone, parent, name, session, now: now() };
        shared.mutate_blocking(MetaOp::FinishClone(finish)).map(drop)
    }
}

impl State {
    fn status(&self, shared: &Shared) -> CloneStatus {
        let CloneProgress { entries, bytes, ref refusal, .. } = self.progress;
        let refusal = refusal.as_ref().map(|refusal| (refusal.errno, path(shared, refusal)));
        CloneStatus { entries, bytes, done: false, refusal }
    }
}

/// Of what can't be copied; the name alone where its directory has none any more.
fn path(shared: &Shared, refusal: &CloneRefusal) -> Vec<u8> {
    let CloneRefusal { directory, name, .. } = refusal;
    let mut path = shared.metadata.path_of(*directory).unwrap_or_default();
    if !path.ends_with(b"/") && !path.is_empty() {
        path.push(b'/');
    }
    [&path, name.as_slice()].concat()
}

const UNPOISONED: &str = "no code panics while it works on a clone";

impl Shared {
    /// As `Shard::mutate`, on a thread that may wait.
    fn mutate_blocking(&self, operation: MetaOp) -> FsResult<MetaReply> {
        if self.is_fenced() {
            return Err(Errno::ESTALE);
        }
        let touched = crate::touched::Touched::of(&operation);
        touched.announce(&self.whole);
        let result = self.metadata.run(operation, Durability::Visible);
        touched.raise(&self.stamps, result.as_ref().ok());
        result.map_err(|error| {
            let errno = explain(&error, "cloning in");
            if errno == Errno::ESTALE {
                self.fence();
            }
            errno
        })
    }
}
