//! Extended attributes. What an inode's flags say is not there is not looked for.

use crate::shard::Shard;
use crate::shared::now;
use shoal_metadata::{MetaOp, RemoveXattr, SetXattr};
use shoal_types::{Attributes, Errno, FsResult, Ino, InodeFlags, XattrMode, XattrName};
use std::rc::Rc;

impl Shard {
    /// `ENODATA`.
    pub async fn get_xattr(self: &Rc<Self>, ino: Ino, name: &XattrName) -> FsResult<Vec<u8>> {
        let flags = self.get_attributes(ino).await?.flags;
        if !flags.has(flag(name)) {
            return Err(Errno::ENODATA);
        }
        let name = name.clone();
        self.read_metadata(move |metadata| metadata.get_xattr(ino, &name)).await
    }

    pub async fn list_xattrs(self: &Rc<Self>, ino: Ino) -> FsResult<Vec<XattrName>> {
        if !self.get_attributes(ino).await?.flags.has(InodeFlags::XATTRS) {
            return Ok(Vec::new());
        }
        self.read_metadata(move |metadata| metadata.list_xattrs(ino)).await
    }

    /// Errors as `SetXattr`. `drop_setgid`: who sets an access ACL is not of the inode's group.
    pub async fn set_xattr(
        self: &Rc<Self>,
        ino: Ino,
        name: &XattrName,
        value: &[u8],
        mode: XattrMode,
        drop_setgid: bool,
    ) -> FsResult<Attributes> {
        let operation = SetXattr {
            ino,
            name: name.clone(),
            value: value.to_vec(),
            mode,
            drop_setgid,
            session: self.shared.session,
            now: now(),
        };
        self.change_inode(ino, MetaOp::SetXattr(operation)).await
    }

    /// `ENODATA`, but for ACLs.
    pub async fn remove_xattr(self: &Rc<Self>, ino: Ino, name: &XattrName) -> FsResult<Attributes> {
        let operation = RemoveXattr { ino, name: name.clone(), session: self.shared.session, now: now() };
        self.change_inode(ino, MetaOp::RemoveXattr(operation)).await
    }
}

/// What must be set where there is such an attribute.
fn flag(name: &XattrName) -> InodeFlags {
    match name {
        name if name.is(XattrName::CAPABILITY) => InodeFlags::CAPABILITY,
        name if name.is(XattrName::ACCESS_ACL) => InodeFlags::ACCESS_ACL,
        name if name.is(XattrName::DEFAULT_ACL) => InodeFlags::DEFAULT_ACL,
        _ => InodeFlags::XATTRS,
    }
}
