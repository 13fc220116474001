//! Changes of what is stored that no write makes: a truncation, a hole, a copy by reference.

use super::FileState;
use super::content::Content;
use crate::Shard;
use shoal_types::{BLOCK_BYTES, FsResult};
use std::future::Future;
use std::ops::Range;
use std::rc::Rc;

impl Shard {
    /// Commits what is buffered, then runs `change`, which changes these bytes of the file, while nothing else changes what
    /// is stored of it. What it leaves is taken over however it went: it may have come half way.
    pub(super) async fn change_stored<T>(
        self: &Rc<Self>,
        file: &Rc<FileState>,
        bytes: Range<u64>,
        change: impl Future<Output = FsResult<T>>,
    ) -> FsResult<T> {
        self.flush_file(file).await?;
        let _guard = file.committed.lock().await;
        let result = change.await;
        let taken_over = self.take_over(file, bytes).await;
        result.and_then(|value| taken_over.map(|()| value))
    }

    async fn take_over(self: &Rc<Self>, file: &Rc<FileState>, bytes: Range<u64>) -> FsResult<()> {
        let fresh = Content::load(self, file.ino).await?;
        file.content.borrow_mut().replace_committed(fresh);
        if let (Some(part), Some(cache)) = (self.cache_part(file.ino), &*file.cache.borrow()) {
            part.invalidate(cache, bytes.start / BLOCK_BYTES..bytes.end.div_ceil(BLOCK_BYTES));
        }
        file.publish_pending();
        file.publish();
        Ok(())
    }
}
