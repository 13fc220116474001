//! Taking, converting and giving up.

use super::LockRequest;
use super::state::{InodeLocks, Waiter};
use crate::Shard;
use crate::message::Message;
use shoal_kv::Durability;
use shoal_metadata::{LockOutcome, LockWait, MetaOp, MetaReply, SetLock};
use shoal_types::{Errno, FsResult, LockSpace};
use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;

impl Shard {
    /// Without waiting: `EAGAIN` where others have it. A flock that can't be converted is lost then, as on Linux.
    pub async fn set_lock(self: &Rc<Self>, request: LockRequest) -> FsResult<()> {
        self.set_lock_at_owner(request, None).await
    }

    pub(super) async fn set_lock_at_owner(
        self: &Rc<Self>,
        request: LockRequest,
        wait: Option<LockWait>,
    ) -> FsResult<()> {
        // Before anything is locked: whoever closes the file from now on asks whether something has to be given up.
        self.shared.lock_marks.note(request.ino, request.space);
        if let Some(open) = self.shared.open_files.get(request.ino) {
            open.locked.store(true, SeqCst);
        }
        let owner = self.shared.owner(request.ino);
        match owner == self.index {
            true => self.set_lock_owned(request, wait).await,
            false => self.ask(owner, |respond| Message::SetLock { request, wait, respond }).await,
        }
    }

    pub(crate) async fn set_lock_owned(self: &Rc<Self>, request: LockRequest, wait: Option<LockWait>) -> FsResult<()> {
        let locks = self.locks_of(request.ino);
        // A waiter is noted before anything is waited for, so that who tells it to give up finds it.
        let waiter = wait.map(|wait| locks.enter(request, wait));
        let result = match &waiter {
            Some(waiter) => self.lock_or_wait(&locks, &request, waiter).await,
            None => self.lock_at_once(&locks, &request).await,
        };
        if let Some(waiter) = waiter {
            locks.leave(&waiter);
        }
        let result = match (result, request.mode) {
            (Ok(()), Some(_)) => self.refresh_or_give_up(&locks, &request).await,
            (result, _) => result,
        };
        self.forget_idle_locks(request.ino, locks);
        result
    }

    async fn lock_at_once(self: &Rc<Self>, locks: &InodeLocks, request: &LockRequest) -> FsResult<()> {
        if locks.ends_exclusion(request) {
            self.commit_written(request.ino).await?;
        }
        if locks.conflict_here(request) {
            self.hear_of_closes(*request).await;
        }
        match self.decide(locks, request, None, false).await? {
            LockOutcome::Done => Ok(()),
            LockOutcome::Blocked { .. } | LockOutcome::Deadlock => Err(Errno::EAGAIN),
        }
    }

    /// One attempt. Where this mount itself holds what is in the way, that is known without a transaction, if the attempt
    /// would change nothing: `again` says that the request has left its record before, and asked about deadlocks.
    pub(super) async fn decide(
        self: &Rc<Self>,
        locks: &InodeLocks,
        request: &LockRequest,
        waiter: Option<&Waiter>,
        again: bool,
    ) -> FsResult<LockOutcome> {
        let _guard = locks.busy.lock().await;
        let changes_nothing = match request.space {
            LockSpace::Flock => !locks.holds_anything(request),
            LockSpace::Record => waiter.is_none() || again,
        };
        if changes_nothing && locks.conflict_here(request) {
            return Ok(LockOutcome::Blocked { abroad: false });
        }
        self.decide_in_store(locks, request, waiter).await
    }

    /// With `busy` held.
    pub(super) async fn decide_in_store(
        &self,
        locks: &InodeLocks,
        request: &LockRequest,
        waiter: Option<&Waiter>,
    ) -> FsResult<LockOutcome> {
        let LockRequest { ino, space, owner, pid, range, mode, .. } = *request;
        let (wait, session) = (waiter.map(|waiter| waiter.wait), self.shared.session);
        let operation = SetLock { ino, space, owner, pid, range, mode, wait, session };
        let reply = self.mutate(MetaOp::SetLock(operation), Durability::Visible).await;
        let result = reply.and_then(MetaReply::into_lock);
        locks.note_outcome(request, waiter, &result);
        result
    }

    /// A lock without a look at what it protects would be worse than none.
    async fn refresh_or_give_up(self: &Rc<Self>, locks: &InodeLocks, request: &LockRequest) -> FsResult<()> {
        let Err(error) = self.refresh(request.ino).await else { return Ok(()) };
        let give_up = LockRequest { mode: None, ..*request };
        if let Err(error) = self.decide(locks, &give_up, None, false).await {
            tracing::warn!(ino = %request.ino, %error, "a lock is held until its file is closed");
        }
        Err(error)
    }
}
