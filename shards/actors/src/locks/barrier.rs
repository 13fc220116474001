//! Hearing of everything that has happened before.
//!
//! The last close of a file reaches us as a message that its program does not wait for, over whichever shard has read it.
//! A program that then asks for what was locked is ahead of that message by at most what other shards have read from the
//! kernel and not yet passed on. So nobody is refused before they have been asked, and what they have sent was received.
//! And to give a lock up takes a while, as what was written under it is committed first: that is waited for.

use super::LockRequest;
use crate::message::Message;
use crate::{Shard, limits};
use futures_util::future::join_all;
use shoal_types::FsResult;
use std::rc::Rc;

impl Shard {
    /// Before a request that does not wait is told that this mount itself has what is in its way: until nothing is that was
    /// closed before the request was made.
    pub(super) async fn hear_of_closes(self: &Rc<Self>, request: LockRequest) {
        self.hear_everything().await;
        let owner = self.shared.owner(request.ino);
        if owner == self.index {
            return self.await_releases_owned(request).await;
        }
        // An owner that has stopped gives nothing up any more.
        let _: FsResult<()> = self.ask(owner, |respond| Message::AwaitReleases { request, respond }).await;
    }

    pub(crate) async fn await_releases_owned(self: &Rc<Self>, request: LockRequest) {
        let locks = self.locks_of(request.ino);
        let released = locks.changed.wait_until(|| !locks.is_being_freed_for(&request));
        if shoal_runtime::timeout(limits::LOCK_RELEASE_TIME_MAX, released).await.is_none() {
            tracing::warn!(ino = %request.ino, "what was closed still keeps its lock: the metadata store does not take it");
        }
        self.forget_idle_locks(request.ino, locks);
    }

    async fn hear_everything(self: &Rc<Self>) {
        let others = (0..self.shared.mailboxes.len()).filter(|shard| *shard != self.index);
        let asked = others.map(|shard| self.ask(shard, |respond| Message::Barrier { respond }));
        // One that has stopped will never pass anything on.
        let _: Vec<FsResult<()>> = join_all(asked).await;
        // Behind everything that has come to this shard by now.
        let _ = self.ask(self.index, |respond| Message::Barrier { respond }).await;
    }
}
