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
pub(super) struct Trimming {
    notes: VecDeque<(Instant, Stamp)>,
}

impl Trimming {
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
        let end = shard.read_metadata(Metadata::feed_end).await?;
        if let Some(end) = end.filter(|end| self.notes.back().is_none_or(|(_, noted)| noted != end)) {
            self.notes.push_back((Instant::now(), end));
        }
        while let Some((noted, until)) = self.notes.front().copied()
            && noted.elapsed() >= limits::FEED_KEPT
        {
            let trim = || MetaOp::TrimFeed(TrimFeed { until });
            while !shard.mutate(trim(), Durability::Visible).await?.into_ended()? {}
            self.notes.pop_front();
        }
        Ok(())
    }
}
