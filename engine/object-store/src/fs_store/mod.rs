//! Objects as files of a local folder: key `a/b/c` is the file `a/b/c` below the root.
//!
//! Relies on the folder's file system for rename without replacing, and on tokio's blocking threads. Never syncs unless
//! asked, never overwrites, never shows half an object. Which crash leaves what is told in `put`.

mod errors;
mod folders;
mod list;
mod paths;
mod put;
mod sync;

use crate::{BoxFuture, ListedObject, ObjectStore, StoreError, StoreResult};
use bytes::Bytes;
use errors::{from_io, store_error};
use folders::Folders;
use paths::object_path;
use put::Cancel;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

pub struct FsStore {
    inner: Arc<Inner>,
}

struct Inner {
    root: PathBuf,
    folders: Folders,
    failures: sync::Failures,
}

impl FsStore {
    /// Opens the folder, and makes it if it is missing.
    pub fn open(root: &Path) -> StoreResult<FsStore> {
        let root = std::path::absolute(root).map_err(|error| from_io(root, &error))?;
        folders::make_root(&root)?;
        if !root.is_dir() {
            return Err(StoreError::Other(format!("{} is not a folder", root.display())));
        }
        let inner = Inner { folders: Folders::new(root.clone()), root, failures: sync::Failures::default() };
        Ok(FsStore { inner: Arc::new(inner) })
    }

    async fn blocking<T, F>(&self, work: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&Inner) -> StoreResult<T> + Send + 'static,
    {
        let inner = self.inner.clone();
        run_blocking(move || work(&inner)).await
    }
}

impl ObjectStore for FsStore {
    fn put<'a>(&'a self, key: &'a str, segments: Vec<Bytes>) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            let path = object_path(&self.inner.root, key)?;
            let cancel = Cancel::default();
            let cancelled = cancel.watch();
            self.blocking(move |inner| put::put(&inner.folders, &path, &segments, &cancelled)).await
        })
    }

    fn get<'a>(&'a self, key: &'a str, range: Range<u64>) -> BoxFuture<'a, StoreResult<Bytes>> {
        Box::pin(async move {
            let path = object_path(&self.inner.root, key)?;
            run_blocking(move || read(&path, range)).await
        })
    }

    fn get_whole<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Bytes>> {
        Box::pin(async move {
            let path = object_path(&self.inner.root, key)?;
            run_blocking(move || read_whole(&path)).await
        })
    }

    fn sync<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(sync::sync(&self.inner, keys))
    }

    fn sync_all(&self) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(sync::sync_all(&self.inner))
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            let path = object_path(&self.inner.root, key)?;
            run_blocking(move || rustix::fs::unlink(&path).map_err(|errno| store_error(&path, errno))).await
        })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        found: &'a mut (dyn FnMut(ListedObject) -> StoreResult<()> + Send),
    ) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(list::list(&self.inner.root, prefix, found))
    }

    fn remove_temporaries(&self, older_than: SystemTime) -> BoxFuture<'_, StoreResult<u64>> {
        Box::pin(self.blocking(move |inner| list::remove_temporaries(&inner.root, older_than)))
    }
}

/// On tokio's blocking threads. The work runs to its end also when the future is dropped.
async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> StoreResult<T> + Send + 'static) -> StoreResult<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(StoreError::Unavailable(format!("its worker ended: {error}"))),
    }
}

fn read(path: &Path, range: Range<u64>) -> StoreResult<Bytes> {
    let length = range.end.checked_sub(range.start).and_then(|length| usize::try_from(length).ok());
    let length = length.ok_or_else(|| StoreError::Other(format!("{}: {range:?} is no range", path.display())))?;
    read_from(&open(path)?, path, range, length)
}

fn read_whole(path: &Path) -> StoreResult<Bytes> {
    let file = open(path)?;
    // An object never changes: its length is what it was when it was put.
    let length = rustix::fs::fstat(&file).map_err(|errno| store_error(path, errno))?.st_size as u64;
    read_from(&file, path, 0..length, length as usize)
}

fn open(path: &Path) -> StoreResult<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| store_error(path, errno))
}

fn read_from(file: &OwnedFd, path: &Path, range: Range<u64>, length: usize) -> StoreResult<Bytes> {
    let mut content = Vec::with_capacity(length);
    while content.len() < length {
        let offset = range.start + content.len() as u64;
        match rustix::io::pread(file, rustix::buffer::spare_capacity(&mut content), offset) {
            Ok(0) => return Err(short(path, &range, content.len())),
            // The allocator may have given more room than was asked for.
            Ok(_) => content.truncate(length),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(store_error(path, errno)),
        }
    }
    Ok(content.into())
}

fn short(path: &Path, range: &Range<u64>, got: usize) -> StoreError {
    let end = range.start + got as u64;
    StoreError::Other(format!("{}: damaged: bytes {range:?} were asked for, it ends at {end}", path.display()))
}

#[cfg(test)]
mod tests;
