//! Requests that wait for their turn.
//!
//! Whatever may have become free here wakes all that wait for the inode, in the order in which they came; those that this
//! mount itself still keeps waiting go back to sleep at once.

use super::LockRequest;
use super::bell::Bell;
use super::state::{InodeLocks, Waiter};
use crate::message::Message;
use crate::{Shard, limits};
use futures_util::future::{Either, select};
use shoal_kv::Durability;
use shoal_metadata::{CancelLockWait, LockOutcome, LockWait, MetaOp};
use shoal_types::{Errno, FsResult, Ino};
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;

impl Shard {
    /// Until others have given it up. `EINTR` once `interrupted` resolves, unless the lock has come first; `EDEADLK`,
    /// where it's asked for, for a record lock that would wait for somebody who waits for its owner.
    pub async fn wait_for_lock(
        self: &Rc<Self>,
        request: LockRequest,
        detect_deadlock: bool,
        interrupted: impl Future<Output = ()>,
    ) -> FsResult<()> {
        let number = self.shared.lock_requests.fetch_add(1, SeqCst);
        let wait = LockWait { number, detect_deadlock };
        let answer = pin!(self.set_lock_at_owner(request, Some(wait)));
        let mut answer = match select(answer, pin!(interrupted)).await {
            Either::Left((result, _)) => return result,
            Either::Right(((), answer)) => answer,
        };
        loop {
            self.give_up_waiting(request.ino, number).await;
            // Told again if it has overtaken the request itself.
            if let Some(result) = shoal_runtime::timeout(limits::LOCK_RETRY_INTERVAL, &mut answer).await {
                return result;
            }
        }
    }

    async fn give_up_waiting(self: &Rc<Self>, ino: Ino, number: u64) {
        let owner = self.shared.owner(ino);
        match owner == self.index {
            true => self.give_up_waiting_owned(ino, number),
            false => self.send(owner, Message::GiveUpWaiting { ino, number }).await,
        }
    }

    pub(crate) fn give_up_waiting_owned(&self, ino: Ino, number: u64) {
        if let Some(locks) = self.locks.borrow().get(&ino) {
            locks.give_up(number);
        }
    }

    pub(super) async fn lock_or_wait(
        self: &Rc<Self>,
        locks: &InodeLocks,
        request: &LockRequest,
        waiter: &Waiter,
    ) -> FsResult<()> {
        if locks.ends_exclusion(request) {
            self.commit_written(request.ino).await?;
        }
        let result = self.until_served(locks, request, waiter).await;
        if result.is_err() && waiter.recorded.get() {
            self.forget_record(request, waiter).await;
        }
        result
    }

    async fn until_served(self: &Rc<Self>, locks: &InodeLocks, request: &LockRequest, waiter: &Waiter) -> FsResult<()> {
        // A steady flow of readers would keep a writer waiting for ever. Not for long: it may wait for readers that in
        // turn wait for this one.
        let free = locks.changed.wait_until(|| !locks.writer_is_ahead(waiter) || waiter.given_up.get());
        let _ = shoal_runtime::timeout(limits::READERS_WAIT_FOR_WRITERS_MAX, free).await;
        let mut listening = None;
        let mut again = false;
        loop {
            // Before the attempt: what is freed meanwhile makes another one.
            let freed = locks.freed.get();
            if waiter.given_up.get() {
                return Err(Errno::EINTR);
            }
            match self.decide(locks, request, Some(waiter), again).await? {
                LockOutcome::Done => return Ok(()),
                LockOutcome::Deadlock => return Err(Errno::EDEADLK),
                LockOutcome::Blocked { abroad: true } if listening.is_none() => {
                    listening = Some(Bell::listen(&self.shared));
                }
                LockOutcome::Blocked { .. } => {}
            }
            let woken = locks.changed.wait_until(|| locks.freed.get() != freed || waiter.given_up.get());
            again = shoal_runtime::timeout(limits::LOCK_RETRY_INTERVAL, woken).await.is_some();
            if !again && listening.is_some() {
                self.shared.suspect_the_dead();
            }
        }
    }

    /// What others take for a request that waits goes, now or later.
    async fn forget_record(self: &Rc<Self>, request: &LockRequest, waiter: &Waiter) {
        let LockRequest { ino, owner, .. } = *request;
        let (number, session) = (waiter.wait.number, self.shared.session);
        let cancel = move || MetaOp::CancelLockWait(CancelLockWait { ino, owner, number, session });
        if self.mutate(cancel(), Durability::Visible).await.is_ok() {
            return;
        }
        let shard = self.clone();
        self.spawn_unless_stopped(async move {
            while !shard.shared.is_fenced() {
                shoal_runtime::sleep(limits::LOCK_RETRY_INTERVAL).await;
                if shard.mutate(cancel(), Durability::Visible).await.is_ok() {
                    return;
                }
            }
        });
    }

    /// Something may have become free: others have rung.
    pub(crate) fn retry_locks(&self) {
        let waited_for = |locks: &&Rc<InodeLocks>| locks.anybody_waits();
        let all: Vec<_> = self.locks.borrow().values().filter(waited_for).cloned().collect();
        all.iter().for_each(|locks| locks.note_freed());
    }
}
