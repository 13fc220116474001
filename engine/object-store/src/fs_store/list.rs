//! Walking the folder: what is there, and what killed puts left.
//!
//! The walk runs on a blocking thread and hands over what it finds in bounded batches, so that a listing of any length
//! takes a bounded amount of memory, and ends when nobody listens any more.

use super::errors::from_io;
use super::paths::prefix_folder;
use super::run_blocking;
use crate::naming::is_temporary;
use crate::{ListedObject, StoreResult};
use std::fs::{DirEntry, Metadata};
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::SystemTime;

const BATCH: usize = 256;
const BATCHES_WAITING_MAX: usize = 4;

pub(super) async fn list(
    root: &Path,
    prefix: &str,
    found: &mut (dyn FnMut(ListedObject) -> StoreResult<()> + Send),
) -> StoreResult<()> {
    let (folder, prefix, root) = (prefix_folder(root, prefix)?, prefix.to_string(), root.to_path_buf());
    let (sender, mut batches) = tokio::sync::mpsc::channel(BATCHES_WAITING_MAX);
    let walker = run_blocking(move || {
        let mut batch = Vec::new();
        walk(&folder, &mut |path, name, metadata| {
            let key = path.strip_prefix(&root).ok().and_then(Path::to_str);
            if let Some(key) = key.filter(|key| key.starts_with(&prefix) && !is_temporary(name)) {
                let (key, bytes, modified) = (key.to_string(), metadata.len(), metadata.modified().ok());
                batch.push(ListedObject { key, bytes, modified });
            }
            match batch.len() == BATCH && sender.blocking_send(std::mem::take(&mut batch)).is_err() {
                true => Ok(ControlFlow::Break(())),
                false => Ok(ControlFlow::Continue(())),
            }
        })?;
        // Nobody listens any more when `found` has refused; then the rest does not matter.
        let _ = sender.blocking_send(batch);
        Ok(())
    });
    let listen = async {
        while let Some(batch) = batches.recv().await {
            batch.into_iter().try_for_each(&mut *found)?;
        }
        Ok(())
    };
    // The first error ends both: a walker whose listener is gone stops at its next batch.
    futures_util::future::try_join(walker, listen).await.map(|_| ())
}

pub(super) fn remove_temporaries(root: &Path, older_than: SystemTime) -> StoreResult<u64> {
    let mut removed = 0;
    walk(root, &mut |path, name, metadata| {
        let old = metadata.modified().is_ok_and(|modified| modified < older_than);
        if is_temporary(name) && old {
            match std::fs::remove_file(path) {
                Ok(()) => removed += 1,
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(from_io(path, &error)),
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(removed)
}

type Visit<'a> = dyn FnMut(&Path, &str, &Metadata) -> StoreResult<ControlFlow<()>> + 'a;

/// Visits every regular file below `folder`, until `visit` breaks off. What vanishes meanwhile is not there; links are
/// not followed.
fn walk(folder: &Path, visit: &mut Visit<'_>) -> StoreResult<()> {
    walk_folder(folder, visit).map(|_ended_early| ())
}

fn walk_folder(folder: &Path, visit: &mut Visit<'_>) -> StoreResult<ControlFlow<()>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(ControlFlow::Continue(()));
        }
        Err(error) => return Err(from_io(folder, &error)),
    };
    for entry in entries {
        let entry = entry.map_err(|error| from_io(folder, &error))?;
        if visit_entry(&entry, visit)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn visit_entry(entry: &DirEntry, visit: &mut Visit<'_>) -> StoreResult<ControlFlow<()>> {
    let (path, name) = (entry.path(), entry.file_name());
    let failed = |error: std::io::Error| from_io(&path, &error);
    // No key of ours has a name that is not text.
    let Some(name) = name.to_str() else { return Ok(ControlFlow::Continue(())) };
    let kind = entry.file_type().map_err(failed)?;
    if kind.is_dir() {
        return walk_folder(&path, visit);
    }
    if !kind.is_file() {
        return Ok(ControlFlow::Continue(()));
    }
    match entry.metadata() {
        Ok(metadata) => visit(&path, name, &metadata),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(ControlFlow::Continue(())),
        Err(error) => Err(failed(error)),
    }
}
