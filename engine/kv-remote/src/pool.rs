//! The connections of one client: as many as threads use at a time, kept for the next who needs one.
//!
//! Lock-free: who finds none idle makes one. When one is lost the idle ones go too, as they nearly always end together.
//! One that nobody has used for a while is not trusted: firewalls and servers forget idle connections without a word, and
//! finding out takes as long as a lost answer.
//! The slots of connections that are gone are closed by the next that is made: nothing that is still on its way to the
//! server under one of them comes about later.

use crate::server::{Connection, Failure, Server};
use crossbeam_queue::{ArrayQueue, SegQueue};
use shoal_kv::KvResult;
use std::time::{Duration, Instant};

pub(crate) struct Pool<S: Server> {
    server: S,
    idle: ArrayQueue<Pooled<S::Connection>>,
    orphaned_slots: SegQueue<u64>,
}

/// A connection and how many commits were sent over it.
pub(crate) struct Pooled<C> {
    pub connection: C,
    pub commits: u64,
    idle_since: Instant,
}

impl<S: Server> Pool<S> {
    pub fn new(server: S) -> Self {
        Pool { server, idle: ArrayQueue::new(IDLE_MAX), orphaned_slots: SegQueue::new() }
    }

    pub fn server(&self) -> &S {
        &self.server
    }

    pub fn take(&self) -> KvResult<Pooled<S::Connection>> {
        while let Some(pooled) = self.idle.pop() {
            if pooled.idle_since.elapsed() < IDLE_TIME_MAX {
                return Ok(pooled);
            }
            self.orphan(pooled.connection.slot());
        }
        self.connect().map_err(Failure::into_error)
    }

    pub fn give_back(&self, mut pooled: Pooled<S::Connection>) {
        pooled.idle_since = Instant::now();
        if let Err(pooled) = self.idle.push(pooled) {
            self.orphaned_slots.push(pooled.connection.slot());
        }
    }

    /// A connection has failed. Its slot is the caller's to close, or to orphan.
    pub fn drop_idle(&self) {
        while let Some(pooled) = self.idle.pop() {
            self.orphaned_slots.push(pooled.connection.slot());
        }
    }

    pub fn lose(&self, pooled: Pooled<S::Connection>) {
        self.orphan(pooled.connection.slot());
        self.drop_idle();
    }

    /// A slot that nobody will commit under any more.
    pub fn orphan(&self, slot: u64) {
        self.orphaned_slots.push(slot);
    }

    /// Closes the slots of all that are idle. What fails is left to the server, which forgets slots by their age.
    pub fn close(&self) {
        while let Some(mut pooled) = self.idle.pop() {
            let slot = pooled.connection.slot();
            let _ = pooled.connection.close_slot(slot);
        }
    }

    fn connect(&self) -> Result<Pooled<S::Connection>, Failure> {
        let mut connection = self.server.connect()?;
        while let Some(slot) = self.orphaned_slots.pop() {
            connection.close_slot(slot).inspect_err(|_| self.orphaned_slots.push(slot))?;
        }
        Ok(Pooled { connection, commits: 0, idle_since: Instant::now() })
    }
}

/// More connections than this are not kept when nobody uses them.
const IDLE_MAX: usize = 64;
const IDLE_TIME_MAX: Duration = Duration::from_secs(60);
