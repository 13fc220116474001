//! The extended attributes of one inode within a transaction: an index beside the values, and flags in the identity, so
//! that an inode without any costs nobody a read.

use crate::MetaResult;
use crate::keys::Key;
use crate::records::{Identity, XattrIndex, encode_content};
use shoal_kv::Transaction;
use shoal_types::{Errno, Ino, InodeFlags, XattrMode, XattrName};

pub(super) struct Xattrs {
    ino: Ino,
    index: XattrIndex,
}

impl Xattrs {
    /// Of an inode that has none yet.
    pub fn none(ino: Ino) -> Self {
        Xattrs { ino, index: XattrIndex::default() }
    }

    /// Reads the index, if the identity says that there is one.
    pub fn load(transaction: &mut dyn Transaction, ino: Ino, identity: &Identity) -> MetaResult<Self> {
        let index = match identity.flags.has(InodeFlags::XATTRS) {
            true => transaction.get(&Key::XattrIndex(ino).encode())?,
            false => None,
        };
        let index = index.map(|bytes| XattrIndex::decode(&bytes)).transpose()?.unwrap_or_default();
        Ok(Xattrs { ino, index })
    }

    /// `EEXIST`, `ENODATA`, `E2BIG`, `ENOSPC` as `SetXattr`; then nothing has changed.
    pub fn set(
        &mut self,
        transaction: &mut dyn Transaction,
        name: &XattrName,
        value: &[u8],
        mode: XattrMode,
    ) -> MetaResult<()> {
        match (mode, self.index.0.contains_key(name)) {
            (XattrMode::Create, true) => return Err(Errno::EEXIST.into()),
            (XattrMode::Replace, false) => return Err(Errno::ENODATA.into()),
            _ if value.len() > XattrName::VALUE_BYTES_MAX => return Err(Errno::E2BIG.into()),
            _ => {}
        }
        self.index.0.insert(name.clone(), value.len() as u32);
        let fits = self.index.list_bytes() <= XattrName::LIST_BYTES_MAX
            && self.index.values_bytes() <= XattrName::VALUES_BYTES_MAX;
        if !fits {
            return Err(Errno::ENOSPC.into());
        }
        transaction.put(&Key::Xattr(self.ino, name.as_bytes()).encode(), &encode_content(value));
        Ok(())
    }

    /// Whether there was such an attribute.
    pub fn remove(&mut self, transaction: &mut dyn Transaction, name: &XattrName) -> bool {
        let there = self.index.0.remove(name).is_some();
        if there {
            transaction.delete(&Key::Xattr(self.ino, name.as_bytes()).encode());
        }
        there
    }

    /// `remove` and `save` in one, for who changes nothing else.
    pub fn remove_and_save(
        mut self,
        transaction: &mut dyn Transaction,
        identity: &mut Identity,
        name: &XattrName,
    ) -> bool {
        let there = self.remove(transaction, name);
        if there {
            self.save(transaction, identity);
        }
        there
    }

    /// Writes the index; the identity, which tells about it now, is the caller's to write.
    pub fn save(self, transaction: &mut dyn Transaction, identity: &mut Identity) {
        let key = Key::XattrIndex(self.ino).encode();
        identity.flags = self.index.flags(identity.flags);
        match self.index.0.is_empty() {
            true => transaction.delete(&key),
            false => transaction.put(&key, &self.index.encode()),
        }
    }
}
