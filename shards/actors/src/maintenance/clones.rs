//! What clones leave behind: notes of finished ones, and half-made copies of those that were given up or whose session is
//! gone. These go to the removal queue.

use super::Next;
use crate::limits;
use crate::shard::Shard;
use shoal_kv::Durability;
use shoal_metadata::{CleanClone, CloneInfo, MetaOp, Metadata};
use shoal_types::{FsResult, Timestamp};
use std::rc::Rc;
use std::time::Duration;

/// With `all` also those of sessions that are gone.
pub(super) async fn round(shard: &Rc<Shard>, all: bool) -> Next {
    if shard.shared.is_fenced() {
        return None;
    }
    super::retry_later(tidy_up(shard, all).await)
}

async fn tidy_up(shard: &Rc<Shard>, all: bool) -> FsResult<Next> {
    let mut next = None;
    for info in shard.read_metadata(Metadata::clones).await? {
        if is_left(shard, &info, all) && !clean(shard, info).await? {
            next = Some(Duration::ZERO);
        }
    }
    Ok(next)
}

fn is_left(shard: &Shard, info: &CloneInfo, all: bool) -> bool {
    let ours = info.session == shard.shared.session;
    let over = !info.filling || info.orphaned;
    if ours { over || !shard.shared.clones.is_live(info.clone) } else { all && over }
}

/// Some steps: heartbeats must not wait for the end. Tells whether that has come.
async fn clean(shard: &Rc<Shard>, info: CloneInfo) -> FsResult<bool> {
    let CloneInfo { clone, .. } = info;
    for _ in 0..limits::REMOVAL_STEPS_PER_ROUND {
        let session = shard.shared.session;
        let operation = MetaOp::CleanClone(CleanClone { clone, session, queue_at: LONG_AGO });
        if shard.mutate(operation, Durability::Visible).await?.into_ended()? {
            return Ok(true);
        }
        shoal_runtime::yield_now().await;
    }
    Ok(false)
}

/// Nobody has seen what is removed here, so no mount needs time to say that it has it open.
const LONG_AGO: Timestamp = Timestamp::ZERO;
