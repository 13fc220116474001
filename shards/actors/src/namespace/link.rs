//! Hard links and what symbolic ones lead to.

use crate::shard::Shard;
use crate::shared::now;
use shoal_kv::Durability;
use shoal_metadata::{Link, MetaOp};
use shoal_types::{Attributes, FsResult, Ino, Name};
use std::rc::Rc;

impl Shard {
    pub async fn link(self: &Rc<Self>, ino: Ino, parent: Ino, name: &Name) -> FsResult<Attributes> {
        let pending = self.pending(ino);
        let operation = Link { ino, parent, name: name.clone(), session: self.shared.session, now: now() };
        let mut attributes = self.mutate(MetaOp::Link(operation), Durability::Visible).await?.into_attributes()?;
        if let Some(pending) = pending {
            pending.overlay(&mut attributes);
        }
        Ok(attributes)
    }

    pub async fn read_link(self: &Rc<Self>, ino: Ino) -> FsResult<Vec<u8>> {
        self.read_metadata(move |metadata| metadata.read_link(ino)).await
    }
}
