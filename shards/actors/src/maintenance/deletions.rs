//! The deletion queue: objects that nothing refers to, deleted from the store after the volume's grace time.
//!
//! Before the first is deleted, what took it out of use must be durable. Otherwise power loss could bring back a file
//! whose objects are gone.

use super::Next;
use crate::limits;
use crate::shard::Shard;
use crate::shared::now;
use shoal_kv::Durability;
use shoal_metadata::{ForgetObjects, MetaOp, Metadata};
use shoal_types::{FsResult, ObjectId};
use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

pub(super) async fn round(shard: &Rc<Shard>) -> Next {
    if shard.shared.is_fenced() {
        return None;
    }
    super::retry_later(delete_some(shard).await)
}

async fn delete_some(shard: &Rc<Shard>) -> FsResult<Next> {
    let grace = u64::from(shard.shared.settings.delete_grace_seconds) * 1_000_000_000;
    let until = now().as_nanos().saturating_sub(grace);
    let read = move |metadata: &Metadata| metadata.queued_deletions(until, limits::DELETIONS_PER_ROUND);
    let due = shard.read_metadata(read).await?;
    if due.is_empty() {
        return until_next(shard, until).await;
    }
    shard.sync_metadata().await?;
    let objects: Vec<ObjectId> = due.iter().map(|deletion| deletion.object).collect();
    let deleted: HashSet<ObjectId> = shard.shared.transfer.delete(objects).wait().await?.into_iter().collect();
    let entries: Vec<_> = due
        .iter()
        .filter(|deletion| deleted.contains(&deletion.object))
        .map(|deletion| (deletion.delete_at, deletion.object))
        .collect();
    let all = entries.len() == due.len();
    if !entries.is_empty() {
        shard.mutate(MetaOp::ForgetObjects(ForgetObjects { entries }), Durability::Visible).await?;
    }
    Ok(Some(if all { Duration::ZERO } else { limits::MAINTENANCE_RETRY_DELAY }))
}

/// When the next one is due.
async fn until_next(shard: &Rc<Shard>, until: u64) -> FsResult<Next> {
    let next = shard.read_metadata(|metadata| metadata.queued_deletions(u64::MAX, 1)).await?;
    let wait = |delete_at: u64| Duration::from_nanos(delete_at.saturating_sub(until)) + Duration::from_millis(1);
    Ok(next.first().map(|deletion| wait(deletion.delete_at)))
}
