//! Commits: uploaded batches become part of the file, in the order they were sealed; flush and fsync wait for that.

use super::FileState;
use super::content::{Batch, BatchState, Chunk};
use super::lifecycle::InUse;
use crate::shared::now;
use crate::{Shard, limits};
use bytes::Bytes;
use shoal_kv::Durability;
use shoal_metadata::{MetaError, MetaOp, WriteInline, WriteSlices};
use shoal_types::{Errno, FsResult, Ino, Slice};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;

impl Shard {
    /// Commits everything buffered now. `Ok`: every mount sees it. An error leaves the bytes buffered for a retry.
    pub(crate) async fn flush_file(self: &Rc<Self>, file: &Rc<FileState>) -> FsResult<()> {
        self.seal(file);
        let (last, failures) = {
            let content = file.content.borrow();
            let last = content.sealed.back().cloned();
            (last, content.failures)
        };
        let Some(last) = last else { return told_losses(file) };
        self.retry_failed(file);
        self.start_commits(file);
        let ended = || matches!(&*last.state.borrow(), BatchState::Committed | BatchState::Dropped(_));
        file.progress.wait_until(|| ended() || file.content.borrow().failures != failures).await;
        match &*last.state.borrow() {
            BatchState::Committed => told_losses(file),
            BatchState::Dropped(error) => {
                // Told herewith.
                file.open.refused.store(0, SeqCst);
                Err(*error)
            }
            // A try failed; what it was is remembered unless another one has gone well since, for other batches.
            _ => Err(file.content.borrow().failure.unwrap_or(Errno::EIO)),
        }
    }

    pub(crate) async fn flush_owned(self: &Rc<Self>, ino: Ino) -> FsResult<()> {
        let file = self.files.borrow().get(&ino).map(|file| InUse::new(self, file));
        match file {
            Some(file) => self.flush_file(&file).await,
            None => Ok(()),
        }
    }

    fn retry_failed(self: &Rc<Self>, file: &Rc<FileState>) {
        let sealed: Vec<_> = file.content.borrow().sealed.iter().cloned().collect();
        for batch in sealed {
            let failed = matches!(&*batch.state.borrow(), BatchState::Failed(_));
            if failed {
                self.start_upload(file, &batch);
            }
        }
    }

    /// Makes sure that a task commits what is or becomes ready at the front.
    pub(super) fn start_commits(self: &Rc<Self>, file: &Rc<FileState>) {
        if file.committing.replace(true) {
            return;
        }
        let (shard, file) = (self.clone(), file.clone());
        shoal_runtime::spawn(async move {
            while shard.commit_front(&file).await {}
            file.committing.set(false);
            file.progress.notify();
        });
    }

    /// Commits the batches that stand ready at the front; `false` when there are none.
    async fn commit_front(self: &Rc<Self>, file: &Rc<FileState>) -> bool {
        let ready = ready_batches(file);
        let Some(first) = ready.first() else { return false };
        let result = match &*first.state.borrow() {
            BatchState::Failed(error) => Err(*error),
            _ => Ok(()),
        };
        let result = match result {
            Ok(()) => self.commit_ready(file, &ready).await,
            Err(error) => Err(error),
        };
        match result {
            Ok(Committed::Done) => true,
            // The file has slices now, so this batch needs an object after all.
            Ok(Committed::NotInline) => {
                file.content.borrow_mut().has_chunks = true;
                for batch in &ready {
                    self.start_upload(file, batch);
                }
                true
            }
            Ok(Committed::Refused(error)) => {
                self.drop_refused(file, error);
                false
            }
            Err(error) => {
                self.note_failure(file, error);
                false
            }
        }
    }

    fn note_failure(&self, file: &FileState, error: Errno) {
        {
            let mut content = file.content.borrow_mut();
            content.failure = Some(error);
            content.failures += 1;
            content.gone |= matches!(error, Errno::ENOENT | Errno::ESTALE);
        }
        // The inode was removed, or this session was declared dead: these bytes have nowhere to go.
        if file.is_gone() && self.drop_buffered(file, Errno::ESTALE) && !file.open.sustained.load(SeqCst) {
            tracing::error!(ino = %file.ino, %error, "acknowledged writes are lost: there is no such file any more");
            file.open.lost.store(true, SeqCst);
            if self.shared.is_fenced() {
                self.lost.set(Some(error));
            }
        }
        file.progress.notify();
    }

    /// A limit has been reached, or the file been made immutable, by others: writes are held against both before they are
    /// acknowledged. What is buffered is dropped, as a file system drops pages that it can't write back, and the next flush is told. To keep it and try again
    /// would take the buffer from those who have room.
    fn drop_refused(self: &Rc<Self>, file: &Rc<FileState>, error: Errno) {
        tracing::warn!(ino = %file.ino, %error, "acknowledged writes are dropped: the volume refuses them");
        let batches: Vec<_> = file.content.borrow().sealed.iter().cloned().collect();
        file.open.refused.store(error.0, SeqCst);
        let uploaded = batches.iter().filter_map(|batch| match &*batch.state.borrow() {
            BatchState::Uploaded(chunks) => Some(chunks.clone()),
            _ => None,
        });
        let uploaded: Vec<_> = uploaded.collect();
        self.drop_buffered(file, error);
        file.publish();
        let shard = self.clone();
        shoal_runtime::spawn(async move {
            for chunks in uploaded {
                shard.discard_uploaded(BatchState::Uploaded(chunks)).await;
            }
        });
    }

    async fn commit_ready(self: &Rc<Self>, file: &Rc<FileState>, ready: &[Rc<Batch>]) -> FsResult<Committed> {
        self.shorten_lists(file, ready).await?;
        let _guard = file.committed.lock().await;
        match ready.iter().any(|batch| matches!(&*batch.state.borrow(), BatchState::Dropped(_))) {
            true => Ok(Committed::Done),
            false => self.commit_batches(file, ready).await,
        }
    }

    /// Rewrites the lists that would become too long by this commit.
    async fn shorten_lists(self: &Rc<Self>, file: &Rc<FileState>, ready: &[Rc<Batch>]) -> FsResult<()> {
        for (number, added) in added_slices(ready) {
            self.make_room_in_list(file, number, added).await?;
        }
        Ok(())
    }

    async fn commit_batches(self: &Rc<Self>, file: &Rc<FileState>, ready: &[Rc<Batch>]) -> FsResult<Committed> {
        let inline = matches!(&*ready[0].state.borrow(), BatchState::Inline);
        let (operation, slices) = match inline {
            true => (self.inline_operation(file, &ready[0]), Vec::new()),
            false => self.slices_operation(file, ready),
        };
        let reply = match self.try_mutate(operation, Durability::Visible).await {
            Err(MetaError::Refused(error @ (Errno::EDQUOT | Errno::ENOSPC | Errno::EPERM))) => {
                return Ok(Committed::Refused(error));
            }
            reply => reply?,
        };
        if reply.is_not_inline() {
            return Ok(Committed::NotInline);
        }
        match inline {
            true => {
                take_inline(file, &ready[0]);
                self.note_staged(file);
            }
            false => self.take_slices(file, slices).into_iter().for_each(|chunk| self.start_compaction(file, chunk)),
        }
        self.pop_committed(file, ready);
        Ok(Committed::Done)
    }

    /// The packer has something to look at.
    fn note_staged(&self, file: &FileState) {
        let bytes = file.content.borrow().inline.as_ref().map_or(0, Bytes::len);
        if bytes > self.shared.settings.inline_bytes_max as usize {
            self.shared.staged.store(true, SeqCst);
        }
    }

    fn inline_operation(&self, file: &FileState, batch: &Batch) -> MetaOp {
        MetaOp::WriteInline(WriteInline {
            ino: file.ino,
            patches: batch.writes.runs().map(|(offset, parts)| (offset, parts.concat())).collect(),
            length_min: batch.length,
            inline_max: self.shared.settings.inline_bytes_max,
            staging: self.shared.settings.staging,
            mtime: batch.mtime,
            exempt: batch.exempt,
            session: self.shared.session,
        })
    }

    fn slices_operation(&self, file: &FileState, ready: &[Rc<Batch>]) -> (MetaOp, Vec<(u64, Vec<Slice>)>) {
        let mut chunks: BTreeMap<u64, Vec<Slice>> = BTreeMap::new();
        let mut allocated = 0;
        for batch in ready {
            let BatchState::Uploaded(slices) = &*batch.state.borrow() else {
                unreachable!("`ready_batches` gives uploaded ones")
            };
            for (chunk, slices) in slices {
                allocated += slices.iter().map(|slice| i64::from(slice.length)).sum::<i64>();
                chunks.entry(*chunk).or_default().extend(slices);
            }
        }
        let slices: Vec<_> = chunks.into_iter().collect();
        let operation = WriteSlices {
            ino: file.ino,
            chunks: slices.clone(),
            length: ready.iter().map(|batch| batch.length).max().unwrap_or(0),
            mtime: ready.iter().map(|batch| batch.mtime).max().unwrap_or_else(now),
            allocated,
            exempt: ready.iter().all(|batch| batch.exempt),
            session: self.shared.session,
        };
        (MetaOp::WriteSlices(operation), slices)
    }

    /// Brings the committed layers in memory up to the commit; tells which chunks' lists should be rewritten.
    fn take_slices(&self, file: &FileState, slices: Vec<(u64, Vec<Slice>)>) -> Vec<u64> {
        let mut content = file.content.borrow_mut();
        let mut long = Vec::new();
        content.has_chunks = true;
        for (number, added) in slices {
            content.note_unsynced(added.iter().map(|slice| slice.object));
            if let Some(chunk) = content.known_chunk(number) {
                let chunk = Chunk::new([&chunk.list[..], &added].concat());
                if super::compact::is_due(&chunk, self.shared.settings.block_bytes) {
                    long.push(number);
                }
                content.keep_chunk(number, Rc::new(chunk));
            }
            self.forget_cached(file, number, &added);
        }
        long
    }

    fn pop_committed(&self, file: &FileState, ready: &[Rc<Batch>]) {
        let mut content = file.content.borrow_mut();
        // Some may have been given up while they were committed; those are off the queue already.
        let dropped = |batch: &&Rc<Batch>| matches!(&*batch.state.borrow(), BatchState::Dropped(_));
        for batch in ready.iter().filter(|batch| !dropped(batch)) {
            let front = content.sealed.pop_front().expect("committed batches stand at the front");
            assert!(Rc::ptr_eq(&front, batch), "batches are committed in the order they were sealed");
            *batch.state.borrow_mut() = BatchState::Committed;
            content.committed_length = content.committed_length.max(batch.length);
            self.write_budget.release(batch.budget);
            file.reserved.borrow_mut().spend(batch.budget);
        }
        content.failure = None;
        drop(content);
        file.publish_pending();
        file.publish();
        file.progress.notify();
    }
}

enum Committed {
    Done,
    NotInline,
    /// By a limit, or because the file is immutable.
    Refused(Errno),
}

/// The batches at the front that one commit can take: one inline batch, a failed one, or several uploaded ones.
fn ready_batches(file: &FileState) -> Vec<Rc<Batch>> {
    let content = file.content.borrow();
    let Some(first) = content.sealed.front() else { return Vec::new() };
    match &*first.state.borrow() {
        BatchState::Uploading => Vec::new(),
        BatchState::Inline | BatchState::Failed(_) => vec![first.clone()],
        BatchState::Uploaded(_) => {
            let mut slices = 0;
            let fits = |batch: &&Rc<Batch>| {
                slices += slice_count(batch);
                Rc::ptr_eq(batch, first) || slices <= limits::COMMIT_SLICES_MAX
            };
            let uploaded = |batch: &&Rc<Batch>| matches!(&*batch.state.borrow(), BatchState::Uploaded(_));
            let ready = content.sealed.iter().take_while(uploaded).take_while(fits);
            ready.take(limits::COMMIT_BATCHES_MAX).cloned().collect()
        }
        BatchState::Committed | BatchState::Dropped(_) => unreachable!("such batches are not queued"),
    }
}

fn slice_count(batch: &Batch) -> usize {
    match &*batch.state.borrow() {
        BatchState::Uploaded(chunks) => chunks.iter().map(|(_, slices)| slices.len()).sum(),
        _ => 0,
    }
}

/// How many slices these batches add to each chunk.
fn added_slices(ready: &[Rc<Batch>]) -> BTreeMap<u64, usize> {
    let mut added = BTreeMap::new();
    for batch in ready {
        if let BatchState::Uploaded(chunks) = &*batch.state.borrow() {
            chunks.iter().for_each(|(number, slices)| *added.entry(*number).or_default() += slices.len());
        }
    }
    added
}

/// The inline bytes as this commit has made them. What another mount wrote into them is seen at the next open.
fn take_inline(file: &FileState, batch: &Batch) {
    let mut content = file.content.borrow_mut();
    let mut bytes = content.inline.take().map(|bytes| bytes.to_vec()).unwrap_or_default();
    bytes.resize(bytes.len().max(batch.length as usize), 0);
    for (offset, parts) in batch.writes.runs() {
        let mut at = offset as usize;
        for part in parts {
            bytes[at..at + part.len()].copy_from_slice(&part);
            at += part.len();
        }
    }
    content.inline = Some(bytes.into());
}

/// Bytes that had to be given up were acknowledged once. Where the file itself is lost, every flush says so from then on;
/// what a limit stood against is told once.
fn told_losses(file: &FileState) -> FsResult<()> {
    match (file.open.lost.load(SeqCst), file.open.refused.swap(0, SeqCst)) {
        (true, _) => Err(Errno::ESTALE),
        (false, 0) => Ok(()),
        (false, refused) => Err(Errno(refused)),
    }
}
