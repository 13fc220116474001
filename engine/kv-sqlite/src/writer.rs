//! The writer: group commit, on the thread of whoever submits or on one of its own.
//!
//! A group is one immediate transaction: each job's body runs over what the jobs before it have written, and the net
//! result is applied in key order before one COMMIT. A counter that all jobs of a group change is one row write, and
//! nothing needs validating: nobody else writes while SQLite's lock is held, and it is never held while the queue is
//! empty. A job that fails or aborts leaves its own buffer behind and nothing else, so there is nothing to roll back but
//! the whole group.
//!
//! Every job, also a refusing one, is told its end only after COMMIT: what it saw may have been its neighbour's writes,
//! which are true only from then on. If COMMIT fails, all jobs of the group are told so, and none has happened.
//!
//! # Who runs it
//!
//! A commit takes less time than waking a thread and being woken by it. So who submits a job while nobody writes runs it
//! in place ([`serve_here`]); jobs that come meanwhile are left to the engine's thread, which then goes on group after
//! group for as long as there are any, and needs no waking in between. In place nothing is waited for: where another
//! process holds SQLite's lock, and where the WAL has grown too long, the thread takes over. No job is forgotten in
//! the queue: whoever has held the writer looks at the queue once more after letting it go, and calls the thread.

use crate::Shared;
use crate::checkpoint;
use crate::error::translate;
use crate::hot_values::HotValues;
use crate::limits::{GROUP_BYTES_MAX, GROUP_JOBS_MAX, LOCK_WAIT_MAX};
use crate::open::{open_checkpointer, wait_for_locks};
use crate::place::Place;
use crate::reader::{SmallReader, read_on};
use crate::syncer;
use crate::transaction::{GroupView, apply, data_version, last_stamp};
use rusqlite::{Connection, ErrorCode};
use shoal_kv::limits::STAMP_BYTES;
use shoal_kv::{
    Attempt, BufferedTransaction, Durability, EngineScope, Event, Job, KvError, KvResult, Reader, Verdict, WriteBuffer,
    mark_engine_thread, run_body,
};
use std::cell::Cell;
use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::thread::{self, JoinHandle};

pub(crate) struct Submitted {
    pub job: Box<dyn Job>,
    pub durability: Durability,
}

/// Where the writer stands while nobody writes. Empty for ever after closing.
pub(crate) struct WriterPlace {
    place: Place<Writer>,
    /// Threads that wait for the writer, and where.
    wanted: AtomicUsize,
    returned: Event,
}

/// The writer in one's hands. It goes back to its place with this.
pub(crate) struct Taken<'a> {
    writer: Option<Box<Writer>>,
    from: &'a WriterPlace,
}

impl WriterPlace {
    pub fn new(writer: Writer) -> Self {
        WriterPlace { place: Place::of(Box::new(writer)), wanted: AtomicUsize::new(0), returned: Event::default() }
    }

    /// The writer, if it is there and no thread waits for it.
    pub fn try_take(&self) -> Option<Taken<'_>> {
        if self.wanted.load(SeqCst) > 0 { None } else { self.take_now() }
    }

    /// Waits for the writer: for the engine's threads, which have ended before it is taken away for ever.
    pub fn take(&self) -> Taken<'_> {
        let mut taken = None;
        self.wanted.fetch_add(1, SeqCst);
        self.returned.wait_until(|| {
            taken = self.take_now();
            taken.is_some()
        });
        self.wanted.fetch_sub(1, SeqCst);
        taken.expect("waited for")
    }

    fn take_now(&self) -> Option<Taken<'_>> {
        self.place.take().map(|writer| Taken { writer: Some(writer), from: self })
    }
}

impl Taken<'_> {
    /// Not to come back.
    fn keep(mut self) -> Box<Writer> {
        self.writer.take().expect(TAKEN)
    }
}

impl Deref for Taken<'_> {
    type Target = Writer;

    fn deref(&self) -> &Writer {
        self.writer.as_ref().expect(TAKEN)
    }
}

impl DerefMut for Taken<'_> {
    fn deref_mut(&mut self) -> &mut Writer {
        self.writer.as_mut().expect(TAKEN)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            let put = self.from.place.put(writer);
            assert!(put.is_ok(), "there is one writer only");
            self.from.returned.notify_one();
        }
    }
}

/// Runs what is queued here and now if nobody writes; otherwise whoever does will see to it.
pub(crate) fn serve_here(shared: &Shared) {
    if shared.checkpoints.must_wait() {
        return shared.jobs.wake();
    }
    let Some(mut writer) = shared.writer.try_take() else { return };
    // What `done` submits is queued, and a handle that it drops waits for nothing.
    let _scope = EngineScope::enter();
    writer.run_group(shared, Patience::None);
    let_go(shared, writer);
}

/// The end of having the writer: what came meanwhile, or is left, is the thread's.
pub(crate) fn let_go(shared: &Shared, writer: Taken<'_>) {
    let left = !writer.taken.is_empty();
    drop(writer);
    // The queue is looked at after the writer is back: who queued a job and then found no writer is seen here.
    if left || !shared.jobs.is_empty() {
        shared.jobs.wake();
    }
}

/// A small read on the writer's connection, if nobody writes. `false`: it has to be made elsewhere, from the start, be it
/// that the writer was busy, the read not small, or anything wrong.
pub(crate) fn read_here(shared: &Shared, body: &mut dyn FnMut(&mut dyn Reader) -> KvResult<()>) -> bool {
    let Some(writer) = shared.writer.try_take() else { return false };
    let mut exceeded = false;
    let mut small = |reader: &mut dyn Reader| body(&mut SmallReader::new(reader, &mut exceeded));
    let result = catch_unwind(AssertUnwindSafe(|| read_on(&writer.connection, &shared.path, &mut small)));
    // A body that panics leaves its transaction behind.
    writer.roll_back();
    let_go(shared, writer);
    match result {
        Ok(result) => result.is_ok() && !exceeded,
        Err(panic) => resume_unwind(panic),
    }
}

/// Starts the engine's thread and, below it, the checkpointer and the syncer. It ends after the job queue is closed and
/// served.
pub(crate) fn start(shared: Arc<Shared>) -> KvResult<JoinHandle<()>> {
    let path = shared.path.clone();
    let checkpoints = open_checkpointer(&path)?;
    let no_thread = |error: std::io::Error| KvError::Unavailable(format!("{}: starting: {error}", path.display()));
    let syncing = shared.clone();
    let syncer = thread::Builder::new()
        .name("sqlite-syncer".into())
        .spawn(move || syncer::run(&syncing.syncs, syncer::WalFile::of(&syncing.path)))
        .map_err(no_thread)?;
    let copying = shared.clone();
    let checkpointer = thread::Builder::new()
        .name("sqlite-checkpointer".into())
        .spawn(move || checkpoint::run(&copying, &checkpoints))
        .map_err(no_thread);
    let helpers_of = shared.clone();
    let writer = checkpointer.and_then(|checkpointer| {
        let serving = move || {
            serve(&shared);
            shared.checkpoints.end();
            let copied = checkpointer.join();
            let writer = shared.writer.take().keep();
            shared.syncs.close();
            let synced = syncer.join();
            // Readers first, so that the last connection to go is one that may fold the WAL back and remove it.
            shared.readers.close();
            fold_back(&writer.connection);
            drop(writer);
            copied.expect("the checkpointer runs no code of others");
            synced.expect("the syncer runs no code of others but `done`, which must not panic");
        };
        thread::Builder::new().name("sqlite-writer".into()).spawn(serving).map_err(no_thread)
    });
    if writer.is_err() {
        helpers_of.checkpoints.end();
        helpers_of.syncs.close();
    }
    writer
}

fn serve(shared: &Shared) {
    mark_engine_thread();
    while shared.jobs.wait() {
        shared.checkpoints.wait();
        let mut writer = shared.writer.take();
        while writer.has_work(shared) && !shared.checkpoints.must_wait() {
            writer.run_group(shared, Patience::Full);
        }
        let_go(shared, writer);
    }
}

/// Best effort: another process may be reading or writing, and then its own close will do it.
fn fold_back(connection: &Connection) {
    let no_waiting = wait_for_locks(connection, false);
    let folded = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()));
    let _ = no_waiting.and(folded);
}

pub(crate) struct Writer {
    connection: Connection,
    /// What the connection does when it finds the database locked.
    waits: bool,
    hot: HotValues,
    /// Under which `hot` is true.
    data_version: Option<i64>,
    /// Jobs off the queue that have not run: a group may end before it has run all that were taken for it.
    taken: VecDeque<Submitted>,
    /// One for each job of the group, in order. Kept for its allocation.
    outcomes: Vec<KvResult<Verdict>>,
}

/// Whether to wait for other processes that write.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    None,
    Full,
}

/// How an attempt to begin a group ended.
enum Begun {
    Yes,
    /// Another process writes, and there was no patience to wait for it.
    Busy,
}

/// The writes of a group's jobs so far.
#[derive(Default)]
struct Group {
    writes: WriteBuffer,
    bytes: usize,
    /// The last stamp given out, once one was needed.
    stamp: Option<u64>,
}

thread_local! {
    /// Pages in the WAL after this thread's last commit.
    static WAL_PAGES: Cell<i64> = const { Cell::new(0) };
}

impl Writer {
    /// `connection` has waited for locks so far.
    pub fn new(connection: Connection) -> Self {
        connection.wal_hook(Some(|_, pages| {
            WAL_PAGES.set(pages.into());
            Ok(())
        }));
        Writer {
            connection,
            waits: true,
            hot: HotValues::default(),
            data_version: None,
            taken: VecDeque::new(),
            outcomes: Vec::new(),
        }
    }

    fn has_work(&self, shared: &Shared) -> bool {
        !self.taken.is_empty() || !shared.jobs.is_empty()
    }

    /// Runs as many waiting jobs as make a group, and tells each its end. Without patience there may be nothing done.
    fn run_group(&mut self, shared: &Shared, patience: Patience) {
        let begun = self.begin(shared, patience);
        if matches!(begun, Ok(Begun::Busy)) {
            return;
        }
        // Taken only now: what came while we waited for the lock belongs to the group as well.
        let room = GROUP_JOBS_MAX.saturating_sub(self.taken.len());
        shared.jobs.take_now(&mut self.taken, room);
        self.outcomes.clear();
        match begun {
            Ok(_) => {
                let group = self.run_jobs(shared);
                if let Err(error) = self.commit(shared, group) {
                    // Those that had failed by themselves keep their own reason.
                    let survivors = self.outcomes.iter_mut().filter(|outcome| outcome.is_ok());
                    survivors.for_each(|outcome| *outcome = Err(error.clone()));
                }
            }
            // All that wait here have waited for as long as is allowed.
            Err(error) => self.outcomes.resize(self.taken.len(), Err(error)),
        }
        for (submitted, outcome) in self.taken.drain(..self.outcomes.len()).zip(self.outcomes.drain(..)) {
            finish(shared, submitted, outcome);
        }
    }

    fn begin(&mut self, shared: &Shared, patience: Patience) -> KvResult<Begun> {
        // Whoever writes one group after another would win every race for SQLite's lock, which is polled: so those who do
        // not get it queue up at a turnstile of our own, and nobody passes by while they do.
        if shared.epoch.anyone_waits() || !self.begin_immediate(shared, false)? {
            if patience == Patience::None {
                return Ok(Begun::Busy);
            }
            let _turn = shared.epoch.take_turn(LOCK_WAIT_MAX)?;
            self.begin_immediate(shared, true)?;
        }
        match data_version(&self.connection) {
            Ok(version) => {
                if self.data_version.replace(version) != Some(version) {
                    self.hot.clear();
                }
                Ok(Begun::Yes)
            }
            Err(error) => {
                self.roll_back();
                Err(failed(shared, "beginning", error))
            }
        }
    }

    /// `false`: another process writes, and was not to be waited for.
    fn begin_immediate(&mut self, shared: &Shared, wait: bool) -> KvResult<bool> {
        let mut begin = || {
            if self.waits != wait {
                wait_for_locks(&self.connection, wait)?;
                self.waits = wait;
            }
            self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute(())
        };
        match begin() {
            Ok(_) => Ok(true),
            Err(error) if !wait && error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(false),
            Err(error) => Err(failed(shared, "waiting to write", error)),
        }
    }

    fn run_jobs(&mut self, shared: &Shared) -> Group {
        let mut group = Group::default();
        let mut taken = std::mem::take(&mut self.taken);
        for submitted in &mut taken {
            let outcome = self.run_job(shared, submitted.job.as_mut(), &mut group);
            self.outcomes.push(outcome);
            if group.bytes > GROUP_BYTES_MAX {
                break;
            }
        }
        self.taken = taken;
        group
    }

    fn run_job(&mut self, shared: &Shared, job: &mut dyn Job, group: &mut Group) -> KvResult<Verdict> {
        let Writer { connection, hot, .. } = self;
        let below = GroupView { group: &group.writes, hot, connection, path: &shared.path };
        let mut transaction = BufferedTransaction::exclusive(below);
        // Nothing can conflict here, so the first attempt is the only one.
        let verdict = run_body(job, &mut transaction, Attempt { number: 0, maybe_committed: false })?;
        let (mut below, mut writes, _) = transaction.finish()?;
        if verdict == Verdict::Abort || writes.is_empty() {
            return Ok(verdict);
        }
        // All that can fail comes before the group is touched.
        writes.settle(&mut below)?;
        let stamp = if writes.needs_stamp() { Some(self.next_stamp(shared, group)?) } else { None };
        group.bytes += writes.bytes();
        group.writes.absorb(writes, stamp);
        Ok(verdict)
    }

    /// Its first 8 bytes count the stamped transactions of the database; the last two stay free.
    fn next_stamp(&self, shared: &Shared, group: &mut Group) -> KvResult<[u8; STAMP_BYTES]> {
        let last = match group.stamp {
            Some(last) => last,
            None => last_stamp(&self.connection).map_err(|error| failed(shared, "reading the last stamp", error))?,
        };
        group.stamp = Some(last + 1);
        let mut stamp = [0; STAMP_BYTES];
        stamp[..8].copy_from_slice(&(last + 1).to_be_bytes());
        Ok(stamp)
    }

    fn commit(&mut self, shared: &Shared, group: Group) -> KvResult<()> {
        let Group { writes, stamp, .. } = group;
        if writes.is_empty() {
            self.roll_back();
            return Ok(());
        }
        let writes = writes.into_parts();
        let applied = apply(&self.connection, &writes, stamp).map_err(|error| failed(shared, "writing", error));
        let committed = applied.and_then(|()| {
            let _counted = shared.epoch.commit_begins();
            let committed = self.connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute(()));
            committed.map(drop).map_err(|error| failed(shared, "committing", error))
        });
        if committed.is_err() {
            self.roll_back();
        } else {
            shared.commits.fetch_add(1, Relaxed);
            self.hot.follow(writes);
            shared.checkpoints.follow(WAL_PAGES.get());
        }
        committed
    }

    /// SQLite rolls back by itself after some errors; asking again is then an error of no consequence. Were the
    /// transaction still open after this, the next BEGIN would fail and say so.
    fn roll_back(&self) {
        if !self.connection.is_autocommit() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }
}

fn failed(shared: &Shared, doing: &str, error: rusqlite::Error) -> KvError {
    translate(&shared.path, doing, error)
}

fn finish(shared: &Shared, submitted: Submitted, outcome: KvResult<Verdict>) {
    let Submitted { job, durability } = submitted;
    // Also a durable job that wrote nothing is synced: it promises for all commits before it.
    if durability == Durability::Durable && outcome == Ok(Verdict::Commit) {
        let refused = shared.syncs.push_downstream(job);
        assert!(refused.is_ok(), "the writer itself closes this queue, after its last group");
    } else {
        job.done(outcome);
    }
}

const TAKEN: &str = "the writer is in these hands until they are dropped";
