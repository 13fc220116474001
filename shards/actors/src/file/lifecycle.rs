//! From the first use of a file's state to its end.
//!
//! State is kept while the file is open, while a task works with it, and while something is buffered. The end is decided
//! in one step without an await, by taking the file off the map of open files, so that nobody finds half of it.

use super::FileState;
use super::content::{BatchState, Content};
use crate::local_event::{LocalEvent, LocalMutex};
use crate::{Shard, limits};
use shoal_file_data::Readahead;
use shoal_types::{Errno, FsResult, Ino};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::ops::Deref;
use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;

/// A file's state while somebody works with it.
pub(crate) struct InUse {
    shard: Rc<Shard>,
    file: Rc<FileState>,
}

impl InUse {
    pub fn new(shard: &Rc<Shard>, file: &Rc<FileState>) -> Self {
        file.uses.set(file.uses.get() + 1);
        InUse { shard: shard.clone(), file: file.clone() }
    }
}

impl Deref for InUse {
    type Target = Rc<FileState>;

    fn deref(&self) -> &Rc<FileState> {
        &self.file
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        let uses = self.file.uses.get() - 1;
        self.file.uses.set(uses);
        if uses == 0 && !self.file.open.is_open() && !self.file.closing.get() && !self.file.forgotten.get() {
            let (shard, ino) = (self.shard.clone(), self.file.ino);
            self.shard.spawn_unless_stopped(async move { shard.closed(ino).await });
        }
    }
}

impl Shard {
    /// The owned state of a file, loaded from the store on first use.
    pub(crate) async fn file(self: &Rc<Self>, ino: Ino) -> FsResult<InUse> {
        assert!(self.owns(ino), "only the owner holds file state");
        if let Some(file) = self.files.borrow().get(&ino) {
            return Ok(InUse::new(self, file));
        }
        let open = self.shared.open_files.open(ino);
        // From here on an opener that has seen other mounts' changes tells us, also while we load.
        open.owned.store(true, SeqCst);
        let loaded = self.load_settled(ino).await;
        let file = match (self.files.borrow().get(&ino), loaded) {
            // Another task loaded it meanwhile, and may have written to it.
            (Some(file), _) => Ok(InUse::new(self, file)),
            (None, Err(error)) => Err(error),
            (None, Ok((content, epoch))) => {
                open.validated.store(epoch.unwrap_or(0), SeqCst);
                Ok(InUse::new(self, &self.new_state(ino, open.clone(), content)))
            }
        };
        if let Ok(file) = &file {
            self.files.borrow_mut().entry(ino).or_insert_with(|| (**file).clone());
        }
        if self.shared.open_files.close(&open) && file.is_err() {
            self.forget_open_file(&open).await;
        }
        file
    }

    /// Content, and the foreign epoch it belongs to; loaded again if somebody asked for a fresh look meanwhile.
    async fn load_settled(self: &Rc<Self>, ino: Ino) -> FsResult<(Content, Option<u64>)> {
        loop {
            let asked = self.revalidations.get();
            let epoch = self.shared.exact_epoch();
            let content = Content::load(self, ino).await?;
            if self.revalidations.get() == asked {
                return Ok((content, epoch));
            }
        }
    }

    fn new_state(
        &self,
        ino: Ino,
        open: std::sync::Arc<crate::open_files::OpenFile>,
        content: Content,
    ) -> Rc<FileState> {
        Rc::new(FileState {
            ino,
            open,
            reserved: RefCell::default(),
            content: RefCell::new(content),
            cache: RefCell::new(None),
            readahead: RefCell::new(Readahead::new(self.shared.readahead_bytes_max)),
            fetch_noted: Cell::new(false),
            fetched: RefCell::new(HashMap::new()),
            committed: LocalMutex::default(),
            progress: LocalEvent::default(),
            committing: Cell::new(false),
            syncing: LocalMutex::default(),
            flush_timer: Cell::new(false),
            appended: Cell::new(false),
            compacting: RefCell::new(HashSet::new()),
            uses: Cell::new(0),
            closing: Cell::new(false),
            freezing: Cell::new(false),
            forgotten: Cell::new(false),
        })
    }

    /// After the last close, or the last use: commits what is left, then forgets the file.
    pub(crate) async fn closed(self: &Rc<Self>, ino: Ino) {
        let file = self.files.borrow().get(&ino).cloned();
        let Some(file) = file else {
            if let Some(open) = self.shared.open_files.get(ino) {
                self.forget_open_file(&open).await;
            }
            return;
        };
        if file.closing.replace(true) {
            return;
        }
        self.store_rest(&file).await;
        file.closing.set(false);
        self.forget_file(&file).await;
    }

    async fn store_rest(self: &Rc<Self>, file: &Rc<FileState>) {
        while file.has_buffered() && !file.open.is_open() && !file.open.sustained.load(SeqCst) {
            let Err(error) = self.flush_file(file).await else { continue };
            if !file.is_gone() {
                tracing::error!(ino = %file.ino, %error, "a closed file could not be committed; its bytes are kept");
                shoal_runtime::sleep(limits::FLUSH_RETRY_DELAY).await;
            }
        }
    }

    async fn forget_file(self: &Rc<Self>, file: &Rc<FileState>) {
        let sustained = file.open.sustained.load(SeqCst);
        if file.uses.get() > 0 || file.forgotten.get() || (file.has_buffered() && !sustained) {
            return;
        }
        if !self.shared.open_files.remove_closed(&file.open) {
            return;
        }
        self.files.borrow_mut().remove(&file.ino);
        file.forgotten.set(true);
        file.open.plan.store(None);
        file.fetched.borrow_mut().clear();
        // Bytes of a file that nobody can ever read again.
        self.drop_buffered(file, Errno::ENOENT);
        self.remember_synced(file);
        if let (Some(part), Some(cache)) = (self.cache_part(file.ino), file.cache.borrow_mut().take()) {
            part.close_file(&cache);
        }
        if file.open.sustained.load(SeqCst) {
            self.release_closed(file.ino).await;
        }
    }

    /// The inode is on its way out of the store: nothing of it needs to be kept here.
    pub(crate) async fn removed_owned(self: &Rc<Self>, ino: Ino) {
        if self.shared.open_files.is_open(ino) {
            return;
        }
        let file = self.files.borrow().get(&ino).cloned();
        if let Some(file) = file {
            file.content.borrow_mut().gone = true;
            self.drop_buffered(&file, Errno::ENOENT);
            let shard = self.clone();
            shoal_runtime::spawn(async move { shard.closed(ino).await });
        }
        if let Some(part) = self.cache_part(ino) {
            part.remove(ino);
        }
    }

    /// Gives up what is buffered; whoever waits for it learns `error`. Returns whether there was anything.
    pub(super) fn drop_buffered(&self, file: &FileState, error: Errno) -> bool {
        let mut content = file.content.borrow_mut();
        let dropped = content.has_buffered();
        let mut budget = std::mem::take(&mut content.dirty_budget);
        content.dirty = Default::default();
        for batch in content.sealed.drain(..) {
            *batch.state.borrow_mut() = BatchState::Dropped(error);
            budget += batch.budget;
        }
        content.length = content.committed_length;
        drop(content);
        self.write_budget.release(budget);
        file.reserved.borrow_mut().give_back(budget);
        file.open.clear_pending();
        file.progress.notify();
        dropped
    }

    pub(crate) fn all_files(&self) -> Vec<Rc<FileState>> {
        self.files.borrow().values().cloned().collect()
    }
}
