//! Objects that are not in the store: replaced or removed meanwhile, not uploaded yet by another mount, or lost.

use crate::{Shard, limits};
use shoal_types::{Errno, FsResult};
use std::time::Instant;

/// How often one reader has met it.
#[derive(Default)]
pub(super) struct Missing {
    times: u32,
    since: Option<Instant>,
}

impl Shard {
    /// What a file's slices name is missing (`ESTALE`): tells whether to look at the file again. `EIO` when that has been
    /// done for long enough. While some mount has a write-back folder this takes its time: an upload is waited for.
    pub(super) async fn look_again(&self, missing: &mut Missing) -> FsResult<()> {
        missing.times += 1;
        if missing.times <= limits::READ_RETRIES_MAX {
            return Ok(());
        }
        let since = *missing.since.get_or_insert_with(Instant::now);
        if since.elapsed() >= limits::UPLOAD_PATIENCE
            || !self.read_metadata(|metadata| metadata.has_writeback_folders()).await?
        {
            return Err(Errno::EIO);
        }
        shoal_runtime::sleep(limits::UPLOAD_LOOK_INTERVAL).await;
        Ok(())
    }
}
