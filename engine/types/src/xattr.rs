//! Names of extended attributes, and their bounds (`xattr(7)`, `linux/limits.h`).

use crate::Errno;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A whole name, `user.` and the like included, in a namespace that a file system keeps: user, trusted, security, and of
/// system the two ACLs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct XattrName(Box<[u8]>);

/// What is to be there before the value is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum XattrMode {
    Any,
    /// Nothing (`EEXIST`).
    Create,
    /// A value (`ENODATA`).
    Replace,
}

impl XattrName {
    pub const BYTES_MAX: usize = 255;
    /// Of one value.
    pub const VALUE_BYTES_MAX: usize = 64 << 10;
    /// Of all names of an inode, a NUL behind each.
    pub const LIST_BYTES_MAX: usize = 64 << 10;
    /// Of all values of an inode together, so that one transaction can carry them.
    pub const VALUES_BYTES_MAX: usize = 4 << 20;

    pub const CAPABILITY: &str = "security.capability";
    pub const ACCESS_ACL: &str = "system.posix_acl_access";
    pub const DEFAULT_ACL: &str = "system.posix_acl_default";

    /// `ERANGE` beyond 255 bytes, `EOPNOTSUPP` for another namespace, `EINVAL` for a namespace alone and for a NUL.
    pub fn new(bytes: &[u8]) -> Result<Self, Errno> {
        if bytes.len() > Self::BYTES_MAX {
            return Err(Errno::ERANGE);
        }
        let prefix = PREFIXES.into_iter().find(|prefix| bytes.starts_with(prefix.as_bytes()));
        match prefix {
            _ if bytes.contains(&0) => Err(Errno::EINVAL),
            Some(prefix) if bytes.len() == prefix.len() => Err(Errno::EINVAL),
            Some(_) => Ok(XattrName(bytes.into())),
            None if bytes == Self::ACCESS_ACL.as_bytes() => Ok(XattrName(bytes.into())),
            None if bytes == Self::DEFAULT_ACL.as_bytes() => Ok(XattrName(bytes.into())),
            None => Err(Errno::EOPNOTSUPP),
        }
    }

    /// One of the names above.
    pub fn known(name: &'static str) -> Self {
        XattrName(name.as_bytes().into())
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn is(&self, name: &str) -> bool {
        *self.0 == *name.as_bytes()
    }

    pub fn is_acl(&self) -> bool {
        self.is(Self::ACCESS_ACL) || self.is(Self::DEFAULT_ACL)
    }

    /// Only administrators are told that there are any.
    pub fn is_trusted(&self) -> bool {
        self.0.starts_with(TRUSTED.as_bytes())
    }
}

const TRUSTED: &str = "trusted.";
const PREFIXES: [&str; 3] = ["user.", TRUSTED, "security."];

impl fmt::Debug for XattrName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(&self.0), f)
    }
}

impl fmt::Display for XattrName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(&self.0).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_in_the_namespaces_that_ext4_keeps() {
        let acls = [XattrName::ACCESS_ACL, XattrName::DEFAULT_ACL];
        for kept in ["user.a", "user.\u{fc}", "trusted.x.y", "security.capability"].into_iter().chain(acls) {
            assert_eq!(XattrName::new(kept.as_bytes()).map(|name| name.to_string()), Ok(kept.to_owned()));
        }
        for other in ["a", "user", "usera", "system.nfs4_acl", "system.", "btrfs.compression", ""] {
            assert_eq!(XattrName::new(other.as_bytes()), Err(Errno::EOPNOTSUPP), "{other}");
        }
        for alone in ["user.", "trusted.", "security.", "user.a\0b"] {
            assert_eq!(XattrName::new(alone.as_bytes()), Err(Errno::EINVAL), "{alone}");
        }
    }

    #[test]
    fn a_name_has_255_bytes_at_most() {
        let name = |bytes: usize| [&b"user."[..], &vec![b'x'; bytes - 5]].concat();
        assert!(XattrName::new(&name(255)).is_ok());
        assert_eq!(XattrName::new(&name(256)), Err(Errno::ERANGE));
    }
}
