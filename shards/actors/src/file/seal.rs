//! Sealing: buffered writes become batches, and batches objects.

use super::FileState;
use super::content::{Batch, BatchState};
use crate::transfer::Outcome;
use crate::{Shard, limits};
use shoal_file_data::{DirtyMap, plan_objects};
use shoal_types::{Errno, FsResult, ObjectId, ObjectKind, Slice};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

impl Shard {
    /// Seals complete blocks while a writer streams on, so that uploads overlap with writing.
    pub(super) fn seal_full_blocks(self: &Rc<Self>, file: &Rc<FileState>) {
        let block_bytes = u64::from(self.shared.settings.block_bytes);
        let (writes, last) = {
            let dirty = &mut file.content.borrow_mut().dirty;
            (dirty.take_full_blocks(block_bytes), dirty.is_empty())
        };
        if let Some(writes) = writes {
            self.start_batch(file, writes, last);
        }
    }

    /// Seals everything buffered.
    pub(crate) fn seal(self: &Rc<Self>, file: &Rc<FileState>) {
        let writes = std::mem::take(&mut file.content.borrow_mut().dirty);
        // A commit can take only so many slices, so very scattered writes become several batches.
        let mut rest = writes;
        while let Some(writes) = take_batch(&mut rest) {
            self.start_batch(file, writes, rest.is_empty());
        }
    }

    /// `last`: nothing that was buffered stays behind.
    fn start_batch(self: &Rc<Self>, file: &Rc<FileState>, writes: DirtyMap, last: bool) {
        let batch = {
            let mut content = file.content.borrow_mut();
            // The budget counts bytes as they were written; what later writes covered leaves with the whole.
            let budget = match last {
                true => content.dirty_budget,
                false => writes.bytes().min(content.dirty_budget),
            };
            content.dirty_budget -= budget;
            let inline = self.stays_inline(&content);
            let batch = Rc::new(Batch {
                length: writes.end(),
                writes,
                mtime: content.mtime,
                exempt: content.exempt,
                budget,
                state: RefCell::new(if inline { BatchState::Inline } else { BatchState::Uploading }),
                uploading: Cell::new(false),
            });
            content.sealed.push_back(batch.clone());
            batch
        };
        if matches!(&*batch.state.borrow(), BatchState::Uploading) {
            self.start_upload(file, &batch);
        }
        self.start_commits(file);
    }

    fn stays_inline(&self, content: &super::content::Content) -> bool {
        let settings = &self.shared.settings;
        let small = content.length <= u64::from(settings.inline_bytes_max.max(settings.staging.file_bytes_max));
        let no_slices_ahead = content.sealed.iter().all(|batch| matches!(&*batch.state.borrow(), BatchState::Inline));
        small && !content.has_chunks && no_slices_ahead
    }

    /// Uploads a batch (again, after a failure); its state tells how it went.
    pub(super) fn start_upload(self: &Rc<Self>, file: &Rc<FileState>, batch: &Rc<Batch>) {
        if matches!(&*batch.state.borrow(), BatchState::Dropped(_)) || batch.uploading.replace(true) {
            return;
        }
        *batch.state.borrow_mut() = BatchState::Uploading;
        let (shard, file, batch) = (self.clone(), file.clone(), batch.clone());
        shoal_runtime::spawn(async move {
            let state = match shard.upload_writes(&batch.writes).await {
                Ok(slices) => BatchState::Uploaded(slices),
                Err(error) => BatchState::Failed(error),
            };
            batch.uploading.set(false);
            if !matches!(&*batch.state.borrow(), BatchState::Uploading) {
                // Given up meanwhile, and never given to a commit: nothing can refer to what was stored.
                return shard.discard_uploaded(state).await;
            }
            *batch.state.borrow_mut() = state;
            file.progress.notify();
            shard.start_commits(&file);
        });
    }

    /// What can't be deleted now is garbage that gc knows by its lease.
    pub(super) async fn discard_uploaded(&self, state: BatchState) {
        let BatchState::Uploaded(chunks) = state else { return };
        let objects: HashSet<ObjectId> =
            chunks.iter().flat_map(|(_, slices)| slices).map(|slice| slice.object).collect();
        if let Err(error) = self.shared.transfer.delete(objects.into_iter().collect()).wait().await {
            tracing::debug!(%error, "objects of a removed file are left to gc");
        }
    }

    /// Stores buffered writes as objects and tells the slices they have become, by chunk.
    pub(super) async fn upload_writes(self: &Rc<Self>, writes: &DirtyMap) -> FsResult<Vec<(u64, Vec<Slice>)>> {
        let planned = plan_objects(writes, self.shared.settings.block_bytes);
        let mut uploads: Vec<Outcome<()>> = Vec::with_capacity(planned.len());
        let mut chunks: BTreeMap<u64, Vec<Slice>> = BTreeMap::new();
        for object in planned {
            let id = self.next_object().await?;
            for (chunk, mut slice) in object.slices {
                slice.object = id;
                slice.kind = ObjectKind::Block;
                chunks.entry(chunk).or_default().push(slice);
            }
            uploads.push(self.shared.transfer.upload(id, object.parts));
        }
        let mut failure: Option<Errno> = None;
        for upload in uploads {
            if let Err(error) = upload.wait().await {
                failure = Some(error);
            }
        }
        match failure {
            // What was stored already is garbage that gc knows by its lease; the retry takes new numbers.
            Some(error) => Err(error),
            None => Ok(chunks.into_iter().collect()),
        }
    }
}

/// As many of the first runs as a batch may have.
fn take_batch(writes: &mut DirtyMap) -> Option<DirtyMap> {
    if writes.is_empty() {
        return None;
    }
    let border = writes.runs().nth(limits::BATCH_RUNS_MAX).map(|(offset, _)| offset);
    Some(match border {
        Some(border) => writes.take(0..border),
        None => std::mem::take(writes),
    })
}
