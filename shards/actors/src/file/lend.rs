//! Lending a cached file to somebody who reads it past us: see `shoal_cache`'s `lend`.

use super::FileState;
use super::lifecycle::InUse;
use crate::Shard;
use shoal_types::{BLOCK_BYTES, FsResult, Ino};
use std::os::fd::OwnedFd;
use std::rc::Rc;

impl Shard {
    pub(crate) async fn lend_owned(self: &Rc<Self>, ino: Ino) -> FsResult<Option<OwnedFd>> {
        let (Some(part), file) = (self.cache_part(ino), self.file(ino).await?) else { return Ok(None) };
        let Some(length) = lendable_length(&file) else { return Ok(None) };
        let Some(cache) = self.cache_file(&file) else { return Ok(None) };
        let whole = usize::try_from(length).is_ok_and(|length| cache.covers(0, length));
        if !whole {
            return Ok(None);
        }
        for block in 0..length.div_ceil(BLOCK_BYTES) {
            let view = self.view(&file, block).await?;
            part.identify(&cache, block, view.identity);
        }
        // Whoever changed the committed layers meanwhile took the identities back, and then nothing is ready.
        match lendable_length(&file) == Some(length) {
            true => Ok(part.lend(&cache, length)),
            false => Ok(None),
        }
    }

    pub(crate) fn give_back_owned(self: &Rc<Self>, ino: Ino) {
        let file = self.files.borrow().get(&ino).cloned();
        let cache = file.as_ref().and_then(|file| file.cache.borrow().clone());
        match (self.cache_part(ino), file, cache) {
            (Some(part), Some(file), Some(cache)) => {
                if part.give_back(&cache) {
                    let (shard, file) = (self.clone(), InUse::new(self, &file));
                    shoal_runtime::spawn(async move {
                        if let Some(part) = shard.cache_part(ino) {
                            part.drop_file(&cache).await;
                        }
                        drop(file);
                    });
                }
            }
            _ => tracing::error!(%ino, "a file was given back that is not open"),
        }
    }
}

/// Inline bytes and buffered writes are not in the cache file.
fn lendable_length(file: &FileState) -> Option<u64> {
    let content = file.content.borrow();
    let only_chunks = content.has_chunks && content.inline.is_none() && !content.has_buffered();
    only_chunks.then_some(content.committed_length)
}
