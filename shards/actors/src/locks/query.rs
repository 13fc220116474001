//! Who is in the way of a lock: F_GETLK.

use super::LockRequest;
use crate::Shard;
use shoal_metadata::HeldLock;
use shoal_types::{FsResult, LockMode, LockRange, SessionId};
use std::rc::Rc;

/// A lock that keeps another from being taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LockInfo {
    pub range: LockRange,
    pub mode: LockMode,
    /// The process that took it; 0 for one of another host.
    pub pid: u32,
}

impl Shard {
    /// The first lock in the way of this request. Of a request without a mode: the first that its owner itself has there.
    pub async fn get_lock(self: &Rc<Self>, request: LockRequest) -> FsResult<Option<LockInfo>> {
        self.shared.lock_marks.note(request.ino, request.space);
        let mut found = self.first_in_the_way(&request).await?;
        if found.as_ref().is_some_and(|lock| lock.session == self.shared.session) && request.mode.is_some() {
            self.hear_of_closes(request).await;
            found = self.first_in_the_way(&request).await?;
        }
        let Some(HeldLock { range, mode, session, pid, .. }) = found else { return Ok(None) };
        let pid = if self.is_of_this_host(session).await? { pid } else { 0 };
        Ok(Some(LockInfo { range, mode, pid }))
    }

    async fn first_in_the_way(&self, request: &LockRequest) -> FsResult<Option<HeldLock>> {
        let LockRequest { ino, space, owner, range, mode, .. } = *request;
        let locks = self.read_metadata(move |metadata| metadata.locks(ino, space)).await?;
        let own = (self.shared.session, owner);
        Ok(locks.into_iter().find(|lock| {
            let wanted = match mode {
                Some(mode) => (lock.session, lock.owner) != own && lock.mode.excludes(mode),
                None => (lock.session, lock.owner) == own,
            };
            wanted && lock.range.overlaps(range)
        }))
    }

    async fn is_of_this_host(&self, session: SessionId) -> FsResult<bool> {
        if session == self.shared.session {
            return Ok(true);
        }
        let record = self.read_metadata(move |metadata| metadata.session(session)).await?;
        let own = &self.shared.record;
        Ok(record.is_some_and(|record| record.host == own.host && record.boot == own.boot))
    }
}
