//! The removal queue: inodes without a name, given up step by step.
//!
//! An inode that is open here is sustained instead, and so is one that the front end holds (`held.rs`). Another mount may
//! have it open as well and not know yet that its name is gone, so while others live an inode is left queued for some
//! heartbeats, at each of which they look.

use super::Next;
use crate::held::Hold;
use crate::limits;
use crate::shard::Shard;
use crate::shared::now;
use futures_util::future::join_all;
use shoal_kv::Durability;
use shoal_metadata::{MetaOp, MetaReply, QueuedRemoval, RemoveInode, Sustain};
use shoal_types::{FsResult, Ino};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Every mount looks what it has open; one removes.
pub(super) async fn round(shard: &Rc<Shard>, heartbeat: bool, remove: bool) -> Next {
    if shard.shared.is_fenced() {
        return None;
    }
    super::retry_later(look(shard, heartbeat, remove).await)
}

async fn look(shard: &Rc<Shard>, heartbeat: bool, remove: bool) -> FsResult<Next> {
    let alone = shard.shared.is_alone();
    if heartbeat && !alone {
        sustain_open(shard).await?;
    }
    if remove { remove_some(shard, alone).await } else { Ok(None) }
}

async fn remove_some(shard: &Rc<Shard>, alone: bool) -> FsResult<Next> {
    let grace = if alone { 0 } else { limits::REMOVAL_GRACE.as_nanos() as u64 };
    let until = now().as_nanos().saturating_sub(grace);
    let read = move |metadata: &shoal_metadata::Metadata| metadata.queued_removals(until, limits::REMOVALS_PER_ROUND);
    let queued = shard.read_metadata(read).await?;
    let full = queued.len() == limits::REMOVALS_PER_ROUND;
    let (mut kept, mut rest) = (Vec::new(), Vec::new());
    for removal in queued {
        match shard.shared.held.hold(removal.ino, Instant::now()) {
            hold if hold == Hold::Lasting || shard.shared.open_files.is_open(removal.ino) => kept.push(removal.ino),
            Hold::Fresh => {}
            _ => rest.push(removal),
        }
    }
    let stuck = full && kept.is_empty() && rest.is_empty();
    sustain(shard, kept).await?;
    // Side by side: the engine commits them together.
    let results = join_all(rest.iter().map(|removal| remove_one(shard, *removal))).await;
    let done = results.into_iter().collect::<FsResult<Vec<bool>>>()?;
    Ok(match () {
        // Behind those that are about to be forgotten.
        () if stuck => Some(limits::HELD_FRESH),
        () if full || done.contains(&false) => Some(Duration::ZERO),
        // What is still in its grace comes up again at a heartbeat, and what is held as well.
        () => None,
    })
}

/// Some steps: heartbeats must not wait for the end of a large tree. Tells whether it's gone; a directory's entries are
/// queued by then.
async fn remove_one(shard: &Rc<Shard>, removal: QueuedRemoval) -> FsResult<bool> {
    let QueuedRemoval { queued_at, ino } = removal;
    for _ in 0..limits::REMOVAL_STEPS_PER_ROUND {
        let operation = MetaOp::RemoveInode(RemoveInode { queued_at, ino, delete_at: now() });
        let reply = shard.mutate(operation, Durability::Visible).await?;
        let emptied = matches!(&reply, MetaReply::Emptied(emptied) if !emptied.inodes.is_empty());
        if reply.into_ended()? {
            shard.drop_kept(ino).await;
            return Ok(!emptied);
        }
    }
    Ok(false)
}

/// What others have removed while we have it open, or might remove while it's held here.
async fn sustain_open(shard: &Rc<Shard>) -> FsResult<()> {
    let mut open = shard.shared.open_files.all();
    open.extend(shard.shared.held.lasting(Instant::now()));
    for some in open.chunks(limits::SUSTAINED_LOOK) {
        let some = some.to_vec();
        let queued = shard.read_metadata(move |metadata| metadata.queued_among(&some)).await?;
        sustain(shard, queued).await?;
        // Other tasks of this shard have their turn.
        shoal_runtime::yield_now().await;
    }
    Ok(())
}

async fn sustain(shard: &Rc<Shard>, inodes: Vec<Ino>) -> FsResult<()> {
    if inodes.is_empty() {
        return Ok(());
    }
    let operation = MetaOp::Sustain(Sustain { inodes: inodes.clone(), session: shard.shared.session });
    shard.mutate(operation, Durability::Visible).await?;
    for ino in inodes {
        shard.note_sustained(ino).await;
    }
    Ok(())
}
