//! The flags that users set (`chattr(1)`), and what they protect from being removed as part of a tree.

use crate::message::Message;
use crate::shard::Shard;
use crate::shared::now;
use shoal_metadata::{MetaOp, SetFlags};
use shoal_types::{Attributes, Errno, FileKind, FsResult, Ino, InodeFlags};
use std::rc::Rc;

impl Shard {
    /// Sets those of the flags that `decided` names. Who may is for the front end to know; `EOPNOTSUPP` and `EPERM` as
    /// `shoal_metadata::SetFlags`.
    pub async fn set_flags(self: &Rc<Self>, ino: Ino, flags: InodeFlags, decided: InodeFlags) -> FsResult<Attributes> {
        if flags.only(decided).has(InodeFlags::IMMUTABLE) {
            // What a program has written into a mapping of it was written before.
            self.forget_kernel_pages(ino).await;
        }
        let operation = SetFlags { ino, flags, decided, session: self.shared.session, now: now() };
        let owner = self.shared.owner(ino);
        match owner == self.index {
            true => self.set_flags_owned(operation).await,
            false => self.ask(owner, |respond| Message::SetFlags { operation, respond }).await,
        }
    }

    pub(crate) async fn change_flags(self: &Rc<Self>, operation: SetFlags) -> FsResult<Attributes> {
        self.change_inode(operation.ino, MetaOp::SetFlags(operation)).await
    }

    /// `EPERM` if anything below this directory is immutable or append-only. In a volume that never had any such inode
    /// nothing is looked at.
    pub(super) async fn require_unprotected_below(self: &Rc<Self>, directory: Ino) -> FsResult<()> {
        if !self.read_metadata(|metadata| metadata.has_protected()).await? {
            return Ok(());
        }
        let mut directories = vec![directory];
        while let Some(directory) = directories.pop() {
            self.require_unprotected_entries(directory, &mut directories).await?;
        }
        Ok(())
    }

    /// Adds the directories that are in it.
    async fn require_unprotected_entries(self: &Rc<Self>, directory: Ino, directories: &mut Vec<Ino>) -> FsResult<()> {
        let mut cookie = 0;
        loop {
            let page = self.read_directory(directory, cookie, ENTRIES_PER_PAGE, true).await?;
            for entry in &page.entries {
                let Some(attributes) = &entry.attributes else { continue };
                if attributes.flags.any(InodeFlags::PROTECTION) {
                    return Err(Errno::EPERM);
                }
                if attributes.kind == FileKind::Directory {
                    directories.push(entry.ino);
                }
            }
            match page.entries.last() {
                Some(last) if !page.end => cookie = last.cookie,
                _ => return Ok(()),
            }
            // Others have their turn.
            shoal_runtime::yield_now().await;
        }
    }
}

const ENTRIES_PER_PAGE: usize = 256;
