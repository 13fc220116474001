//! One put: open a temporary file beside the object's place, write it, rename it without replacing. Four system calls.
//!
//! What a crash leaves, by step. Of the process: after open or write, a temporary file, which is never listed and which
//! `remove_temporaries` removes; after rename, the object. Of the machine: any of these, or an object with holes or
//! zeros where the kernel had not yet written it, because nothing is synced here; its checksums tell.

use super::folders::Folders;
use super::store_error;
use crate::naming::TEMPORARY_PREFIX;
use crate::{StoreError, StoreResult};
use bytes::Bytes;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Tells the blocking half of a put that its future is gone, so that nothing is published which nobody waits for.
#[derive(Default)]
pub(super) struct Cancel(Arc<AtomicBool>);

impl Cancel {
    pub fn watch(&self) -> Arc<AtomicBool> {
        self.0.clone()
    }
}

impl Drop for Cancel {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(super) fn put(folders: &Folders, path: &Path, segments: &[Bytes], cancelled: &AtomicBool) -> StoreResult<()> {
    let folder = path.parent().expect("an object lies in a folder");
    refuse_if(cancelled, path)?;
    let (temporary, file) = create_temporary(folders, folder)?;
    let written = write_all(&file, segments)
        .map_err(|errno| store_error(&temporary, errno))
        .and_then(|()| refuse_if(cancelled, path))
        .and_then(|()| publish(&temporary, path));
    if written.is_err() {
        // If even this fails, garbage collection does it later; the first error is the one to report.
        let _ = rustix::fs::unlink(&temporary);
    }
    written
}

fn refuse_if(cancelled: &AtomicBool, path: &Path) -> StoreResult<()> {
    match cancelled.load(Ordering::Relaxed) {
        true => Err(StoreError::Unavailable(format!("{}: the put was given up", path.display()))),
        false => Ok(()),
    }
}

fn create_temporary(folders: &Folders, folder: &Path) -> StoreResult<(PathBuf, OwnedFd)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{TEMPORARY_PREFIX}{}-{number}", std::process::id()));
        match rustix::fs::open(&path, flags, Mode::from_raw_mode(0o600)) {
            Ok(file) => return Ok((path, file)),
            // Left by a dead process of the same number, or in use by one of another host. It is not ours.
            Err(Errno::EXIST) => {}
            Err(Errno::NOENT) => folders.make(folder)?,
            Err(errno) => return Err(store_error(&path, errno)),
        }
    }
}

fn write_all(file: &OwnedFd, segments: &[Bytes]) -> rustix::io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> =
        segments.iter().filter(|segment| !segment.is_empty()).map(|segment| IoSlice::new(segment)).collect();
    let mut rest = slices.as_mut_slice();
    while !rest.is_empty() {
        let batch = rest.len().min(SLICES_MAX);
        match rustix::io::writev(file, &rest[..batch]) {
            Ok(count) => IoSlice::advance_slices(&mut rest, count),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn publish(temporary: &Path, path: &Path) -> StoreResult<()> {
    match rustix::fs::renameat_with(CWD, temporary, CWD, path, RenameFlags::NOREPLACE) {
        // Not every file system renames without replacing (NFS does not); all of them link so.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => publish_by_link(temporary, path),
        renamed => renamed.map_err(|errno| store_error(path, errno)),
    }
}

fn publish_by_link(temporary: &Path, path: &Path) -> StoreResult<()> {
    rustix::fs::linkat(CWD, temporary, CWD, path, AtFlags::empty()).map_err(|errno| store_error(path, errno))?;
    // The object is there; a second name that could not be removed is garbage collection's work.
    let _ = rustix::fs::unlink(temporary);
    Ok(())
}

/// What one call takes (the kernel's IOV_MAX).
const SLICES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_put_whose_future_is_gone_publishes_nothing_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let folders = Folders::new(folder.path().to_path_buf());
        let path = folder.path().join("object");
        let cancel = Cancel::default();
        let cancelled = cancel.watch();
        drop(cancel);
        let refused = put(&folders, &path, &[Bytes::from_static(b"x")], &cancelled);
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn publishing_by_link_refuses_an_existing_object_too() {
        let folder = tempfile::tempdir().unwrap();
        let (new, path) = (folder.path().join("new"), folder.path().join("object"));
        std::fs::write(&new, "first").unwrap();
        publish_by_link(&new, &path).unwrap();
        std::fs::write(&new, "second").unwrap();
        assert!(matches!(publish_by_link(&new, &path), Err(StoreError::Exists(_))));
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
    }

    #[test]
    fn more_segments_than_one_call_takes_are_written_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let folders = Folders::new(folder.path().to_path_buf());
        let path = folder.path().join("object");
        let segments: Vec<Bytes> = (0..3000u32).map(|number| Bytes::from(number.to_le_bytes().to_vec())).collect();
        put(&folders, &path, &segments, &AtomicBool::new(false)).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), segments.concat());
    }
}
