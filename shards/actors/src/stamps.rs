//! Stamps: how a shard knows that what it has cached is still current.
//!
//! Two fixed tables of counters, hashed by inode and by (parent, name). Whoever changes an inode or a directory entry
//! raises its stamp after the commit is visible and before the reply goes out. A shard that caches a value notes the
//! stamp it saw *before* it read the store; the value is current as long as the stamp has not moved (and the engine's
//! foreign epoch neither, for changes by other mounts). Two keys that share a counter cost a needless read, never a
//! stale answer. No lock, and no message to other shards.
//!
//! A lookup does not know the inode before it has read the store, so it can't note that stamp first. `changes` counts
//! every raise: while it stands still, no stamp has moved, and one read afterwards is as good as one read before.

use shoal_types::{Ino, Name};
use std::sync::atomic::{AtomicU64, Ordering};

/// Enough that a burst of creates raises few counters of names made shortly before.
const COUNTERS: usize = 1 << 18;

pub(crate) struct Stamps {
    attributes: Box<[AtomicU64]>,
    entries: Box<[AtomicU64]>,
    changes: AtomicU64,
}

impl Stamps {
    pub fn new() -> Self {
        let table = || (0..COUNTERS).map(|_| AtomicU64::new(0)).collect();
        Stamps { attributes: table(), entries: table(), changes: AtomicU64::new(0) }
    }

    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    pub fn of_attributes(&self, ino: Ino) -> u64 {
        self.attributes[ino.mix() as usize % COUNTERS].load(Ordering::SeqCst)
    }

    pub fn of_entry(&self, parent: Ino, name: &Name) -> u64 {
        self.entries[name_hash(parent, name) as usize % COUNTERS].load(Ordering::SeqCst)
    }

    /// `changes` moves first: whoever sees the raised stamp must also see that something has changed.
    pub fn raise_attributes(&self, ino: Ino) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.attributes[ino.mix() as usize % COUNTERS].fetch_add(1, Ordering::SeqCst);
    }

    pub fn raise_entry(&self, parent: Ino, name: &Name) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.entries[name_hash(parent, name) as usize % COUNTERS].fetch_add(1, Ordering::SeqCst);
    }
}

pub(crate) fn name_hash(parent: Ino, name: &Name) -> u64 {
    twox_hash::XxHash3_64::oneshot_with_seed(parent.0, name.as_bytes())
}
