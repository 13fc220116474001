//! Making room: by the bound on bytes (of all shards' parts of a folder together), by the free space of the disk, by the
//! bound on what is kept account of.
//!
//! What is new never takes the place of a pinned file. But the bounds hold for pinned files too: when those alone are
//! above one, because it was lowered or others fill the disk, they go like any.

use crate::clock::{Pinned, Victim, Warmth};
use crate::disk_file::DiskFile;
use crate::janitor::Punch;
use crate::limits::{FREE_SPACE_EVICTION_BYTES_MAX, FREE_SPACE_SAMPLE_BYTES, RECORDS_MAX, ROOM_ROUNDS_MAX};
use crate::part::CachePart;
use crate::slot::Shared;
use crate::units::bytes_of;
use futures_channel::oneshot;
use rustix::fs::fstatvfs;
use shoal_runtime::RingFile;
use shoal_types::Ino;
use std::cell::Cell;
use std::io;
use std::sync::atomic::Ordering::SeqCst;

/// The free space of the disk, looked at now and then.
#[derive(Default)]
pub(crate) struct FreeSpace {
    /// Bytes to be stored until the next look.
    until_sample: Cell<u64>,
    /// Bytes to be evicted before anything is stored.
    shortage: Cell<u64>,
}

pub(crate) type Punched = oneshot::Receiver<io::Result<()>>;

impl CachePart {
    /// Makes room for these units and takes it; `false` if there is none to be had.
    pub(crate) async fn reserve(&self, ino: Ino, block: u64, units: u64) -> bool {
        self.sample_free_space(bytes_of(units));
        for round in 0..ROOM_ROUNDS_MAX {
            let bytes = self.clock.borrow().missing_bytes(ino, block, units);
            let need = self.room_needed(bytes);
            if need == 0 && self.take(bytes, round == 0) {
                // No await since the look, so that is what it takes.
                let added = self.clock.borrow_mut().add(ino, block, units, Warmth::Fresh);
                assert!(added == bytes, "what was missing is what is added");
                return true;
            }
            if !self.evict(need, Pinned::Stay).await {
                return false;
            }
        }
        false
    }

    /// Evicts what an adoption or a shrinking disk has made too much.
    pub(crate) async fn settle(&self) {
        self.sample_free_space(FREE_SPACE_SAMPLE_BYTES);
        let need = self.room_needed(0);
        if need > 0 {
            self.evict(need, Pinned::Stay).await;
        }
        let excess = self.shared.usage.load(SeqCst).saturating_sub(self.shared.bytes_max).min(self.surplus(0));
        let excess = excess.max(self.free_space.shortage.get());
        if excess > 0 {
            self.evict(excess, Pinned::GoLast).await;
        }
    }

    fn room_needed(&self, bytes: u64) -> u64 {
        let Shared { usage, bytes_max, lacking, .. } = &*self.shared;
        let reserved = self.reserved(bytes);
        let over = (usage.load(SeqCst) + bytes + reserved).saturating_sub(*bytes_max);
        // What others have too much is not ours to mend.
        let over = over.min(self.surplus(bytes).max(bytes) + reserved);
        if over > 0 && self.is_within_share(bytes) {
            lacking.fetch_max(over, SeqCst);
        }
        let unaccountable = u64::from(self.clock.borrow().blocks() >= RECORDS_MAX);
        over.max(self.free_space.shortage.get()).max(unaccountable)
    }

    /// The bound is that of all parts together, so looking and taking are one. Who got room within its share without making
    /// any lacks nothing.
    fn take(&self, bytes: u64, at_once: bool) -> bool {
        let Shared { usage, bytes_max, lacking, .. } = &*self.shared;
        let reserved = self.reserved(bytes);
        let fits = |all: u64| (all + bytes + reserved <= *bytes_max).then_some(all + bytes);
        if usage.fetch_update(SeqCst, SeqCst, fits).is_err() {
            return false;
        }
        if at_once && self.is_within_share(bytes) {
            lacking.store(0, SeqCst);
        }
        self.usage.fetch_add(bytes, SeqCst);
        true
    }

    /// What has to stay free when this part takes so much more: a part that has more than its share gives to those that
    /// lack some of theirs, when it takes more and now and then.
    fn reserved(&self, bytes: u64) -> u64 {
        if self.is_within_share(bytes) { 0 } else { self.shared.lacking.load(SeqCst) }
    }

    /// By so much more, it would have more than its share by this.
    fn surplus(&self, bytes: u64) -> u64 {
        (self.usage() + bytes).saturating_sub(self.shared.share_bytes)
    }

    fn is_within_share(&self, bytes: u64) -> bool {
        self.surplus(bytes) == 0
    }

    fn sample_free_space(&self, bytes: u64) {
        let space = &self.free_space;
        if space.until_sample.get() > bytes {
            return space.until_sample.set(space.until_sample.get() - bytes);
        }
        space.until_sample.set(FREE_SPACE_SAMPLE_BYTES);
        match fstatvfs(&self.shared.lock) {
            Ok(disk) => {
                let wanted = (disk.f_blocks as f64 * self.shared.free_space_min) as u64;
                let missing = wanted.saturating_sub(disk.f_bavail).saturating_mul(disk.f_frsize);
                space.shortage.set(missing.min(FREE_SPACE_EVICTION_BYTES_MAX));
                self.note_free_space(missing == 0, disk.f_bavail.saturating_mul(disk.f_frsize));
            }
            Err(error) => self.note(&error.into()),
        }
    }

    /// Tells of each change once: a cache that keeps nothing is otherwise just slow.
    fn note_free_space(&self, enough: bool, free_bytes: u64) {
        let Shared { slot, free_space_min, short_of_space, .. } = &*self.shared;
        if short_of_space.load(SeqCst) != enough || short_of_space.swap(!enough, SeqCst) != enough {
            return;
        }
        let folder = slot.display();
        match enough {
            true => tracing::info!(%folder, free_bytes, "the cache's disk has enough free space again"),
            false => tracing::warn!(
                %folder,
                free_bytes,
                share = free_space_min,
                "less of the cache's disk is free than --cache-free-ratio keeps; the cache shrinks and takes nothing new"
            ),
        }
    }

    /// Evicts at least `bytes`, if there are as many, and waits until the disk has them back.
    pub(crate) async fn evict(&self, bytes: u64, pinned: Pinned) -> bool {
        let mut freed = 0;
        let mut pending = Vec::new();
        while freed < bytes && !self.is_degraded() {
            let victim = self.clock.borrow_mut().take_victim(pinned, |ino, block| self.busy.is_busy(ino, block));
            let Some(victim) = victim else { break };
            freed += bytes_of(victim.units);
            pending.extend(self.drop_victim(&victim));
        }
        if !self.await_punches(pending).await {
            return false;
        }
        let shortage = &self.free_space.shortage;
        shortage.set(shortage.get().saturating_sub(freed));
        freed >= bytes
    }

    /// Until the disk has the room back; `false` if nobody is left to tell.
    pub(crate) async fn await_punches(&self, pending: Vec<Punched>) -> bool {
        for punched in pending {
            match punched.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => self.note(&error),
                Err(oneshot::Canceled) => return false,
            }
        }
        true
    }

    /// First nobody may read the block, then the index no longer names it, then its room is given back.
    pub(crate) fn drop_victim(&self, victim: &Victim) -> Option<Punched> {
        match &victim.open {
            Some(file) => {
                file.table.peek(victim.block, |state| state.drop_units(u64::MAX));
                if let Some(disk) = file.disk() {
                    return self.drop_block(disk, victim);
                }
            }
            None if victim.last => self.unlink_quietly(victim.ino),
            None => match self.open(victim.ino) {
                Ok(Some(disk)) => return self.drop_block(&disk, victim),
                Ok(None) => self.unlink_quietly(victim.ino),
                Err(error) => self.note(&error),
            },
        }
        self.discount(bytes_of(victim.units));
        None
    }

    pub(crate) fn unlink_quietly(&self, ino: Ino) {
        if let Err(error) = DiskFile::unlink(&self.shared.slot, ino) {
            self.note(&error);
        }
    }

    fn drop_block(&self, disk: &DiskFile, victim: &Victim) -> Option<Punched> {
        if let Err(error) = disk.clear_entry(victim.block) {
            // The checksums of an entry that stays will refuse the hole.
            self.note(&error);
        }
        self.punch(disk.data.clone(), victim)
    }

    fn punch(&self, data: RingFile, victim: &Victim) -> Option<Punched> {
        let (ino, block, units) = (victim.ino, victim.block, victim.units);
        assert!(self.busy.begin(ino, block, u64::MAX), "busy blocks are no victims");
        let (done, punched) = oneshot::channel();
        let (busy, usage) = (self.busy.clone(), self.usage.clone());
        let slot = self.shared.clone();
        if self.shared.janitor.send(Punch { data, ino, block, units, slot, busy, usage, done }) {
            return Some(punched);
        }
        // Too much is pending: the block is a candidate again, now without valid bytes.
        self.busy.end(ino, block, u64::MAX);
        self.clock.borrow_mut().add(ino, block, units, Warmth::Cold);
        None
    }
}
