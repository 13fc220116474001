//! What closing a file gives up: of a process, all its record locks of that file; of an open file description, whatever is
//! its own.
//!
//! The kernel does not tell whether a record lock belongs to a process or to a description. But when a description is gone,
//! every process that had it has closed it. So what is held only through descriptions that are gone is to be given up,
//! whoever owns it.

use super::LockRequest;
use super::state::InodeLocks;
use crate::message::Message;
use crate::{Shard, limits};
use shoal_types::{FsResult, Ino, LockRange, LockSpace};
use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;

/// Whose locks go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LockHolder {
    /// By the kernel's number: it has closed a descriptor of the file.
    Process(u64),
    /// An open file description, whose last descriptor was closed.
    Handle(u64),
}

impl Shard {
    /// Whether closing the file may have to give up locks. Costs next to nothing.
    pub fn may_have_locks(&self, ino: Ino) -> bool {
        self.shared.open_files.get(ino).is_some_and(|open| open.locked.load(SeqCst))
    }

    /// Returns when others can have what is given up; where the store fails, that is tried again until it succeeds.
    pub async fn release_locks(self: &Rc<Self>, ino: Ino, holder: LockHolder) {
        let owner = self.shared.owner(ino);
        let released: FsResult<()> = match owner == self.index {
            true => {
                self.release_locks_owned(ino, holder).await;
                Ok(())
            }
            false => self.ask(owner, |respond| Message::ReleaseLocks { ino, holder, respond }).await,
        };
        if let Err(error) = released {
            tracing::debug!(%ino, %error, "the shard that had its locks has stopped");
        }
    }

    pub(crate) async fn release_locks_owned(self: &Rc<Self>, ino: Ino, holder: LockHolder) {
        let Some(locks) = self.locks.borrow().get(&ino).cloned() else { return };
        let leaving = match holder {
            LockHolder::Process(owner) if locks.process_left(owner) => vec![(LockSpace::Record, owner)],
            LockHolder::Process(_) => Vec::new(),
            LockHolder::Handle(handle) => locks.handle_left(handle),
        };
        for (space, owner) in leaving {
            self.release_all(ino, &locks, space, owner).await;
        }
        self.forget_idle_locks(ino, locks);
    }

    async fn release_all(self: &Rc<Self>, ino: Ino, locks: &Rc<InodeLocks>, space: LockSpace, owner: u64) {
        if locks.ends_exclusion(&all_of(ino, space, owner))
            && let Err(error) = self.commit_written(ino).await
        {
            // Its program is gone or has been told; others must not wait for ever.
            tracing::warn!(%ino, %error, "a lock is given up before what was written under it could be committed");
        }
        if self.try_release_all(ino, locks, space, owner).await.is_ok() {
            return;
        }
        let (shard, locks) = (self.clone(), locks.clone());
        self.spawn_unless_stopped(async move {
            while !shard.shared.is_fenced() {
                shoal_runtime::sleep(limits::LOCK_RETRY_INTERVAL).await;
                if shard.try_release_all(ino, &locks, space, owner).await.is_ok() {
                    break;
                }
            }
            shard.forget_idle_locks(ino, locks);
        });
    }

    /// Unless the owner has locked something through another description meanwhile.
    async fn try_release_all(
        self: &Rc<Self>,
        ino: Ino,
        locks: &InodeLocks,
        space: LockSpace,
        owner: u64,
    ) -> FsResult<()> {
        let _guard = locks.busy.lock().await;
        match locks.is_to_be_given_up(space, owner) {
            true => self.decide_in_store(locks, &all_of(ino, space, owner), None).await.map(drop),
            false => {
                // Who waits for it to be given up does so no longer.
                locks.changed.notify();
                Ok(())
            }
        }
    }
}

/// Gives up all that an owner holds.
fn all_of(ino: Ino, space: LockSpace, owner: u64) -> LockRequest {
    LockRequest { ino, space, owner, handle: 0, pid: 0, range: LockRange::WHOLE, mode: None }
}
