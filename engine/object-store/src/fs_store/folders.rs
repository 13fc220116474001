//! Folders made on demand, and which of them are known to survive power loss.
//!
//! A file survives power loss only if every folder on the way to it does: the entry of each folder in its parent must
//! be synced once. Who made the folder does not matter (a process that was killed may have left it unsynced), so the
//! first sync below a folder syncs its parent, and this remembers that it did.

use super::errors::{from_io, store_error};
use crate::StoreResult;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

pub(super) struct Folders {
    root: PathBuf,
    /// Folders whose entry in their parent is on disk.
    settled: Mutex<HashSet<PathBuf>>,
}

impl Folders {
    pub fn new(root: PathBuf) -> Self {
        Folders { root, settled: Mutex::new(HashSet::new()) }
    }

    /// Makes the folder and those above it, up to the root, which must be there.
    pub fn make(&self, folder: &Path) -> StoreResult<()> {
        assert!(folder.starts_with(&self.root), "folders lie below the root");
        if folder == self.root {
            // The root was there when the store was opened. It is not made again: what is gone may be a whole disk.
            return Err(store_error(folder, Errno::NOENT));
        }
        match rustix::fs::mkdir(folder, Mode::from_raw_mode(0o700)) {
            Ok(()) => {
                self.settled().remove(folder);
                Ok(())
            }
            Err(Errno::EXIST) => Ok(()),
            Err(Errno::NOENT) => {
                self.make(folder.parent().expect("a folder below the root has a parent"))?;
                self.make(folder)
            }
            Err(errno) => Err(store_error(folder, errno)),
        }
    }

    /// The folders on the way from the root to `folder` (without the root) that are not known to be on disk.
    pub fn unsettled(&self, folder: &Path) -> Vec<PathBuf> {
        let settled = self.settled();
        let way = folder.ancestors().take_while(|folder| *folder != self.root);
        way.filter(|folder| !settled.contains(*folder)).map(Path::to_path_buf).collect()
    }

    pub fn settle(&self, folders: impl IntoIterator<Item = PathBuf>) {
        self.settled().extend(folders);
    }

    fn settled(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.settled.lock().expect("no panic under this lock")
    }
}

/// Makes the root with all above it, and syncs what it made: this happens once in the life of a volume.
pub(super) fn make_root(root: &Path) -> StoreResult<()> {
    let missing: Vec<&Path> = root.ancestors().take_while(|folder| !folder.exists()).collect();
    for folder in missing.iter().rev() {
        match std::fs::create_dir(folder) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(from_io(folder, &error)),
            _ => sync_folder(folder.parent().expect("what is missing is not the top"))?,
        }
    }
    Ok(())
}

pub(super) fn sync_folder(folder: &Path) -> StoreResult<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(folder, flags, Mode::empty()).map_err(|errno| store_error(folder, errno))?;
    rustix::fs::fsync(opened).map_err(|errno| store_error(folder, errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_settled_once_and_again_when_made_anew() {
        let root = tempfile::tempdir().unwrap();
        let folders = Folders::new(root.path().to_path_buf());
        let (outer, inner) = (root.path().join("a"), root.path().join("a/b"));
        folders.make(&inner).unwrap();
        assert_eq!(folders.unsettled(&inner), [inner.clone(), outer.clone()]);
        folders.settle([inner.clone(), outer.clone()]);
        assert!(folders.unsettled(&inner).is_empty());
        std::fs::remove_dir(&inner).unwrap();
        folders.make(&inner).unwrap();
        assert_eq!(folders.unsettled(&inner), [inner]);
    }

    #[test]
    fn a_root_that_is_gone_is_not_made_again() {
        let root = tempfile::tempdir().unwrap();
        let folders = Folders::new(root.path().join("gone"));
        assert!(folders.make(&root.path().join("gone/a")).unwrap_err().is_not_found());
        assert!(!root.path().join("gone").exists());
    }

    #[test]
    fn the_root_is_made_with_all_above_it() {
        let top = tempfile::tempdir().unwrap();
        let root = top.path().join("a/b/c");
        make_root(&root).unwrap();
        make_root(&root).unwrap();
        assert!(root.is_dir());
    }
}
