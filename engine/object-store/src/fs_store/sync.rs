//! Making stored objects survive power loss: their bytes first, then the folders that hold their names.
//!
//! The kernel reports a failed write-back once and then drops the bytes, so that a second sync would succeed without
//! them. What could not be synced therefore stays refused until it is deleted, or for the life of this store.

use super::folders::sync_folder;
use super::paths::object_path;
use super::{Inner, run_blocking, store_error};
use crate::{StoreError, StoreResult};
use futures_util::future::try_join_all;
use rustix::fs::{Mode, OFlags};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

#[derive(Default)]
pub(super) struct Failures(Mutex<HashMap<PathBuf, StoreError>>);

impl Failures {
    fn check(&self, path: &Path) -> StoreResult<()> {
        let failures = self.0.lock().expect("no panic under this lock");
        failures.get(path).map_or(Ok(()), |error| Err(error.clone()))
    }

    fn keep(&self, path: &Path, error: StoreError) -> StoreError {
        // A file that is not there, or that we may not open, has lost no bytes: trying again is honest.
        if let StoreError::Other(_) | StoreError::NoSpace(_) = error {
            self.0.lock().expect("no panic under this lock").insert(path.to_path_buf(), error.clone());
        }
        error
    }
}

pub(super) async fn sync(inner: &Arc<Inner>, keys: &[String]) -> StoreResult<()> {
    let files: Vec<PathBuf> = keys.iter().map(|key| object_path(&inner.root, key)).collect::<StoreResult<_>>()?;
    let mut holding = BTreeSet::new();
    let mut unsettled = BTreeSet::new();
    for folder in files.iter().filter_map(|file| file.parent()).collect::<BTreeSet<_>>() {
        holding.insert(folder.to_path_buf());
        unsettled.extend(inner.folders.unsettled(folder));
    }
    holding.extend(unsettled.iter().filter_map(|folder| folder.parent()).map(Path::to_path_buf));
    each(inner, files, sync_file).await?;
    each(inner, holding, sync_folder).await?;
    inner.folders.settle(unsettled);
    Ok(())
}

/// The whole file system that the folder lies on; it's the kernel that knows what has yet to be written.
pub(super) async fn sync_all(inner: &Arc<Inner>) -> StoreResult<()> {
    each(inner, [inner.root.clone()], sync_file_system).await
}

/// All at once: the disk merges what it can, and tokio bounds the threads.
async fn each(
    inner: &Arc<Inner>,
    paths: impl IntoIterator<Item = PathBuf>,
    sync: fn(&Path) -> StoreResult<()>,
) -> StoreResult<()> {
    let one = |path: PathBuf| {
        let inner = inner.clone();
        run_blocking(move || {
            inner.failures.check(&path)?;
            sync(&path).map_err(|error| inner.failures.keep(&path, error))
        })
    };
    try_join_all(paths.into_iter().map(one)).await.map(|_| ())
}

fn sync_file(path: &Path) -> StoreResult<()> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| store_error(path, errno))?;
    rustix::fs::fdatasync(file).map_err(|errno| store_error(path, errno))
}

fn sync_file_system(path: &Path) -> StoreResult<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| store_error(path, errno))?;
    rustix::fs::syncfs(folder).map_err(|errno| store_error(path, errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_synced_stays_refused_and_what_is_missing_does_not() {
        let failures = Failures::default();
        let path = Path::new("/o/1");
        failures.keep(path, StoreError::NotFound("/o/1".into()));
        assert_eq!(failures.check(path), Ok(()));
        failures.keep(path, StoreError::Other("/o/1: input/output error".into()));
        assert!(failures.check(path).is_err());
        assert_eq!(failures.check(Path::new("/o/2")), Ok(()));
    }
}
