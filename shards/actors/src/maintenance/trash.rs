//! The trash: what has been in it for long enough is removed.

use super::Next;
use crate::limits;
use crate::shard::Shard;
use crate::shared::now;
use shoal_kv::Durability;
use shoal_metadata::{MetaOp, PurgeTrash};
use shoal_types::FsResult;
use std::rc::Rc;
use std::time::Duration;

pub(super) async fn round(shard: &Rc<Shard>) -> Next {
    if shard.shared.is_fenced() {
        return None;
    }
    super::retry_later(purge_some(shard).await)
}

async fn purge_some(shard: &Rc<Shard>) -> FsResult<Next> {
    let now = now();
    let before = shard.read_metadata(|metadata| metadata.accounting()).await?.trash_due_before(now);
    if !shard.read_metadata(move |metadata| metadata.trash_is_due(before)).await? {
        return Ok(None);
    }
    for _ in 0..limits::PURGES_PER_ROUND {
        let purge = MetaOp::PurgeTrash(PurgeTrash { before, now });
        if shard.mutate(purge, Durability::Visible).await?.into_ended()? {
            break;
        }
    }
    shard.shared.want_maintenance();
    Ok(Some(Duration::ZERO))
}
