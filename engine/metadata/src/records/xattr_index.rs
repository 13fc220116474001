//! Which extended attributes an inode has: a format byte, then for each in the order of names:
//!
//! ```text
//! 0  bytes of the name (1)     1  bytes of the value (3)     4  name
//! ```

use super::{body, damaged};
use shoal_kv::{KvResult, limits};
use shoal_types::{InodeFlags, XattrName};
use std::collections::BTreeMap;

/// Name and bytes of the value.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct XattrIndex(pub BTreeMap<XattrName, u32>);

impl XattrIndex {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        for (name, value_bytes) in &self.0 {
            bytes.push(name.as_bytes().len() as u8);
            bytes.extend_from_slice(&value_bytes.to_le_bytes()[..3]);
            bytes.extend_from_slice(name.as_bytes());
        }
        bytes
    }

    pub fn decode(bytes: &[u8]) -> KvResult<Self> {
        let mut rest = body(WHAT, bytes, FORMAT)?;
        let mut index = BTreeMap::new();
        while !rest.is_empty() {
            let cut = || damaged(WHAT, "it ends within an entry".into());
            let (head, behind) = rest.split_at_checked(HEAD_BYTES).ok_or_else(cut)?;
            let (name, behind) = behind.split_at_checked(usize::from(head[0])).ok_or_else(cut)?;
            let known = XattrName::new(name);
            let name = known.map_err(|_| damaged(WHAT, format!("no attribute {} can be", name.escape_ascii())))?;
            index.insert(name, u32::from_le_bytes([head[1], head[2], head[3], 0]));
            rest = behind;
        }
        Ok(XattrIndex(index))
    }

    /// The flags of an inode that has these attributes; those that tell of something else stay as they are.
    pub fn flags(&self, before: InodeFlags) -> InodeFlags {
        let has = |name| self.0.contains_key(&XattrName::known(name));
        before
            .with(InodeFlags::XATTRS, !self.0.is_empty())
            .with(InodeFlags::CAPABILITY, has(XattrName::CAPABILITY))
            .with(InodeFlags::ACCESS_ACL, has(XattrName::ACCESS_ACL))
            .with(InodeFlags::DEFAULT_ACL, has(XattrName::DEFAULT_ACL))
    }

    /// As a list of names has them: a NUL behind each.
    pub fn list_bytes(&self) -> usize {
        self.0.keys().map(|name| name.as_bytes().len() + 1).sum()
    }

    pub fn values_bytes(&self) -> usize {
        self.0.values().map(|bytes| *bytes as usize).sum()
    }
}

const WHAT: &str = "an index of extended attributes";
const FORMAT: u8 = 1;
const HEAD_BYTES: usize = 4;

/// The shortest name has six bytes and in a list its NUL; here there is a head in place of the NUL.
const FULL_BYTES: usize = 1 + XattrName::LIST_BYTES_MAX + XattrName::LIST_BYTES_MAX / 7 * (HEAD_BYTES - 1);
const _: () = assert!(FULL_BYTES <= limits::VALUE_BYTES_MAX, "the index of a full list is one value");
const _: () = assert!(XattrName::VALUE_BYTES_MAX < 1 << 24, "the bytes of a value are counted in three bytes");
