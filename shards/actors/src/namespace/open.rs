//! Opening and closing.
//!
//! A handle is counted before the attributes are looked at. Whoever removes a last name commits first and then looks at
//! the count (`remove.rs`). So either the opener sees that the name is gone, or the remover sees the handle. An opener who
//! comes too late for the name can still take the inode off the removal queue.

use super::lookup::has_lost_its_name;
use super::{Access, Opened, RemovedFiles};
use crate::message::Message;
use crate::open_files::OpenFile;
use crate::shard::Shard;
use shoal_types::{Attributes, Errno, FsResult, Ino, InodeFlags};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

/// A counted handle that is closed again unless it is kept.
pub(super) struct Handle {
    shard: Rc<Shard>,
    file: Arc<OpenFile>,
    kept: bool,
}

impl Handle {
    /// The store keeps the inode for as long as this mount has it open, or does so no more.
    pub fn set_sustained(&self, sustained: bool) {
        self.file.sustained.store(sustained, SeqCst);
    }

    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if !self.kept {
            let (shard, file) = (self.shard.clone(), self.file.clone());
            self.shard.spawn_unless_stopped(async move { shard.close_file(&file).await });
        }
    }
}

impl Shard {
    /// Close-to-open: the content seen afterwards is at least what any mount had closed before. `EPERM` for what the
    /// file's flags forbid.
    /// Without a name only as `removed` says.
    pub async fn open(self: &Rc<Self>, ino: Ino, access: Access, removed: RemovedFiles) -> FsResult<Opened> {
        let epoch = self.shared.exact_epoch();
        let handle = self.count_handle(ino);
        let attributes = self.living_attributes(ino, &handle, removed).await?;
        access.check(attributes.flags)?;
        self.revalidate(&handle.file, epoch).await?;
        self.note_open_in_order(ino);
        let keep_cache = self.kept_pages.note_open(ino, epoch);
        handle.keep();
        Ok(Opened { attributes, keep_cache, tell_closes: self.shared.lock_marks.has(ino) })
    }

    pub async fn open_directory(self: &Rc<Self>, ino: Ino, removed: RemovedFiles) -> FsResult<()> {
        let handle = self.count_handle(ino);
        self.living_attributes(ino, &handle, removed).await?;
        handle.keep();
        Ok(())
    }

    /// One handle less, of a file or directory. What is still buffered goes on being stored.
    pub async fn close(self: &Rc<Self>, ino: Ino) {
        match self.shared.open_files.get(ino) {
            Some(file) => self.close_file(&file).await,
            None => tracing::error!(%ino, "a file was closed that is not open"),
        }
    }

    pub(super) fn count_handle(self: &Rc<Self>, ino: Ino) -> Handle {
        Handle { shard: self.clone(), file: self.shared.open_files.open(ino), kept: false }
    }

    async fn close_file(self: &Rc<Self>, file: &OpenFile) {
        if !self.shared.open_files.close(file) {
            return;
        }
        let ino = file.ino;
        if file.sustained.load(SeqCst) {
            // Before the front end learns that it's closed: it forgets nothing before that.
            self.shared.held.put(ino);
            self.shared.held.note_sustained(ino);
        }
        let owner = self.shared.owner(ino);
        if owner != self.index && (file.owned.load(SeqCst) || file.sustained.load(SeqCst)) {
            return self.send(owner, Message::Closed { ino }).await;
        }
        // Not awaited: whoever closes does not wait for the last uploads.
        let shard = self.clone();
        match owner == self.index {
            true => shoal_runtime::spawn_eager(async move { shard.closed(ino).await }),
            false => {
                self.forget_open_file(file).await;
            }
        }
    }

    /// Takes a file without state off the map; one that was sustained is released. `false`: it was opened again.
    pub(crate) async fn forget_open_file(self: &Rc<Self>, file: &OpenFile) -> bool {
        if !self.shared.open_files.remove_closed(file) {
            return false;
        }
        // After it is off the map: whoever sustains it from now on sees that, and releases it.
        if file.sustained.load(SeqCst) {
            self.release_closed(file.ino).await;
        }
        true
    }

    async fn living_attributes(
        self: &Rc<Self>,
        ino: Ino,
        handle: &Handle,
        removed: RemovedFiles,
    ) -> FsResult<Attributes> {
        let attributes = match self.shared.exact_epoch() {
            Some(_) => self.get_attributes(ino).await?,
            None => self.read_attributes(ino).await.inspect_err(|_| {
                // Whatever led here must not lead here again.
                self.shared.stamps.raise_attributes(ino);
            })?,
        };
        if removed == RemovedFiles::Refused && has_lost_its_name(&attributes) {
            return Err(Errno::ESTALE);
        }
        if attributes.nlink > 0 || attributes.flags.has(InodeFlags::TRASHED) || handle.file.sustained.load(SeqCst) {
            return Ok(attributes);
        }
        // It was found by a name that it has lost meanwhile. Who opens a file that is being replaced must get one of the
        // two, so it is kept as if it had been open before.
        match self.sustain(ino).await? {
            true => handle.set_sustained(true),
            false => return Err(Errno::ENOENT),
        }
        Ok(attributes)
    }

    /// Makes the owner look at the store again if another mount may have changed the file since it last did.
    pub(crate) async fn revalidate(self: &Rc<Self>, file: &OpenFile, epoch: Option<u64>) -> FsResult<()> {
        let known = epoch.is_some_and(|epoch| file.validated.load(SeqCst) == epoch);
        if known || !file.owned.load(SeqCst) {
            return Ok(());
        }
        let (ino, epoch) = (file.ino, epoch.unwrap_or(0));
        let owner = self.shared.owner(ino);
        match owner == self.index {
            true => self.revalidate_owned(ino, epoch).await,
            false => self.ask(owner, |respond| Message::Revalidate { ino, epoch, respond }).await,
        }
    }
}
