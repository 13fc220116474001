//! Removing names, and what becomes of an inode that has lost its last one.
//!
//! While this mount has it open it is *sustained*: it lives on without a name until the last close releases it. Whether
//! it is open can change while its name is being removed, so that is looked at again after the commit.

use super::directory_attributes::EntryChange;
use crate::message::Message;
use crate::shard::Shard;
use crate::shared::now;
use shoal_kv::Durability;
use shoal_metadata::{MetaOp, Release, RemoveTree, Removed, Rmdir, Sustain, Unlink};
use shoal_types::{FileKind, FsResult, Ino, Name};
use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;

impl Shard {
    pub async fn unlink(self: &Rc<Self>, parent: Ino, name: &Name) -> FsResult<()> {
        let target = self.lookup(parent, name).await?.ino;
        let _removal = self.shared.held.begin_removal(target);
        let open = self.shared.open_files.open_among([target].into_iter());
        let (before, now) = (self.directory_before(parent), now());
        let operation = Unlink { parent, name: name.clone(), open, session: self.shared.session, now };
        let removed = self.mutate(MetaOp::Unlink(operation), Durability::Visible).await?.into_removed()?;
        // Whatever has been removed, it was no directory.
        self.put_directory_after(before, EntryChange::Removed(FileKind::Regular), now);
        self.after_removal(removed).await;
        Ok(())
    }

    pub async fn rmdir(self: &Rc<Self>, parent: Ino, name: &Name) -> FsResult<()> {
        let target = self.lookup(parent, name).await?.ino;
        let _removal = self.shared.held.begin_removal(target);
        let open = self.shared.open_files.open_among([target].into_iter());
        let (before, now) = (self.directory_before(parent), now());
        let operation = Rmdir { parent, name: name.clone(), open, session: self.shared.session, now };
        let removed = self.mutate(MetaOp::Rmdir(operation), Durability::Visible).await?.into_removed()?;
        self.put_directory_after(before, EntryChange::Removed(FileKind::Directory), now);
        self.after_removal(removed).await;
        Ok(())
    }

    /// Removes a directory with all that lies below it, if the name stands for this one: it's gone from the name space at
    /// once. With `keep` it goes to the trash, if there is one. `EPERM` if anything in it, or it itself, is immutable or
    /// append-only.
    pub async fn remove_tree(self: &Rc<Self>, parent: Ino, name: &Name, ino: Ino, keep: bool) -> FsResult<()> {
        self.require_unprotected_below(ino).await?;
        let (before, now) = (self.directory_before(parent), now());
        let operation = RemoveTree { parent, name: name.clone(), ino, keep, session: self.shared.session, now };
        self.mutate(MetaOp::RemoveTree(operation), Durability::Visible).await?;
        self.put_directory_after(before, EntryChange::Removed(FileKind::Directory), now);
        self.shared.want_maintenance();
        Ok(())
    }

    /// What a removed name leaves to do.
    pub(super) async fn after_removal(self: &Rc<Self>, removed: Removed) {
        if !removed.last {
            return;
        }
        let held = self.shared.held.put(removed.ino);
        let sustained = removed.sustained || self.sustain_if_open(removed.ino).await;
        match sustained {
            true => self.note_sustained(removed.ino).await,
            // The rest follows when the front end forgets it.
            false if held => {}
            false => self.forget_removed(removed.ino).await,
        }
    }

    /// The front end is told of this inode, and may hold it until it has forgotten each time. To be called before it's told.
    pub fn note_lookup(&self, ino: Ino) {
        self.shared.held.note_lookup(ino);
    }

    /// The front end has forgotten so many of the times it was told of the inode. After the last it holds it no more, and
    /// nobody has it open through it.
    pub fn forget(self: &Rc<Self>, ino: Ino, lookups: u64) {
        let Some(sustained) = self.shared.held.forget(ino, lookups) else { return };
        let shard = self.clone();
        self.spawn_unless_stopped(async move {
            match sustained {
                true => shard.note_sustained(ino).await,
                false => shard.forget_removed(ino).await,
            }
        });
    }

    /// Somebody may have opened it after we looked and before the name was gone.
    async fn sustain_if_open(self: &Rc<Self>, ino: Ino) -> bool {
        if !self.shared.open_files.is_open(ino) {
            return false;
        }
        match self.sustain(ino).await {
            Ok(sustained) => sustained,
            Err(error) => {
                // Maintenance tries again before it removes anything.
                tracing::warn!(%ino, %error, "an open file that was removed could not be sustained");
                false
            }
        }
    }

    /// Lets the store keep an inode that waits for its removal; `false` where that has begun.
    pub(super) async fn sustain(self: &Rc<Self>, ino: Ino) -> FsResult<bool> {
        let operation = Sustain { inodes: vec![ino], session: self.shared.session };
        let sustained = self.mutate(MetaOp::Sustain(operation), Durability::Visible).await?.into_sustained()?;
        Ok(sustained.contains(&ino))
    }

    /// The store keeps the inode for us. Whoever closes or forgets it last releases it; if that has happened already, we do.
    pub(crate) async fn note_sustained(self: &Rc<Self>, ino: Ino) {
        let held = self.shared.held.note_sustained(ino);
        let open = self.shared.open_files.get(ino);
        if let Some(file) = &open {
            file.sustained.store(true, SeqCst);
        }
        if !held && !open.is_some_and(|file| file.is_open()) {
            self.release(ino).await;
        }
    }

    /// A sustained inode that is off the map of open files: it goes, unless the front end holds it.
    pub(crate) async fn release_closed(self: &Rc<Self>, ino: Ino) {
        if !self.shared.held.is_held(ino) {
            self.release(ino).await;
        }
    }

    /// Nobody has it open or holds it any more, and it has no name: it goes. Two may come to that at once; one release
    /// after the other does nothing.
    async fn release(self: &Rc<Self>, ino: Ino) {
        let operation = Release { ino, session: self.shared.session, now: now() };
        if let Err(error) = self.mutate(MetaOp::Release(operation), Durability::Visible).await {
            tracing::warn!(%ino, %error, "a removed file could not be released; it goes with the end of this mount");
        }
        self.forget_removed(ino).await;
    }

    /// An inode on its way out of the store.
    pub(crate) async fn forget_removed(self: &Rc<Self>, ino: Ino) {
        self.shared.want_maintenance();
        self.drop_kept(ino).await;
    }

    /// Lets the owner drop what it keeps of an inode that is gone.
    pub(crate) async fn drop_kept(self: &Rc<Self>, ino: Ino) {
        let owner = self.shared.owner(ino);
        if self.cache.is_none() && self.shared.open_files.get(ino).is_none() {
            return;
        }
        match owner == self.index {
            true => self.removed_owned(ino).await,
            false => self.send(owner, Message::Removed { ino }).await,
        }
    }
}
