//! Passthrough: the kernel reads a wholly cached file by itself, from the cache's own data file.
//!
//! Only on read-only mounts. What a descriptor was given can't be taken back, so it goes on reading what the file held
//! when it was opened: close-to-open, as another mount's writer may expect. A writer on the same mount might expect
//! more, and could change the cache through a shared mapping.
//!
//! The kernel's rule: while one descriptor of an inode passes through, every other has to, with the same backing file;
//! and none may while one does not. So opens are counted by inode, both kinds.

use crate::mount::Mounted;
use rustix::io::Errno as OsError;
use rustix::ioctl::{IoctlOutput, Opcode, Setter, ioctl};
use shoal_client::LocalVolume;
use shoal_fuse_protocol::abi::{IOCTL_BACKING_CLOSE, IOCTL_BACKING_OPEN};
use shoal_runtime::RingFile;
use shoal_types::{Ino, Timestamp};
use std::collections::HashMap;
use std::ffi::c_void;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

/// One a mount. Its lock is held for a look at a table, by opens and closes of read-only mounts.
pub(super) struct Passthrough {
    device: RingFile,
    opens: Mutex<HashMap<Ino, Opens>>,
    /// The kernel refused once, as it does without CAP_SYS_ADMIN or with the cache on a stacked file system.
    refused: AtomicBool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Opens {
    /// The kernel asks us for their bytes.
    Plain { count: u32 },
    /// It reads the backing file, whose content is that of `version`.
    Backed { count: u32, backing_id: u32, version: Version },
}

/// Moves with every change of a file's content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Version {
    pub length: u64,
    pub ctime: Timestamp,
}

/// How the kernel is to read a file that is being opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    Ours,
    Backed(u32),
    /// As `Ours`, although others read a backing file with what the file held before; the kernel has to be told its id.
    BesideOld(u32),
}

/// Smaller files are read in fewer requests than their opening would cost.
const BYTES_MIN: u64 = 1 << 20;

impl Passthrough {
    pub fn new(mounted: &Mounted) -> Option<Arc<Self>> {
        let passthrough = |device| Passthrough { device, opens: Mutex::default(), refused: AtomicBool::new(false) };
        mounted.negotiated().passthrough.then(|| Arc::new(passthrough(mounted.device())))
    }

    /// Counts an open of a file that has just been validated as `version`. `close` has to be told.
    pub async fn open(&self, volume: &Rc<LocalVolume>, ino: Ino, version: Version) -> Way {
        let way = self.count_open(ino, version);
        if way != Way::Ours || version.length < BYTES_MIN || self.refused.load(Relaxed) {
            return way;
        }
        let Ok(Some(lent)) = volume.lend(ino).await else { return way };
        let backing_id = self.register(&lent);
        if let Some(backing_id) = backing_id {
            if self.turn_plain_into_backed(ino, backing_id, version) {
                return Way::Backed(backing_id);
            }
            self.unregister(backing_id);
        }
        volume.give_back(ino).await;
        way
    }

    /// One open of this kind less.
    pub async fn close(&self, volume: &Rc<LocalVolume>, ino: Ino) {
        let backing_id = self.count_close(ino);
        if let Some(backing_id) = backing_id {
            self.unregister(backing_id);
            volume.give_back(ino).await;
        }
    }

    fn count_open(&self, ino: Ino, version: Version) -> Way {
        match self.opens().entry(ino).or_insert(Opens::Plain { count: 0 }) {
            Opens::Plain { count } => {
                *count += 1;
                Way::Ours
            }
            Opens::Backed { count, backing_id, version: backed } => {
                *count += 1;
                match *backed == version {
                    true => Way::Backed(*backing_id),
                    false => Way::BesideOld(*backing_id),
                }
            }
        }
    }

    /// Only the one who opens it may be there.
    fn turn_plain_into_backed(&self, ino: Ino, backing_id: u32, version: Version) -> bool {
        let mut opens = self.opens();
        let alone = opens.get(&ino) == Some(&Opens::Plain { count: 1 });
        if alone {
            opens.insert(ino, Opens::Backed { count: 1, backing_id, version });
        }
        alone
    }

    /// The backing id that nobody uses any more.
    fn count_close(&self, ino: Ino) -> Option<u32> {
        let mut opens = self.opens();
        let (count, backing_id) = match opens.get_mut(&ino) {
            Some(Opens::Plain { count }) => (count, None),
            Some(Opens::Backed { count, backing_id, .. }) => (count, Some(*backing_id)),
            None => return None,
        };
        *count -= 1;
        if *count > 0 {
            return None;
        }
        opens.remove(&ino);
        backing_id
    }

    fn opens(&self) -> MutexGuard<'_, HashMap<Ino, Opens>> {
        self.opens.lock().expect("no code panics while it holds this lock")
    }

    fn register(&self, file: &OwnedFd) -> Option<u32> {
        let map = BackingMap { file: file.as_raw_fd(), flags: 0, padding: 0 };
        // SAFETY: FUSE_DEV_IOC_BACKING_OPEN reads a `fuse_backing_map`, with a descriptor that stays open meanwhile.
        match unsafe { ioctl(&*self.device, BackingOpen(map)) } {
            Ok(backing_id) => Some(backing_id),
            Err(error) => {
                tracing::info!(%error, "the kernel does not read cached files by itself");
                self.refused.store(true, Relaxed);
                None
            }
        }
    }

    fn unregister(&self, backing_id: u32) {
        // SAFETY: FUSE_DEV_IOC_BACKING_CLOSE reads one u32.
        let closed = unsafe { ioctl(&*self.device, Setter::<{ IOCTL_BACKING_CLOSE }, u32>::new(backing_id)) };
        match closed {
            // The connection has ended, and its backing files with it.
            Ok(()) | Err(OsError::NODEV | OsError::NOTCONN | OsError::NOENT | OsError::PERM) => {}
            Err(error) => tracing::warn!(backing_id, %error, "a backing file stays registered"),
        }
    }
}

/// `struct fuse_backing_map`.
#[repr(C)]
struct BackingMap {
    file: i32,
    flags: u32,
    padding: u64,
}

struct BackingOpen(BackingMap);

// SAFETY: the kernel reads the map and returns the id as the call's own value.
unsafe impl rustix::ioctl::Ioctl for BackingOpen {
    type Output = u32;
    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        IOCTL_BACKING_OPEN
    }

    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut self.0).cast()
    }

    unsafe fn output_from_ptr(out: IoctlOutput, _: *mut c_void) -> rustix::io::Result<u32> {
        u32::try_from(out).map_err(|_| OsError::INVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Passthrough {
        let file = tempfile::tempfile().unwrap();
        Passthrough { device: Arc::new(file.into()), opens: Mutex::default(), refused: AtomicBool::new(false) }
    }

    #[test]
    fn descriptors_of_an_inode_are_all_of_one_kind() {
        let (table, ino) = (table(), Ino(7));
        let old = Version { length: 5, ctime: Timestamp::new(1, 0) };
        let new = Version { ctime: Timestamp::new(2, 0), ..old };
        assert_eq!(table.count_open(ino, old), Way::Ours);
        assert!(table.turn_plain_into_backed(ino, 3, old));
        assert_eq!(table.count_open(ino, old), Way::Backed(3));
        assert_eq!(table.count_open(ino, new), Way::BesideOld(3), "the backing file holds what was there before");
        assert_eq!(table.count_open(Ino(8), old), Way::Ours);
        assert_eq!([(); 3].map(|()| table.count_close(ino)), [None, None, Some(3)]);
        assert_eq!(table.count_open(ino, new), Way::Ours);
        assert_eq!(table.count_open(ino, new), Way::Ours);
        assert!(!table.turn_plain_into_backed(ino, 4, new), "somebody else reads through us");
        assert_eq!((table.count_close(ino), table.count_close(ino), table.count_close(Ino(8))), (None, None, None));
        assert!(table.opens().is_empty());
    }
}
