//! The packer: what this mount has staged in metadata becomes slices of objects that hold many small files.
//!
//! Files are taken by directory, in the order they were made, so that neighbours come into one pack and one GET serves them
//! all. A file that was changed a moment ago waits: it may be changed again. A pack that is not full waits for more, for a
//! while. What a session has staged that does not live any more is packed by whoever looks first; two that look at once
//! lose nothing but a PUT.
//!
//! The pack is synced before a list refers to it, as what was staged may have been.

use super::repacking::live_bytes;
use crate::limits;
use crate::shard::Shard;
use crate::shared::now;
use bytes::Bytes;
use shoal_kv::Durability;
use shoal_metadata::{MetaError, MetaOp, Pack, PackedFile, StagedFile};
use shoal_types::{FsResult, Ino, SessionId, Timestamp};
use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// What a pack is to be made of.
#[derive(Default)]
struct Load {
    files: Vec<PackedFile>,
    bytes: usize,
    /// Some of it has waited long enough.
    ripe: bool,
}

/// Beside maintenance, which must not wait for uploads.
pub(crate) async fn run(shard: Rc<Shard>) {
    // What ended sessions have left is looked for first, and then from time to time.
    let mut rounds = 0;
    loop {
        // At first maintenance ends the sessions that have died.
        shoal_runtime::sleep(limits::PACK_INTERVAL).await;
        let orphans = rounds % limits::PACK_ROUNDS_PER_LOOK_AROUND == 0;
        rounds += 1;
        if shard.shared.is_fenced() || shard.stopped.get() {
            return;
        }
        if let Err(error) = round(&shard, orphans, false).await {
            tracing::warn!(%error, "small files could not be packed yet");
        }
    }
}

impl Shard {
    /// Packs all that this mount has staged, however little and however young it is.
    #[cfg(test)]
    pub(crate) async fn pack_all(self: &Rc<Self>) -> FsResult<()> {
        round(self, true, true).await
    }
}

async fn round(shard: &Rc<Shard>, orphans: bool, all: bool) -> FsResult<()> {
    // Also what has come to be staged by cloning.
    if shard.shared.staged.swap(false, SeqCst) || all || orphans {
        let left = pack_session(shard, shard.shared.session, all).await;
        // Also after a failure.
        if left != Ok(false) {
            shard.shared.staged.store(true, SeqCst);
        }
        left?;
    }
    if orphans {
        for session in shard.read_metadata(|metadata| metadata.staging_sessions()).await? {
            let lives = shard.read_metadata(move |metadata| metadata.session(session)).await?.is_some();
            if !lives {
                pack_session(shard, session, true).await?;
            }
        }
    }
    Ok(())
}

/// Tells whether anything is left for another round.
async fn pack_session(shard: &Rc<Shard>, session: SessionId, all: bool) -> FsResult<bool> {
    let (mut behind, mut load, mut left) = (None, Load::default(), false);
    // On the list, and nothing is staged of it any more.
    let mut stale = Load::default();
    loop {
        let page = limits::STAGED_FILES_PER_READ;
        let files = shard.read_metadata(move |metadata| metadata.staged_files(session, behind, page)).await?;
        behind = files.last().map(|file| (file.directory, file.ino)).filter(|_| files.len() == page);
        for file in files {
            let Some((bytes, changed)) = inline_bytes(shard, file.ino).await? else {
                stale.add(file, Vec::new(), true);
                continue;
            };
            let age = Duration::from_nanos(now().as_nanos().saturating_sub(changed.as_nanos()));
            // A time in the future was set by somebody: that file is as old as any.
            let young = age < limits::PACK_AGE_MIN && changed <= now();
            if young && !all {
                left = true;
                continue;
            }
            if load.bytes + bytes.len() > shard.shared.settings.block_bytes as usize {
                store(shard, session, std::mem::take(&mut load)).await?;
            }
            load.add(file, bytes, all || age >= limits::PACK_AGE_RIPE);
        }
        if behind.is_none() {
            break;
        }
    }
    if stale.ripe {
        store(shard, session, stale).await?;
    }
    match load.ripe {
        true => store(shard, session, load).await?,
        false => left |= !load.files.is_empty(),
    }
    Ok(left)
}

/// What the file has inline and shall not keep there, and when it was changed. `None`: nothing.
async fn inline_bytes(shard: &Rc<Shard>, ino: Ino) -> FsResult<Option<(Vec<u8>, Timestamp)>> {
    let content = shard.read_metadata(move |metadata| match metadata.get_content(ino) {
        Err(MetaError::Refused(_)) => Ok(None),
        content => content.map(Some),
    });
    let Some(content) = content.await? else { return Ok(None) };
    let (changed, inline_max) = (content.attributes.mtime, shard.shared.settings.inline_bytes_max as usize);
    Ok(content.inline.filter(|bytes| bytes.len() > inline_max).map(|bytes| (bytes, changed)))
}

/// Puts the pack, then has the files refer to it, some at a time.
async fn store(shard: &Rc<Shard>, staged_by: SessionId, load: Load) -> FsResult<()> {
    let object = shard.next_object().await?;
    let object_length = load.bytes as u32;
    if object_length > 0 {
        let _right = shard.shared.transfer.rewrite().wait().await?;
        let parts = load.files.iter().map(|file| Bytes::from(file.bytes.clone()));
        shard.shared.transfer.upload(object, parts.collect()).wait().await?;
        shard.shared.transfer.sync(vec![object]).wait().await?;
    }
    let (mut files, mut first) = (load.files.into_iter().peekable(), true);
    while files.peek().is_some() {
        let mut bytes = 0;
        let mut some = Vec::new();
        while let Some(file) = files.next_if(|file| {
            some.is_empty() || (bytes + file.bytes.len() <= PACK_COMMIT_BYTES && some.len() < PACK_COMMIT_FILES)
        }) {
            bytes += file.bytes.len();
            some.push(file);
        }
        let pack = Pack {
            object,
            object_length,
            files: some,
            inline_max: shard.shared.settings.inline_bytes_max,
            staged_by,
            first: std::mem::take(&mut first),
            last: files.peek().is_none(),
            now: now(),
            session: shard.shared.session,
        };
        shard.mutate(MetaOp::Pack(pack), Durability::Visible).await?;
        shoal_runtime::yield_now().await;
    }
    if object_length > 0 && live_bytes(shard, object).await? == 0 {
        // All of it was changed meanwhile. What was in use for a moment is in the queue, and is deleted once more.
        shard.shared.transfer.delete(vec![object]).wait().await?;
    }
    Ok(())
}

impl Load {
    fn add(&mut self, file: StagedFile, bytes: Vec<u8>, ripe: bool) {
        let offset = self.bytes as u32;
        self.bytes += bytes.len();
        self.ripe |= ripe;
        self.files.push(PackedFile { directory: file.directory, ino: file.ino, offset, bytes });
    }
}

/// What one transaction moves.
const PACK_COMMIT_BYTES: usize = 1 << 20;
const PACK_COMMIT_FILES: usize = 128;
