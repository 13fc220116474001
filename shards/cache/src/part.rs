//! One shard's part of one cache folder: opening, closing and invalidating the cache files of the inodes it owns.
//!
//! Only the shard that owns an inode calls these for it. None of them fails: trouble with the disk turns the part off.

use crate::adopt::Adoption;
use crate::block_table::BlockRef;
use crate::busy::Busy;
use crate::cache_file::CacheFile;
use crate::clock::{Clock, Warmth};
use crate::disk_file::DiskFile;
use crate::evict::FreeSpace;
use crate::folders::folder_of;
use crate::index_entry::Header;
use crate::slot::Shared;
use shoal_types::Ino;
use std::cell::{Cell, RefCell};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

pub struct CachePart {
    pub(crate) shared: Arc<Shared>,
    pub(crate) shard: usize,
    pub(crate) clock: RefCell<Clock>,
    pub(crate) adoption: RefCell<Adoption>,
    pub(crate) free_space: FreeSpace,
    pub(crate) busy: Arc<Busy>,
    /// Bytes on disk, those of punches still pending included.
    pub(crate) usage: Arc<AtomicU64>,
    degraded: Cell<bool>,
}

impl CachePart {
    pub(crate) fn new(shared: Arc<Shared>, shard: usize) -> Self {
        CachePart {
            shared,
            shard,
            clock: RefCell::default(),
            adoption: RefCell::default(),
            free_space: FreeSpace::default(),
            busy: Arc::default(),
            usage: Arc::default(),
            degraded: Cell::new(false),
        }
    }

    /// Whether the inode falls to this shard and this folder.
    pub(crate) fn has(&self, ino: Ino) -> bool {
        let Shared { shards, folder, folders, .. } = *self.shared;
        ino.mix() % shards as u64 == self.shard as u64 && folder_of(ino, folders) == folder
    }

    /// The files of an inode as this mount keeps them.
    pub(crate) fn open(&self, ino: Ino) -> io::Result<Option<DiskFile>> {
        DiskFile::open(&self.shared.slot, ino, self.shared.encrypts())
    }

    pub(crate) fn create(&self, ino: Ino, pinned: bool) -> io::Result<DiskFile> {
        DiskFile::create(&self.shared.slot, ino, Header { pinned, encrypted: self.shared.encrypts() })
    }

    /// The inode's cache file: what an earlier run left, or nothing yet (files are made at the first store). Entries
    /// are looked at block by block, when the block is identified.
    pub fn open_file(&self, ino: Ino) -> Arc<CacheFile> {
        assert!(self.has(ino), "each shard caches the inodes it owns, in the folder they fall to");
        if let Some(file) = self.clock.borrow().open_file(ino) {
            return file;
        }
        let disk = match self.is_degraded() {
            true => None,
            false => self.open(ino).unwrap_or_else(|error| {
                self.note(&error);
                None
            }),
        };
        if disk.as_ref().is_some_and(|disk| disk.header.pinned) {
            self.clock.borrow_mut().set_pinned(ino, true);
        }
        let key = self.shared.encrypt.as_ref().map(|sealer| sealer.cache(ino));
        let file = Arc::new(CacheFile::new(ino, disk, key, self.shared.verify_always));
        self.clock.borrow_mut().set_open(file.clone());
        file
    }

    /// Makes `identity` the block's present one: units that belong to another are dropped. To be called before the
    /// block is verified or stored to; until then no shard gets bytes of it.
    pub fn identify(&self, file: &Arc<CacheFile>, block: u64, identity: u64) {
        let current = file.table.peek(block, |state| state.identity()).flatten();
        if current == Some(identity) || file.is_dead() {
            return;
        }
        let Some(state) = file.table.get_or_add(block) else { return };
        if !state.is_loaded() {
            self.load(file, block, &state);
        }
        state.identify(identity);
    }

    fn load(&self, file: &CacheFile, block: u64, state: &BlockRef) {
        // A write begun before the file was last closed may still land on what the index names.
        let disk = file.disk().filter(|_| !self.busy.is_busy(file.ino(), block));
        let entry = disk.map(|disk| disk.read_entry(block)).transpose().unwrap_or_else(|error| {
            self.note(&error);
            None
        });
        let Some(entry) = entry.flatten() else { return state.load(0, 0) };
        if entry.valid != 0 {
            let added = self.clock.borrow_mut().add(file.ino(), block, entry.valid, Warmth::Fresh);
            self.count(added);
        }
        state.load(entry.identity, entry.valid);
        state.approve(entry.valid & self.clock.borrow().verified(file.ino(), block));
    }

    /// The file's content may have changed as a whole: every block has to be identified again before it is read.
    pub fn forget_identities(&self, file: &Arc<CacheFile>) {
        file.table.for_each_loaded(0..u64::MAX, |_, state| state.forget_identity());
    }

    /// Drops these blocks' units; they have to be identified again. Their room is taken by the next store or evicted.
    pub fn invalidate(&self, file: &Arc<CacheFile>, blocks: Range<u64>) {
        file.table.for_each_loaded(blocks, |_, state| {
            state.drop_units(u64::MAX);
            state.forget_identity();
        });
    }

    /// The inode is gone: so is its cache file.
    pub fn remove(&self, ino: Ino) {
        let pinned = self.is_pinned(ino);
        let (bytes, open) = self.clock.borrow_mut().remove(ino);
        if let Some(file) = &open {
            file.kill();
        }
        self.discount(bytes);
        let on_disk = bytes > 0 || pinned || open.is_some_and(|file| file.disk().is_some());
        if !on_disk && self.adoption.borrow().is_done() {
            return;
        }
        if let Err(error) = DiskFile::unlink(&self.shared.slot, ino) {
            self.note(&error);
        }
    }

    /// The last user is gone: what is cached stays on disk. Nobody gets bytes through `file` any more.
    pub fn close_file(&self, file: &Arc<CacheFile>) {
        if file.is_dead() {
            return;
        }
        file.kill();
        self.clock.borrow_mut().close(file);
        if file.emptied.load(SeqCst) && self.clock.borrow().bytes(file.ino()) == 0 && !self.is_pinned(file.ino()) {
            self.unlink_quietly(file.ino());
        }
    }

    /// So many bytes more, or less, are on disk.
    pub(crate) fn count(&self, bytes: u64) {
        self.usage.fetch_add(bytes, SeqCst);
        self.shared.usage.fetch_add(bytes, SeqCst);
    }

    pub(crate) fn discount(&self, bytes: u64) {
        self.usage.fetch_sub(bytes, SeqCst);
        self.shared.usage.fetch_sub(bytes, SeqCst);
    }

    /// Bytes on disk, as far as they're known yet.
    pub fn usage(&self) -> u64 {
        self.usage.load(SeqCst)
    }

    /// The disk has failed; nothing more is stored in this run.
    pub fn is_degraded(&self) -> bool {
        self.degraded.get()
    }

    /// Notes what readers of a file have met.
    pub(crate) fn hear_of_readers(&self, file: &CacheFile) {
        if let Some(error) = file.disk().and_then(|disk| disk.take_read_error()) {
            self.note(&error);
        }
    }

    /// What an I/O error means: a lack of room, of memory or of descriptors passes, anything else turns the part off.
    pub(crate) fn note(&self, error: &io::Error) {
        use rustix::io::Errno;
        let passing = [
            Errno::NOSPC,
            Errno::DQUOT,
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOMEM,
            Errno::AGAIN,
            Errno::FBIG,
            Errno::INTR,
        ];
        if is_one_of(error, &passing) {
            tracing::debug!(%error, "not cached");
        } else if !self.degraded.replace(true) {
            let folder = self.shared.slot.display();
            tracing::warn!(%error, %folder, "the cache disk fails; this shard goes on without a cache there");
        }
    }
}

pub(crate) fn is_one_of(error: &io::Error, errnos: &[rustix::io::Errno]) -> bool {
    errnos.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
