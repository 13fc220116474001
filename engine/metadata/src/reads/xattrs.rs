//! Extended attributes: one value, or all names.

use crate::inode;
use crate::keys::Key;
use crate::records::{XattrIndex, decode_content};
use crate::{MetaResult, Metadata};
use shoal_types::{Errno, Ino, XattrName};

impl Metadata {
    /// `ENODATA`; `ENOENT` for an inode that is gone.
    pub fn get_xattr(&self, ino: Ino, name: &XattrName) -> MetaResult<Vec<u8>> {
        self.at_snapshot(|reader| {
            // The value first: where there is one, nothing else needs to be known.
            match reader.get(&Key::Xattr(ino, name.as_bytes()).encode())? {
                Some(value) => Ok(decode_content(value)?),
                None => inode::identity(reader, ino).and_then(|_| Err(Errno::ENODATA.into())),
            }
        })
    }

    /// In the order of their bytes.
    pub fn list_xattrs(&self, ino: Ino) -> MetaResult<Vec<XattrName>> {
        self.at_snapshot(|reader| {
            let Some(index) = reader.get(&Key::XattrIndex(ino).encode())? else {
                return inode::identity(reader, ino).map(|_| Vec::new());
            };
            Ok(XattrIndex::decode(&index)?.0.into_keys().collect())
        })
    }
}
