//! Trimming the change feed: what has been in it for a while nobody waits for any more.
//!
//! How old an event is only its reader knows, by his own clock. So the end of the feed is noted now and then, and what came
//! before a note goes when the note is old enough.

use crate::limits;
use crate::shard::Shard;
use shoal_kv::Durability;
use shoal_metadata::feed::Stamp;
use shoal_metadata::{MetaOp, Metadata, TrimFeed};
use shoal_types::FsResult;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

#[derive(Default)]
pub(crate) struct Trimming {
    notes: VecDeque<(Instant, Stamp)>,
}

impl Trimming {
    /// The feed ends here now.
    pub fn note(&mut self, end: Stamp, now: Instant) {
        if self.notes.back().is_none_or(|(_, noted)| *noted != end) {
            self.notes.push_back((now, end));
        }
    }

    /// Up to where nobody needs it any more.
    pub fn due(&self, now: Instant) -> Option<Stamp> {
        let old = |(noted, _): &&(Instant, Stamp)| now.duration_since(*noted) >= limits::FEED_KEPT;
        self.notes.front().filter(old).map(|(_, until)| *until)
    }

    /// What was due has been trimmed.
    pub fn trimmed(&mut self) {
        self.notes.pop_front();
    }

    /// At each heartbeat of the session that maintains the volume.
    pub async fn round(&mut self, shard: &Rc<Shard>) {
        if shard.shared.is_fenced() {
            return;
        }
        if let Err(error) = self.trim(shard).await {
            tracing::warn!(%error, "the change feed could not be trimmed");
        }
    }

    async fn trim(&mut self, shard: &Rc<Shard>) -> FsResult<()> {
        if let Some(end) = shard.read_metadata(Metadata::feed_end).await? {
            self.note(end, Instant::now());
        }
        while let Some(until) = self.due(Instant::now()) {
            let trim = || MetaOp::TrimFeed(TrimFeed { until });
            while !shard.mutate(trim(), Durability::Visible).await?.into_ended()? {}
            self.trimmed();
        }
        Ok(())
    }
}
