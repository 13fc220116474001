//! The files this mount has open, and what their owners publish about them: readable from every shard without a lock.

use arc_swap::ArcSwapOption;
use shoal_cache::CacheFile;
use shoal_types::{Attributes, Ino, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering::SeqCst};

/// All open files by inode.
#[derive(Default)]
pub(crate) struct OpenFiles(papaya::HashMap<Ino, Arc<OpenFile>>);

/// One open inode. Any shard opens and closes it; only its owner publishes plans and pending attributes.
pub(crate) struct OpenFile {
    pub ino: Ino,
    /// Open handles; `CLOSED` once it is off the map, so that nobody revives what others no longer see.
    handles: AtomicU32,
    /// How to read without the owner, while nothing is pending.
    pub plan: ArcSwapOption<ReadPlan>,
    /// The owner holds state for this file (buffers, slices), which it must drop after the last close.
    pub owned: AtomicBool,
    /// Its last name is gone and this session sustains it: the last close has to release it.
    pub sustained: AtomicBool,
    /// Somebody has asked for a lock of it: closing it may have to give one up.
    pub locked: AtomicBool,
    /// Acknowledged bytes had to be dropped, because the inode or this session is gone. Every flush says so.
    pub lost: AtomicBool,
    /// Acknowledged bytes had to be dropped, because a limit stood against them: the errno to tell the next flush, or 0.
    pub refused: AtomicI32,
    /// The engine's foreign epoch at the last open that validated the content.
    pub validated: AtomicU64,
    /// Length including buffered writes; `NOTHING_PENDING` when the store's is right.
    pending_length: AtomicU64,
    pending_mtime: AtomicU64,
    pending_bytes: AtomicU64,
}

/// An immutable way to read a file on any core: its length, and the cache file that holds (part of) it.
pub(crate) struct ReadPlan {
    pub length: u64,
    pub cache: Arc<CacheFile>,
}

const CLOSED: u32 = u32::MAX;
const NOTHING_PENDING: u64 = u64::MAX;

impl OpenFiles {
    pub fn get(&self, ino: Ino) -> Option<Arc<OpenFile>> {
        self.0.pin().get(&ino).cloned()
    }

    pub fn is_open(&self, ino: Ino) -> bool {
        self.get(ino).is_some_and(|file| file.is_open())
    }

    /// Counts one more handle. Must come before the attributes are looked at: see `Shard::unlink`.
    pub fn open(&self, ino: Ino) -> Arc<OpenFile> {
        let files = self.0.pin();
        loop {
            let file = files.get_or_insert_with(ino, || Arc::new(OpenFile::new(ino)));
            let opened = file.handles.fetch_update(SeqCst, SeqCst, |n| (n != CLOSED).then(|| n + 1));
            if opened.is_ok() {
                return file.clone();
            }
            std::hint::spin_loop();
        }
    }

    /// Counts one handle less; `true` when it was the last.
    pub fn close(&self, file: &OpenFile) -> bool {
        let before = file.handles.fetch_sub(1, SeqCst);
        assert!(before != 0 && before != CLOSED, "only open files are closed");
        before == 1
    }

    /// Takes the file off the map unless it is open again.
    pub fn remove_closed(&self, file: &OpenFile) -> bool {
        let closed = file.handles.compare_exchange(0, CLOSED, SeqCst, SeqCst).is_ok();
        if closed {
            self.0.pin().remove(&file.ino);
        }
        closed
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All that are open.
    pub fn all(&self) -> Vec<Ino> {
        self.0.pin().iter().filter(|(_, file)| file.is_open()).map(|(ino, _)| *ino).collect()
    }

    /// Those of `inodes` that are open.
    pub fn open_among(&self, inodes: impl Iterator<Item = Ino>) -> Vec<Ino> {
        inodes.filter(|ino| self.is_open(*ino)).collect()
    }
}

impl OpenFile {
    fn new(ino: Ino) -> Self {
        OpenFile {
            ino,
            handles: AtomicU32::new(0),
            plan: ArcSwapOption::empty(),
            owned: AtomicBool::new(false),
            sustained: AtomicBool::new(false),
            locked: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            refused: AtomicI32::new(0),
            validated: AtomicU64::new(0),
            pending_length: AtomicU64::new(NOTHING_PENDING),
            pending_mtime: AtomicU64::new(0),
            pending_bytes: AtomicU64::new(0),
        }
    }

    pub fn is_open(&self) -> bool {
        !matches!(self.handles.load(SeqCst), 0 | CLOSED)
    }

    /// A flush has to tell of bytes that were acknowledged and are not there.
    pub fn has_losses(&self) -> bool {
        self.lost.load(SeqCst) || self.refused.load(SeqCst) != 0
    }

    pub fn is_pending(&self) -> bool {
        self.pending_length.load(SeqCst) != NOTHING_PENDING
    }

    /// Owner only: with what is buffered, of which there are so many bytes, the file is so long and was last written then.
    pub fn set_pending(&self, Pending { length, mtime, bytes }: Pending) {
        self.pending_mtime.store(mtime.as_nanos(), SeqCst);
        self.pending_bytes.store(bytes, SeqCst);
        self.pending_length.store(length, SeqCst);
    }

    /// Owner only: everything buffered has been committed and the attribute stamp raised.
    pub fn clear_pending(&self) {
        self.pending_length.store(NOTHING_PENDING, SeqCst);
    }

    /// What is pending now. Read it *before* the store's attributes: when it is cleared in between, those are newer.
    pub fn pending(&self) -> Option<Pending> {
        let length = self.pending_length.load(SeqCst);
        let mtime = Timestamp::from_nanos(self.pending_mtime.load(SeqCst));
        let bytes = self.pending_bytes.load(SeqCst);
        (length != NOTHING_PENDING).then_some(Pending { length, mtime, bytes })
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Pending {
    pub length: u64,
    pub mtime: Timestamp,
    pub bytes: u64,
}

impl Pending {
    pub fn overlay(&self, attributes: &mut Attributes) {
        attributes.length = self.length;
        attributes.allocated += self.bytes;
        // A later time in the store is that of another mount's write, or utimes' doing if no change came as late: then
        // this write came after it.
        if self.mtime >= attributes.mtime || attributes.mtime > attributes.ctime {
            attributes.mtime = self.mtime;
        }
        attributes.ctime = attributes.ctime.max(self.mtime);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffered_write_brings_a_modification_time_in_the_future_back() {
        let at = |seconds| Timestamp::new(seconds, 0);
        let mut attributes = Attributes {
            ino: Ino(7),
            kind: shoal_types::FileKind::Regular,
            flags: Default::default(),
            mode: 0o644,
            uid: 0,
            gid: 0,
            rdev: 0,
            nlink: 1,
            length: 3,
            allocated: 3,
            atime: at(1),
            mtime: at(1000),
            ctime: at(10),
            btime: at(1),
        };
        Pending { length: 5, mtime: at(20), bytes: 2 }.overlay(&mut attributes);
        assert_eq!((attributes.length, attributes.mtime, attributes.ctime), (5, at(20), at(20)));
        assert_eq!(attributes.allocated, 5);
        Pending { length: 5, mtime: at(15), bytes: 0 }.overlay(&mut attributes);
        assert_eq!((attributes.mtime, attributes.ctime), (at(20), at(20)), "another mount wrote later");
        (attributes.mtime, attributes.ctime) = (at(5), at(30));
        Pending { length: 5, mtime: at(25), bytes: 0 }.overlay(&mut attributes);
        assert_eq!((attributes.mtime, attributes.ctime), (at(25), at(30)), "a chmod since takes no write back");
    }

    #[test]
    fn a_file_opened_again_is_not_taken_off_the_map() {
        let files = OpenFiles::default();
        let file = files.open(Ino(7));
        assert!(files.close(&file));
        let again = files.open(Ino(7));
        assert!(!files.remove_closed(&file));
        assert!(Arc::ptr_eq(&file, &again));
        assert!(files.close(&again));
        assert!(files.remove_closed(&again));
        assert!(!files.is_open(Ino(7)));
        assert!(!Arc::ptr_eq(&files.open(Ino(7)), &file));
    }

    #[test]
    fn opening_waits_for_a_closed_file_to_leave_the_map() {
        let files = Arc::new(OpenFiles::default());
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let files = files.clone();
                std::thread::spawn(move || {
                    for _ in 0..20_000 {
                        let file = files.open(Ino(7));
                        assert!(files.is_open(Ino(7)));
                        if files.close(&file) {
                            files.remove_closed(&file);
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(files.is_empty());
    }
}
