//! Rename: one transaction, and perhaps an inode that has lost its last name by it.

use super::RenameFlags;
use crate::shard::Shard;
use crate::shared::now;
use shoal_kv::Durability;
use shoal_metadata::{MetaOp, Rename};
use shoal_types::{Errno, FsResult, Ino, Name, Whiteout};
use std::rc::Rc;

impl Shard {
    pub async fn rename(
        self: &Rc<Self>,
        old_parent: Ino,
        old_name: &Name,
        new_parent: Ino,
        new_name: &Name,
        flags: RenameFlags,
    ) -> FsResult<()> {
        let replaced = match flags.exchange || flags.no_replace {
            true => None,
            false => self.target(new_parent, new_name).await?,
        };
        let _removal = replaced.map(|ino| self.shared.held.begin_removal(ino));
        let whiteout = match flags.whiteout {
            Some((uid, gid)) => Some(Whiteout { ino: self.next_inode(false).await?, uid, gid }),
            None => None,
        };
        let operation = Rename {
            old_parent,
            old_name: old_name.clone(),
            new_parent,
            new_name: new_name.clone(),
            no_replace: flags.no_replace,
            exchange: flags.exchange,
            whiteout,
            open: self.shared.open_files.open_among(replaced.into_iter()),
            session: self.shared.session,
            now: now(),
        };
        let renamed = self.mutate(MetaOp::Rename(operation), Durability::Visible).await?.into_renamed()?;
        if let Some(replaced) = renamed.replaced {
            self.after_removal(replaced).await;
        }
        Ok(())
    }

    /// What the new name stands for now. Any refusal is left to the transaction, which knows the order of checks.
    async fn target(self: &Rc<Self>, parent: Ino, name: &Name) -> FsResult<Option<Ino>> {
        match self.lookup(parent, name).await {
            Ok(attributes) => Ok(Some(attributes.ino)),
            Err(Errno::EIO) => Err(Errno::EIO),
            Err(_) => Ok(None),
        }
    }
}
