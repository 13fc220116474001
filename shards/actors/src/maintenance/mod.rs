//! What one shard of each mount does beside serving: telling others that it lives, keeping what is open here from being
//! removed, and tidying up after its own clones. One mount at a time (`holder.rs`) also watches who lives, and removes what
//! nobody needs any more.
//!
//! It sleeps until the next heartbeat is due, somebody asks for it (`Shared::want_maintenance`), or something queued
//! becomes due. An idle mount wakes once in a heartbeat.

mod clones;
mod deletions;
pub(crate) mod feed;
pub(crate) mod heard;
mod holder;
mod packing;
mod removals;
mod repacking;
mod sessions;
mod trash;

pub(crate) use packing::run as pack;

use crate::limits;
use crate::shard::Shard;
use feed::Trimming;
use holder::Holder;
use repacking::Repacking;
use sessions::Sessions;
use shoal_metadata::SessionRecord;
use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// What a round leaves to do: nothing, or more after some time.
type Next = Option<Duration>;

pub(crate) async fn run(shard: Rc<Shard>, record: SessionRecord) {
    let mut sessions = Sessions::new(record);
    let (mut holder, mut trimming, repacking) = (Holder::default(), Trimming::default(), Repacking::default());
    let mut heartbeat_at = Instant::now();
    let mut purges = None;
    loop {
        shard.maintenance_due.set(false);
        let heartbeat = Instant::now() >= heartbeat_at;
        if heartbeat {
            heartbeat_at = Instant::now() + limits::HEARTBEAT_INTERVAL;
            sessions.beat(&shard).await;
        }
        let changed = shard.shared.feed.sessions_changed.swap(false, SeqCst);
        if heartbeat || changed {
            holder.look(&shard, &mut sessions).await;
        }
        let own = holder.is_own();
        let suspected = shard.shared.others_suspected.swap(false, SeqCst);
        let look = sessions.look(&shard, suspected || (own && (heartbeat || changed))).await;
        let clones = clones::round(&shard, own).await;
        let removals = removals::round(&shard, heartbeat, own).await;
        let deletions = if own { deletions::round(&shard).await } else { None };
        if own && heartbeat {
            trimming.round(&shard).await;
            repacking.start(&shard);
        }
        if own && (heartbeat || purges.is_some()) {
            purges = trash::round(&shard).await;
        }
        let until_heartbeat = heartbeat_at.saturating_duration_since(Instant::now());
        let nexts = [look, clones, removals, deletions, purges];
        let pause = nexts.into_iter().flatten().fold(until_heartbeat, Duration::min);
        // Whoever keeps asking is heard this often.
        let rest = limits::SESSION_LOOK_INTERVAL.min(pause);
        shoal_runtime::sleep(rest).await;
        let wanted = shard.maintenance.wait_until(|| shard.maintenance_due.get());
        // Passed or asked for, both mean another round.
        let _ = shoal_runtime::timeout(pause - rest, wanted).await;
    }
}

/// A failed round is tried again after a while; the log has said why.
fn retry_later(result: shoal_types::FsResult<Next>) -> Next {
    result.unwrap_or(Some(limits::MAINTENANCE_RETRY_DELAY))
}
