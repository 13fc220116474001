//! The checkpointer thread: copies the WAL back into the database, so that it can be begun anew, while the writer goes on.
//!
//! Nearly all the time of a checkpoint is its two syncs. So the long WAL is copied back beside the writer, on a connection
//! of this thread's own; a shorter one has grown meanwhile, and is copied back in the same way. What is short enough is
//! then copied back with the writer in hand: only a WAL that has been copied to its last frame is begun anew, which the
//! next commit does. Power loss is SQLite's business here: see `syncer` on what a checkpoint syncs before what.
//!
//! A reader with an old snapshot, ours or another process's, keeps the WAL from being copied to its end or begun anew.
//! Then it grows, and the next attempt comes after a while. A writer that outruns the copying waits
//! ([`Checkpoints::must_wait`]).

use crate::Shared;
use crate::limits::{
    CHECKPOINT_AGAIN_PAGES, CHECKPOINT_LAG_PAGES_MAX, CHECKPOINT_PAGES, CHECKPOINT_PASSES_MAX, CHECKPOINT_REST_PAGES,
};
use crate::writer;
use rusqlite::Connection;
use shoal_kv::Event;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicI64};

/// How long the WAL is, and what is to be done about it.
pub(crate) struct Checkpoints {
    /// Pages in the WAL after the last commit.
    wal_pages: AtomicI64,
    /// At how many the next checkpoint is due.
    due_at: AtomicI64,
    ended: AtomicBool,
    /// The checkpointer waits here for work, the writer's thread for a shorter WAL.
    due: Event,
    eased: Event,
}

impl Checkpoints {
    pub fn new() -> Self {
        Checkpoints {
            wal_pages: AtomicI64::new(0),
            due_at: AtomicI64::new(CHECKPOINT_PAGES),
            ended: AtomicBool::new(false),
            due: Event::default(),
            eased: Event::default(),
        }
    }

    /// After a commit that has left the WAL this long.
    pub fn follow(&self, wal_pages: i64) {
        if wal_pages < self.wal_pages.swap(wal_pages, SeqCst) {
            // Begun anew.
            self.due_at.store(CHECKPOINT_PAGES, SeqCst);
        }
        if self.is_due() {
            self.due.notify_one();
        }
    }

    /// The WAL has grown too far beyond what is being copied back.
    pub fn must_wait(&self) -> bool {
        self.wal_pages.load(SeqCst) >= self.due_at.load(SeqCst) + CHECKPOINT_LAG_PAGES_MAX
    }

    /// Waits while the writer must.
    pub fn wait(&self) {
        self.eased.wait_until(|| !self.must_wait());
    }

    pub fn end(&self) {
        self.ended.store(true, SeqCst);
        self.due.notify_all();
    }

    fn is_due(&self) -> bool {
        self.wal_pages.load(SeqCst) >= self.due_at.load(SeqCst)
    }

    /// After an attempt, whatever came of it. If all was copied, the next commit may begin the WAL anew.
    fn attempted(&self) {
        self.due_at.store(self.wal_pages.load(SeqCst) + CHECKPOINT_AGAIN_PAGES, SeqCst);
        self.eased.notify_all();
    }
}

/// Serves until `Checkpoints::end`.
pub(crate) fn run(shared: &Shared, connection: &Connection) {
    let state = &shared.checkpoints;
    loop {
        state.due.wait_until(|| state.ended.load(SeqCst) || state.is_due());
        if state.ended.load(SeqCst) {
            return;
        }
        match copy_beside_writer(state, connection) {
            true => copy_rest(shared, connection),
            false => state.attempted(),
        }
    }
}

/// Until little is left. `false`: a reader keeps more than that from being copied, and without the writer too.
fn copy_beside_writer(state: &Checkpoints, connection: &Connection) -> bool {
    let mut all = false;
    for _ in 0..CHECKPOINT_PASSES_MAX {
        let Some(pages) = copy(connection) else { return false };
        all = pages.copied == pages.in_wal;
        if state.wal_pages.load(SeqCst) - pages.copied <= CHECKPOINT_REST_PAGES {
            return true;
        }
        if state.must_wait() {
            break;
        }
    }
    all
}

/// With nobody writing.
fn copy_rest(shared: &Shared, connection: &Connection) {
    let writer = shared.writer.take();
    copy(connection);
    shared.checkpoints.attempted();
    writer::let_go(shared, writer);
}

struct Pages {
    in_wal: i64,
    copied: i64,
}

/// Copies back what no reader needs otherwise. `None` if another process is at it, or for an error, which the next attempt
/// meets again.
fn copy(connection: &Connection) -> Option<Pages> {
    let result = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |row| {
        let busy: bool = row.get(0)?;
        Ok((!busy).then_some(Pages { in_wal: row.get(1)?, copied: row.get(2)? }))
    });
    result.ok().flatten()
}
