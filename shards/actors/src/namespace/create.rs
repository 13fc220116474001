//! New inodes under new names.

use super::directory_attributes::EntryChange;
use super::{NewInode, Opened};
use crate::name_cache::{Entry, Seen};
use crate::shard::Shard;
use crate::shared::now;
use shoal_kv::Durability;
use shoal_metadata::{Create, CreateNameless, MetaOp};
use shoal_types::{Attributes, FileKind, FsResult, Ino, Name};
use std::rc::Rc;

impl Shard {
    pub async fn create(self: &Rc<Self>, parent: Ino, name: &Name, new: NewInode) -> FsResult<Attributes> {
        let ino = self.next_inode(new.kind == FileKind::Regular).await?;
        self.create_as(parent, name, new, ino).await
    }

    /// A regular file, created and opened at once.
    pub async fn create_open(self: &Rc<Self>, parent: Ino, name: &Name, new: NewInode) -> FsResult<Opened> {
        let ino = self.next_inode(true).await?;
        let handle = self.count_handle(ino);
        let attributes = self.create_as(parent, name, new, ino).await?;
        self.kept_pages.note_open(ino, self.shared.exact_epoch());
        handle.keep();
        Ok(Opened { attributes, keep_cache: true, tell_closes: true })
    }

    /// A regular file without a name, opened at once. It goes with its last close, unless `link` names it before.
    pub async fn create_nameless(self: &Rc<Self>, directory: Ino, new: NewInode) -> FsResult<Opened> {
        let ino = self.next_inode(true).await?;
        let handle = self.count_handle(ino);
        let NewInode { mode, umask, uid, gid, .. } = new;
        let (session, now) = (self.shared.session, now());
        let operation = CreateNameless { directory, ino, mode, umask, uid, gid, session, now };
        let reply = self.mutate(MetaOp::CreateNameless(operation), Durability::Visible).await?;
        let attributes = reply.into_attributes()?;
        handle.set_sustained(true);
        self.kept_pages.note_open(ino, self.shared.exact_epoch());
        handle.keep();
        Ok(Opened { attributes, keep_cache: true, tell_closes: true })
    }

    async fn create_as(self: &Rc<Self>, parent: Ino, name: &Name, new: NewInode, ino: Ino) -> FsResult<Attributes> {
        let operation = Create {
            parent,
            name: name.clone(),
            ino,
            kind: new.kind,
            mode: new.mode,
            umask: new.umask,
            uid: new.uid,
            gid: new.gid,
            rdev: new.rdev,
            target: new.target,
            session: self.shared.session,
            now: now(),
        };
        let (seen, seen_inode) = (self.see_entry(parent, name), self.see_attributes(ino));
        let (parent_before, before_making) =
            (self.directory_before(parent), self.shared.whole.before_making(self.shared.exact_epoch()));
        let (kind, now) = (operation.kind, operation.now);
        let reply = self.mutate(MetaOp::Create(operation), Durability::Visible).await?;
        let attributes = reply.into_attributes()?;
        // The number is new, so whatever touches this inode comes after the stamp was noted.
        self.shared.names.put_attributes(&attributes, seen_inode);
        self.put_new_entry(parent, name, ino, seen);
        self.put_directory_after(parent_before, EntryChange::Made(kind), now);
        if kind == FileKind::Directory {
            self.shared.whole.put(ino, before_making);
        }
        Ok(attributes)
    }

    /// Caches an entry that was made after `seen` was noted, if nobody else has touched the name meanwhile.
    pub(super) fn put_new_entry(&self, parent: Ino, name: &Name, ino: Ino, seen: Seen) {
        let after = self.see_entry(parent, name);
        if after.epoch == seen.epoch && after.stamp == seen.stamp + 1 {
            self.shared.names.put_entry(parent, name, Entry::Inode(ino), after);
        }
    }
}
