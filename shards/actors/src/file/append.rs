//! Writes behind the end of a file (`O_APPEND`): no two of them overlap, whatever mounts they come from.
//!
//! While this mount is alone its buffer knows the end, and appends are writes as any others. While another mount lives,
//! nobody's buffer does: then each append is stored at once, and its transaction decides where it stands. A newcomer waits
//! a while before it serves (decision 0007); in that time those who were there before commit what they have appended.

use super::FileState;
use super::lifecycle::InUse;
use super::write::of_its_own;
use crate::{Shard, limits};
use bytes::Bytes;
use shoal_file_data::DirtyMap;
use shoal_kv::Durability;
use shoal_metadata::{Append, AppendedContent, MetaOp};
use shoal_types::{FsResult, Ino, ObjectId, Timestamp};
use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;

impl Shard {
    /// Tells where the bytes begin.
    pub(crate) async fn append_owned(
        self: &Rc<Self>,
        ino: Ino,
        data: Bytes,
        exempt: bool,
        now: Timestamp,
    ) -> FsResult<u64> {
        let file = self.file(ino).await?;
        let data = of_its_own(data);
        self.refresh_protection(&file).await?;
        self.reserve_whole(&file, data.len(), exempt, now).await?;
        self.make_room(data.len()).await;
        // A mount that is cut off could commit late what stands in its buffer. Only who shares a host with the store can't be.
        while let Some(epoch) = self.shared.kv.foreign_epoch().filter(|_| self.shared.is_alone()) {
            if file.open.validated.load(SeqCst) == epoch {
                // From the look at the end to the buffer nothing is waited for.
                let end = file.content.borrow().length;
                self.buffer(&file, end, data, exempt, now)?;
                self.watch_appended(&file);
                self.sync_if_flagged(&file).await?;
                return Ok(end);
            }
            // The last thing another mount did is still to be seen.
            if let Err(error) = self.revalidate_owned(ino, epoch).await {
                self.write_budget.release(data.len());
                file.reserved.borrow_mut().give_back(data.len());
                return Err(error);
            }
        }
        let appended = self.append_stored(&file, &data, exempt, now).await;
        self.write_budget.release(data.len());
        file.reserved.borrow_mut().give_back(data.len());
        if appended.is_ok() {
            self.sync_if_flagged(&file).await?;
        }
        appended
    }

    async fn append_stored(
        self: &Rc<Self>,
        file: &Rc<FileState>,
        data: &Bytes,
        exempt: bool,
        now: Timestamp,
    ) -> FsResult<u64> {
        let inline_max = self.shared.settings.inline_bytes_max;
        let small = !file.content.borrow().has_chunks && data.len() <= inline_max as usize;
        if small {
            let content = AppendedContent::Inline { bytes: data.to_vec(), inline_max };
            if let Some(offset) = self.append_once(file, content, exempt, now).await? {
                return Ok(offset);
            }
        }
        let objects = self.upload_appended(data).await?;
        let numbers: Vec<ObjectId> = objects.iter().map(|(object, _)| *object).collect();
        // Each object is one slice, or two where a chunk ends.
        let chunk = file.content.borrow().committed_length / shoal_types::CHUNK_BYTES;
        self.make_room_in_list(file, chunk, 2 * objects.len()).await?;
        let offset = self.append_once(file, AppendedContent::Objects(objects), exempt, now).await?;
        file.content.borrow_mut().note_unsynced(numbers.into_iter());
        Ok(offset.expect("only what is meant to be inline can be refused as that"))
    }

    /// `None`: this can't be inline.
    async fn append_once(
        self: &Rc<Self>,
        file: &Rc<FileState>,
        content: AppendedContent,
        exempt: bool,
        now: Timestamp,
    ) -> FsResult<Option<u64>> {
        let append = Append { ino: file.ino, content, mtime: now, exempt, session: self.shared.session };
        let change = async {
            let reply = self.mutate(MetaOp::Append(append), Durability::Visible).await?;
            match reply.is_not_inline() {
                true => Ok(None),
                false => reply.into_appended().map(|appended| Some(appended.offset)),
            }
        };
        let end = file.content.borrow().committed_length;
        self.change_stored(file, end..u64::MAX, change).await
    }

    async fn upload_appended(self: &Rc<Self>, data: &Bytes) -> FsResult<Vec<(ObjectId, u32)>> {
        let mut writes = DirtyMap::default();
        // Where they will stand is not known yet, so they are cut as if they stood at the beginning.
        writes.insert(0, data.clone());
        let chunks = self.upload_writes(&writes).await?;
        Ok(chunks.into_iter().flat_map(|(_, slices)| slices).map(|slice| (slice.object, slice.length)).collect())
    }

    /// Appended bytes are buffered while this mount is alone. When that ends, they are committed without delay.
    fn watch_appended(self: &Rc<Self>, file: &Rc<FileState>) {
        if file.appended.replace(true) {
            return;
        }
        let (shard, file) = (self.clone(), InUse::new(self, file));
        shoal_runtime::spawn(async move {
            while file.has_buffered() && !file.is_gone() {
                if !shard.shared.is_alone()
                    && let Err(error) = shard.flush_file(&file).await
                {
                    tracing::warn!(ino = %file.ino, %error, "appended bytes could not be committed yet");
                }
                shoal_runtime::sleep(limits::APPEND_LOOK_INTERVAL).await;
            }
            file.appended.set(false);
        });
    }
}
