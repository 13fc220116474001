//! Truncation: the one change of a file that takes bytes away, so it waits for what is buffered before it.

use super::FileState;
use super::lifecycle::InUse;
use crate::Shard;
use shoal_file_data::DirtyMap;
use shoal_kv::Durability;
use shoal_metadata::{MetaOp, Truncate};
use shoal_types::{Attributes, Errno, FILE_BYTES_MAX, FsResult, Ino, Timestamp};
use std::rc::Rc;

impl Shard {
    pub(crate) async fn truncate_owned(self: &Rc<Self>, ino: Ino, length: u64, now: Timestamp) -> FsResult<Attributes> {
        if length > FILE_BYTES_MAX {
            return Err(Errno::EFBIG);
        }
        let file = self.files.borrow().get(&ino).map(|file| InUse::new(self, file));
        let Some(file) = file else {
            return self.truncate_unloaded(ino, length, now).await;
        };
        let beyond = take_beyond(&file, length);
        let result = self.truncate_loaded(&file, length, now).await;
        match &result {
            Ok(_) => self.release_dropped(&file, beyond.bytes()),
            Err(_) => put_back(&file, beyond),
        }
        result
    }

    async fn truncate_unloaded(self: &Rc<Self>, ino: Ino, length: u64, now: Timestamp) -> FsResult<Attributes> {
        let attributes = self.truncate_committed(ino, length, now).await?;
        // Somebody may have loaded the file meanwhile, or be about to, with what was there before.
        self.revalidations.set(self.revalidations.get() + 1);
        let loaded = self.files.borrow().get(&ino).map(|file| InUse::new(self, file));
        if let Some(file) = loaded {
            self.reload(&file).await?;
        }
        Ok(attributes)
    }

    async fn truncate_loaded(
        self: &Rc<Self>,
        file: &Rc<FileState>,
        length: u64,
        now: Timestamp,
    ) -> FsResult<Attributes> {
        // What lies before the new end must be committed first: a commit only ever raises the length.
        let truncation = self.truncate_committed(file.ino, length, now);
        self.change_stored(file, length..u64::MAX, truncation).await
    }

    /// The budget of bytes that were cut off before they were stored.
    fn release_dropped(&self, file: &FileState, bytes: usize) {
        let mut content = file.content.borrow_mut();
        let budget = match content.dirty.is_empty() {
            true => content.dirty_budget,
            false => bytes.min(content.dirty_budget),
        };
        content.dirty_budget -= budget;
        drop(content);
        self.write_budget.release(budget);
        file.reserved.borrow_mut().give_back(budget);
    }

    /// One transaction, or for a huge file several that cut it from its end.
    async fn truncate_committed(self: &Rc<Self>, ino: Ino, length: u64, now: Timestamp) -> FsResult<Attributes> {
        loop {
            let operation = MetaOp::Truncate(Truncate { ino, length, now, session: self.shared.session });
            let reply = self.mutate(operation, Durability::Visible).await?.into_truncated()?;
            self.shared.stamps.raise_attributes(ino);
            if reply.done {
                return Ok(reply.attributes);
            }
            shoal_runtime::yield_now().await;
        }
    }
}

/// What is buffered beyond the new end need not be uploaded. Only while nothing is sealed: a batch is committed whole.
fn take_beyond(file: &FileState, length: u64) -> DirtyMap {
    let mut content = file.content.borrow_mut();
    match content.sealed.is_empty() {
        true => content.dirty.take(length..u64::MAX),
        false => DirtyMap::default(),
    }
}

/// The truncation has failed, so what it would have cut off is still there, below what was written since.
fn put_back(file: &FileState, beyond: DirtyMap) {
    let mut content = file.content.borrow_mut();
    let newer = std::mem::replace(&mut content.dirty, beyond);
    let mut pieces = Vec::new();
    newer.pieces(0..u64::MAX, &mut pieces);
    for (offset, bytes) in pieces {
        content.dirty.insert(offset, bytes);
    }
    content.length = content.length.max(content.dirty.end());
    drop(content);
    file.publish_pending();
}
