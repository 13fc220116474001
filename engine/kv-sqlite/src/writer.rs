//! The writer thread: group commit.
//!
//! It drains its queue, opens one immediate transaction, runs each job's body over what the jobs before it have written,
//! and applies the net result in key order before one COMMIT. A counter that all jobs of a group change is one row write,
//! and nothing needs validating: nobody else writes while the lock is held, and it is never held while the queue is
//! empty. A job that fails or aborts leaves its own buffer behind and nothing else, so there is nothing to roll back but
//! the whole group.
//!
//! Every job, also a refusing one, is told its end only after COMMIT: what it saw may have been its neighbour's writes,
//! which are true only from then on. If COMMIT fails, all jobs of the group are told so, and none has happened.

use crate::Shared;
use crate::error::translate;
use crate::hot_values::HotValues;
use crate::limits::{GROUP_BYTES_MAX, GROUP_JOBS_MAX, LOCK_WAIT_MAX};
use crate::syncer;
use crate::transaction::{GroupView, ReadStatements, WriteStatements};
use rusqlite::Connection;
use shoal_kv::limits::STAMP_BYTES;
use shoal_kv::{
    Attempt, BufferedTransaction, Durability, Job, KvError, KvResult, Verdict, WriteBuffer, mark_engine_thread,
    run_body,
};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::thread::{self, JoinHandle, ThreadId};

pub(crate) struct Submitted {
    pub job: Box<dyn Job>,
    pub durability: Durability,
}

/// Starts the writer and, below it, the syncer. The writer ends after the job queue is closed and served.
pub(crate) fn start(shared: Arc<Shared>, connection: Connection) -> KvResult<(JoinHandle<()>, [ThreadId; 2])> {
    let path = shared.path.clone();
    let no_thread = |error: std::io::Error| KvError::Unavailable(format!("{}: starting: {error}", path.display()));
    let syncing = shared.clone();
    let syncer = thread::Builder::new()
        .name("sqlite-syncer".into())
        .spawn(move || syncer::run(&syncing.syncs, syncer::WalFile::of(&syncing.path)))
        .map_err(no_thread)?;
    let syncer_id = syncer.thread().id();
    let syncs_of = shared.clone();
    let (ready, started) = sync_channel(1);
    let writer = thread::Builder::new().name("sqlite-writer".into()).spawn(move || {
        serve(&shared, &connection, |outcome| ready.send(outcome).expect("the opener waits for this"));
        shared.syncs.close();
        let synced = syncer.join();
        // Readers first, so that the last connection to go is one that may fold the WAL back and remove it.
        shared.readers.close();
        fold_back(&connection);
        drop(connection);
        synced.expect("the syncer runs no code of others but `done`, which must not panic");
    });
    let writer = writer.map_err(|error| {
        syncs_of.syncs.close();
        no_thread(error)
    })?;
    started.recv().expect("the writer reports before it serves")?;
    let writer_id = writer.thread().id();
    Ok((writer, [writer_id, syncer_id]))
}

fn serve(shared: &Shared, connection: &Connection, ready: impl FnOnce(KvResult<()>)) {
    mark_engine_thread();
    let prepared = ReadStatements::prepare(connection)
        .and_then(|reads| Ok((reads, WriteStatements::prepare(connection)?)))
        .map_err(|error| translate(&shared.path, "preparing", error));
    let (reads, writes) = match prepared {
        Ok(statements) => statements,
        Err(error) => return ready(Err(error)),
    };
    ready(Ok(()));
    let mut writer = Writer {
        shared,
        connection,
        reads,
        writes,
        hot: HotValues::default(),
        data_version: None,
        outcomes: Vec::new(),
    };
    let mut jobs = Vec::with_capacity(GROUP_JOBS_MAX);
    while shared.jobs.take(&mut jobs, GROUP_JOBS_MAX) {
        while !jobs.is_empty() {
            writer.run_group(&mut jobs);
        }
    }
}

/// Best effort: another process may be reading or writing, and then its own close will do it.
fn fold_back(connection: &Connection) {
    let no_waiting = connection.busy_handler(None);
    let folded = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()));
    let _ = no_waiting.and(folded);
}

struct Writer<'c> {
    shared: &'c Shared,
    connection: &'c Connection,
    reads: ReadStatements<'c>,
    writes: WriteStatements<'c>,
    hot: HotValues,
    /// Under which `hot` is true.
    data_version: Option<i64>,
    /// One for each job of the group, in order. Kept for its allocation.
    outcomes: Vec<KvResult<Verdict>>,
}

/// The writes of a group's jobs so far.
#[derive(Default)]
struct Group {
    writes: WriteBuffer,
    bytes: usize,
    /// The last stamp given out, once one was needed.
    stamp: Option<u64>,
}

impl Writer<'_> {
    /// Takes as many jobs from the front as make a group, and tells each its end.
    fn run_group(&mut self, jobs: &mut Vec<Submitted>) {
        self.outcomes.clear();
        match self.begin() {
            Ok(()) => {
                let group = self.run_jobs(jobs);
                if let Err(error) = self.commit(group) {
                    // Those that had failed by themselves keep their own reason.
                    let survivors = self.outcomes.iter_mut().filter(|outcome| outcome.is_ok());
                    survivors.for_each(|outcome| *outcome = Err(error.clone()));
                }
            }
            // All that wait here have waited for as long as is allowed.
            Err(error) => self.outcomes.resize(jobs.len(), Err(error)),
        }
        for (submitted, outcome) in jobs.drain(..self.outcomes.len()).zip(self.outcomes.drain(..)) {
            finish(self.shared, submitted, outcome);
        }
    }

    fn begin(&mut self) -> KvResult<()> {
        // Whoever writes one group after another would win every race for SQLite's lock, which is polled: so writers
        // queue up at a turnstile of our own, and hold it only while they wait.
        let turn = self.shared.epoch.take_turn(LOCK_WAIT_MAX)?;
        let begun = self.writes.begin();
        drop(turn);
        begun.map_err(|error| self.failed("waiting to write", error))?;
        match self.writes.data_version() {
            Ok(version) => {
                if self.data_version.replace(version) != Some(version) {
                    self.hot.clear();
                }
                Ok(())
            }
            Err(error) => {
                self.roll_back();
                Err(self.failed("beginning", error))
            }
        }
    }

    fn run_jobs(&mut self, jobs: &mut [Submitted]) -> Group {
        let mut group = Group::default();
        for submitted in jobs {
            let outcome = self.run_job(submitted.job.as_mut(), &mut group);
            self.outcomes.push(outcome);
            if group.bytes > GROUP_BYTES_MAX {
                break;
            }
        }
        group
    }

    fn run_job(&mut self, job: &mut dyn Job, group: &mut Group) -> KvResult<Verdict> {
        let below = GroupView {
            group: &group.writes,
            hot: &mut self.hot,
            statements: &mut self.reads,
            path: &self.shared.path,
        };
        let mut transaction = BufferedTransaction::exclusive(below);
        // Nothing can conflict here, so the first attempt is the only one.
        let verdict = run_body(job, &mut transaction, Attempt { number: 0, maybe_committed: false })?;
        let (mut below, mut writes, _) = transaction.finish()?;
        if verdict == Verdict::Abort || writes.is_empty() {
            return Ok(verdict);
        }
        // All that can fail comes before the group is touched.
        writes.settle(&mut below)?;
        let stamp = if writes.needs_stamp() { Some(self.next_stamp(group)?) } else { None };
        group.bytes += writes.bytes();
        group.writes.absorb(writes, stamp);
        Ok(verdict)
    }

    /// Its first 8 bytes count the stamped transactions of the database; the last two stay free.
    fn next_stamp(&mut self, group: &mut Group) -> KvResult<[u8; STAMP_BYTES]> {
        let last = match group.stamp {
            Some(last) => last,
            None => self.writes.last_stamp().map_err(|error| self.failed("reading the last stamp", error))?,
        };
        group.stamp = Some(last + 1);
        let mut stamp = [0; STAMP_BYTES];
        stamp[..8].copy_from_slice(&(last + 1).to_be_bytes());
        Ok(stamp)
    }

    fn commit(&mut self, group: Group) -> KvResult<()> {
        let Group { writes, stamp, .. } = group;
        if writes.is_empty() {
            self.roll_back();
            return Ok(());
        }
        let writes = writes.into_parts();
        let applied = self.writes.apply(&writes, stamp).map_err(|error| self.failed("writing", error));
        let committed = applied.and_then(|()| {
            let _counted = self.shared.epoch.commit_begins();
            self.writes.commit().map_err(|error| self.failed("committing", error))
        });
        if committed.is_err() {
            self.roll_back();
        } else {
            self.shared.commits.fetch_add(1, Ordering::Relaxed);
            self.hot.follow(writes);
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

    fn failed(&self, doing: &str, error: rusqlite::Error) -> KvError {
        translate(&self.shared.path, doing, error)
    }
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
