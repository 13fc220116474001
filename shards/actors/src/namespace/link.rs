//! Hard links and what symbolic ones lead to.

use super::open::Handle;
use crate::shard::Shard;
use crate::shared::now;
use shoal_kv::Durability;
use shoal_metadata::{Link, MetaOp};
use shoal_types::{Attributes, FsResult, Ino, Name};
use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;

impl Shard {
    pub async fn link(self: &Rc<Self>, ino: Ino, parent: Ino, name: &Name) -> FsResult<Attributes> {
        let pending = self.pending(ino);
        let nameless = self.hold_nameless(ino);
        let operation = Link { ino, parent, name: name.clone(), session: self.shared.session, now: now() };
        let linked = self.mutate(MetaOp::Link(operation), Durability::Visible).await;
        if let (Some(handle), Err(_)) = (&nameless, &linked) {
            handle.set_sustained(true);
        }
        Ok(self.with_buffered(linked?.into_attributes()?, pending))
    }

    /// An open file without a name may be about to get one. Then its last close must not release it and give up what is
    /// buffered, so that close has to wait; and that it is kept must be taken back before its new name can be removed.
    fn hold_nameless(self: &Rc<Self>, ino: Ino) -> Option<Handle> {
        self.shared.open_files.get(ino).filter(|file| file.sustained.load(SeqCst))?;
        let handle = self.count_handle(ino);
        handle.set_sustained(false);
        Some(handle)
    }

    pub async fn read_link(self: &Rc<Self>, ino: Ino) -> FsResult<Vec<u8>> {
        self.read_metadata(move |metadata| metadata.read_link(ino)).await
    }
}
