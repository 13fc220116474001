//! fsync: objects first, then metadata.
//!
//! An object may be unsynced because this mount committed it a moment ago, or because a program closed the file without
//! syncing it, long ago or on another mount. The first kind is remembered. For the second, a file that was not known to
//! be synced when its state was loaded is synced as a whole, once.

use super::FileState;
use super::content::Content;
use crate::{Shard, limits};
use shoal_types::{Errno, FsResult, Ino, ObjectId};
use std::collections::HashSet;
use std::rc::Rc;

impl Shard {
    /// Flush, then objects, then metadata: when this returns, power may fail.
    pub(crate) async fn fsync_owned(self: &Rc<Self>, ino: Ino) -> FsResult<()> {
        match self.file(ino).await {
            Ok(file) => {
                self.flush_file(&file).await?;
                self.sync_objects(&file).await?;
            }
            // Not a regular file: there are no objects.
            Err(Errno::EISDIR | Errno::EINVAL) => {}
            Err(error) => return Err(error),
        }
        self.sync_metadata().await
    }

    async fn sync_objects(self: &Rc<Self>, file: &Rc<FileState>) -> FsResult<()> {
        let _guard = file.syncing.lock().await;
        let (mut objects, all) = {
            let mut content = file.content.borrow_mut();
            (std::mem::take(&mut content.unsynced), std::mem::take(&mut content.wholly_unsynced))
        };
        let mut synced = Ok(());
        if all {
            synced = self.sync_all_objects(file).await;
        }
        if synced.is_ok() {
            synced = self.sync_list(&objects).await;
        }
        if synced.is_err() {
            let mut content = file.content.borrow_mut();
            content.wholly_unsynced |= all;
            objects.append(&mut content.unsynced);
            content.unsynced = objects;
        }
        synced
    }

    async fn sync_all_objects(self: &Rc<Self>, file: &FileState) -> FsResult<()> {
        let (ino, mut first) = (file.ino, 0);
        loop {
            let read =
                move |metadata: &shoal_metadata::Metadata| metadata.get_chunks(ino, first, limits::CHUNKS_PER_READ);
            let chunks = self.read_metadata(read).await?;
            let Some((last, _)) = chunks.last() else { return Ok(()) };
            let next = last.checked_add(1);
            let slices = chunks.iter().flat_map(|(_, slices)| slices);
            let objects: HashSet<ObjectId> = slices.map(|slice| slice.object).filter(|object| object.0 != 0).collect();
            self.sync_list(&objects.into_iter().collect::<Vec<_>>()).await?;
            let Some(next) = next else { return Ok(()) };
            first = next;
        }
    }

    async fn sync_list(&self, objects: &[ObjectId]) -> FsResult<()> {
        for some in objects.chunks(limits::SYNCED_AT_ONCE) {
            self.shared.transfer.sync(some.to_vec()).wait().await?;
        }
        Ok(())
    }

    /// What a file loaded again later need not be synced for.
    pub(super) fn remember_synced(&self, file: &FileState) {
        let content = file.content.borrow();
        if content.unsynced.is_empty() && !content.wholly_unsynced {
            self.synced.borrow_mut().insert(file.ino, self.shared.exact_epoch());
        } else {
            // Another value than any that counts as known.
            self.synced.borrow_mut().insert(file.ino, None);
        }
    }

    /// Whether everything in the file was synced when this shard last forgot it, and nobody else has written since.
    pub(super) fn was_synced(&self, ino: Ino, epoch: Option<u64>) -> bool {
        epoch.is_some() && self.synced.borrow_mut().get(&ino) == Some(epoch)
    }
}

impl Content {
    pub fn note_unsynced(&mut self, objects: impl Iterator<Item = ObjectId>) {
        self.unsynced.extend(objects);
        self.unsynced.dedup();
        if self.unsynced.len() > limits::UNSYNCED_MAX {
            self.unsynced.clear();
            self.wholly_unsynced = true;
        }
    }
}
