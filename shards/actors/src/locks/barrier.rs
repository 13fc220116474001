//! Hearing of everything that has happened before.
//!
//! The last close of a file reaches us as a message that its program does not wait for, over whichever shard has read it.
//! A program that then asks for what was locked is ahead of that message by at most what other shards have read from the
//! kernel and not yet passed on. So nobody is refused before they have been asked, and what they have sent was received.

use crate::Shard;
use crate::message::Message;
use futures_util::future::join_all;
use shoal_types::FsResult;
use std::rc::Rc;

impl Shard {
    pub(super) async fn hear_everything(self: &Rc<Self>) {
        let others = (0..self.shared.mailboxes.len()).filter(|shard| *shard != self.index);
        let asked = others.map(|shard| self.ask(shard, |respond| Message::Barrier { respond }));
        // One that has stopped will never pass anything on.
        let _: Vec<FsResult<()>> = join_all(asked).await;
        // Behind everything that has come to this shard by now.
        let _ = self.ask(self.index, |respond| Message::Barrier { respond }).await;
    }
}
