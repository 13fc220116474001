//! Attributes: what the store knows and what is buffered on top of it.

use super::{AttributeChanges, NewTime};
use crate::message::Message;
use crate::open_files::Pending;
use crate::shard::Shard;
use crate::shared::now;
use shoal_kv::Durability;
use shoal_metadata::{MetaOp, SetAttributes};
use shoal_types::{Attributes, FsResult, Ino, Timestamp};
use std::rc::Rc;

impl Shard {
    /// With what is buffered counted in.
    pub async fn get_attributes(self: &Rc<Self>, ino: Ino) -> FsResult<Attributes> {
        // First: a commit raises the stamp before it takes back what was pending. The other way round, one in between would
        // leave neither, and what is cached from before would pass for current.
        let pending = self.pending(ino);
        match self.shared.names.attributes(ino, self.see_attributes(ino)) {
            Some(attributes) => Ok(self.with_buffered(attributes, pending)),
            None => self.read_attributes(ino).await,
        }
    }

    /// From the store, whatever is remembered.
    pub(super) async fn read_attributes(self: &Rc<Self>, ino: Ino) -> FsResult<Attributes> {
        let pending = self.pending(ino);
        let seen = self.see_attributes(ino);
        let attributes = self.read_metadata(move |metadata| metadata.get_attributes(ino)).await?;
        self.shared.names.put_attributes(&attributes, seen);
        Ok(self.with_buffered(attributes, pending))
    }

    pub(super) fn with_buffered(&self, mut attributes: Attributes, pending: Option<Pending>) -> Attributes {
        if let Some(pending) = pending {
            pending.overlay(&mut attributes);
        }
        self.shared.accesses.overlay(&mut attributes);
        attributes
    }

    pub async fn set_attributes(self: &Rc<Self>, ino: Ino, changes: AttributeChanges) -> FsResult<Attributes> {
        // Most files have nothing to drop, and then there need not be a transaction for it.
        let drop_privileges = changes.drop_privileges && self.get_attributes(ino).await?.is_privileged();
        let mut rest = AttributeChanges { length: None, drop_privileges, ..changes };
        let AttributeChanges { exempt, despite, .. } = changes;
        let nothing = AttributeChanges { exempt, despite, ..AttributeChanges::default() };
        if rest == nothing && changes.length.is_none() {
            return self.get_attributes(ino).await;
        }
        let now = now();
        let truncated = match changes.length {
            Some(length) => {
                if drop_privileges {
                    // First, so that no crash leaves changed content with the rights of the old.
                    let drop_only = AttributeChanges { drop_privileges, ..AttributeChanges::default() };
                    self.set_identity(ino, drop_only, now).await?;
                    rest.drop_privileges = false;
                }
                Some(self.truncate(ino, length, now).await?)
            }
            None => None,
        };
        match truncated {
            Some(attributes) if rest == nothing => Ok(self.with_buffered(attributes, None)),
            _ => self.set_identity(ino, rest, now).await,
        }
    }

    async fn set_identity(
        self: &Rc<Self>,
        ino: Ino,
        changes: AttributeChanges,
        now: Timestamp,
    ) -> FsResult<Attributes> {
        if changes.mtime.is_some() && self.pending(ino).is_some() {
            // The writes came first, so the time given now must be the one that stays.
            self.flush_inode(ino).await?;
        }
        let time = |new: Option<NewTime>| {
            new.map(|new| match new {
                NewTime::Now => now,
                NewTime::At(time) => time,
            })
        };
        let operation = SetAttributes {
            ino,
            mode: changes.mode,
            uid: changes.uid,
            gid: changes.gid,
            atime: time(changes.atime),
            mtime: time(changes.mtime),
            drop_privileges: changes.drop_privileges,
            exempt: changes.exempt,
            despite: changes.despite,
            session: self.shared.session,
            now,
        };
        if changes.atime.is_some() {
            self.shared.accesses.forget(ino);
        }
        self.change_inode(ino, MetaOp::SetAttributes(operation)).await
    }

    /// Runs an operation that changes one inode and answers its attributes.
    pub(super) async fn change_inode(self: &Rc<Self>, ino: Ino, operation: MetaOp) -> FsResult<Attributes> {
        let pending = self.pending(ino);
        let seen = self.see_attributes(ino);
        let reply = self.mutate(operation, Durability::Visible).await?;
        let attributes = reply.into_attributes()?;
        let after = self.see_attributes(ino);
        if after.epoch == seen.epoch && after.stamp == seen.stamp + 1 {
            // Nobody but this operation has touched the inode meanwhile.
            self.shared.names.put_attributes(&attributes, after);
        }
        Ok(self.with_buffered(attributes, pending))
    }

    pub(super) async fn truncate(self: &Rc<Self>, ino: Ino, length: u64, now: Timestamp) -> FsResult<Attributes> {
        let owner = self.shared.owner(ino);
        match owner == self.index {
            true => self.truncate_owned(ino, length, now).await,
            false => self.ask(owner, |respond| Message::Truncate { ino, length, now, respond }).await,
        }
    }

    pub(super) async fn flush_inode(self: &Rc<Self>, ino: Ino) -> FsResult<()> {
        let owner = self.shared.owner(ino);
        match owner == self.index {
            true => self.flush_owned(ino).await,
            false => self.ask(owner, |respond| Message::Flush { ino, respond }).await,
        }
    }

    pub(super) fn pending(&self, ino: Ino) -> Option<Pending> {
        self.shared.open_files.get(ino)?.pending()
    }
}
