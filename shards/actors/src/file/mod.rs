//! The files a shard owns: content as the store has it, what is buffered on top, and what is on its way.
//!
//! Layers of a file, from the bottom: inline bytes, the slices of each chunk, sealed batches in the order they were
//! sealed, buffered writes. A read takes hold of the upper layers first and then reads the lower ones, so that a
//! commit in between hides nothing.

mod ahead;
mod append;
mod change;
mod commit;
mod compact;
mod content;
mod copy_range;
mod fallocate;
mod fetch;
mod flags;
mod lend;
mod lifecycle;
mod missing;
mod read;
mod read_budget;
mod seal;
mod seek;
mod sync;
mod truncate;
mod warm;
mod write;

pub use compact::Compacted;
pub use fallocate::{Fallocate, Fallocation};
pub(crate) use read_budget::ReadBudget;
pub use seek::SeekTo;
pub use warm::{CacheOrder, Warmed};

use crate::local_event::{LocalEvent, LocalMutex};
use crate::open_files::{OpenFile, ReadPlan};
use crate::room::Reserved;
use content::Content;
use fetch::{BlockView, Fetched};
use shoal_cache::CacheFile;
use shoal_file_data::Readahead;
use shoal_types::Ino;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

/// One owned inode.
pub(crate) struct FileState {
    pub ino: Ino,
    pub open: Arc<OpenFile>,
    /// Room under limits that its buffered bytes hold.
    pub reserved: RefCell<Reserved>,
    content: RefCell<Content>,
    cache: RefCell<Option<Arc<CacheFile>>>,
    readahead: RefCell<Readahead>,
    /// Its directory's owner has been told that it's being fetched.
    fetch_noted: Cell<bool>,
    /// By block.
    fetched: RefCell<HashMap<u64, Vec<Rc<Fetched>>>>,
    /// Held by whoever changes the committed layers: a commit, a truncation, a reload, a compaction.
    committed: LocalMutex,
    /// Something was committed, failed, or was given up.
    progress: LocalEvent,
    committing: Cell<bool>,
    /// Held while objects are synced: a second fsync must not overtake the first.
    syncing: LocalMutex,
    flush_timer: Cell<bool>,
    /// Appended bytes are buffered, or were a moment ago.
    appended: Cell<bool>,
    /// Chunks that are being rewritten, or wait for it.
    compacting: RefCell<HashSet<u64>>,
    /// Tasks of this shard that work with the state; it isn't forgotten under their hands.
    uses: Cell<u32>,
    /// A task stores the rest after the last close.
    closing: Cell<bool>,
    /// It's being made immutable.
    freezing: Cell<bool>,
    /// No longer on the shard's list: whoever still holds it must leave no trace.
    forgotten: Cell<bool>,
}

impl FileState {
    pub(crate) fn has_buffered(&self) -> bool {
        self.content.borrow().has_buffered()
    }

    /// The inode, or this session, no longer exists in the store; nothing can be committed to it.
    fn is_gone(&self) -> bool {
        self.content.borrow().gone
    }

    /// Publishes what the attributes are with what is buffered, or that the store's are right.
    fn publish_pending(&self) {
        let content = self.content.borrow();
        match content.has_buffered() {
            true => self.open.set_pending(content.pending()),
            false => self.open.clear_pending(),
        }
    }

    /// Publishes how any shard may read the file, or takes it back while something is pending, or lies in memory for a
    /// reader in order: it's on its way to the cache, and would be read back from the disk.
    ///
    /// Blocks of the cache file can be read only while they are identified, and every change of the committed layers
    /// takes their identities back before it is published. So a plan needs no more than a length.
    fn publish(&self) {
        let content = self.content.borrow();
        let plan = match &*self.cache.borrow() {
            Some(cache)
                if !content.has_buffered()
                    && content.has_chunks
                    && !self.forgotten.get()
                    && !self.is_fetched_ahead() =>
            {
                Some(Arc::new(ReadPlan { length: content.length, cache: cache.clone() }))
            }
            _ => None,
        };
        self.open.plan.store(plan);
    }

    fn is_fetched_ahead(&self) -> bool {
        self.fetched.borrow().values().flatten().any(|fetched| fetched.ahead)
    }

    /// All of these units are in memory, or on their way there, for a reader in order.
    fn holds(&self, view: &BlockView, units: &Range<u32>) -> bool {
        let fetched = self.fetched.borrow();
        let Some(of_block) = fetched.get(&view.block) else { return false };
        units.clone().all(|unit| of_block.iter().any(|fetched| fetched.ahead && fetched.holds(view.identity, unit)))
    }

    /// Some of the block is in memory, or on its way there, for a reader in order.
    fn has_ahead(&self, block: u64) -> bool {
        self.fetched.borrow().get(&block).is_some_and(|of_block| of_block.iter().any(|fetched| fetched.ahead))
    }
}
