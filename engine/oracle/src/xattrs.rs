//! Extended attributes: a map from name to value beside each inode.

use crate::Oracle;
use crate::tree::Node;
use shoal_types::{Attributes, Errno, FsResult, Ino, InodeFlags, Timestamp, XattrMode, XattrName};

impl Oracle {
    /// `EEXIST`, `ENODATA` as the mode says; `E2BIG` for a value beyond 64 KiB, `ENOSPC` for names beyond 64 KiB in all
    /// or values beyond 4 MiB. ACLs have rules of their own, and the mode means nothing to them.
    pub fn set_xattr(
        &mut self,
        ino: Ino,
        name: &XattrName,
        value: &[u8],
        mode: XattrMode,
        drop_setgid: bool,
        now: Timestamp,
    ) -> FsResult<Attributes> {
        self.refuse(ino, InodeFlags::PROTECTION)?;
        if name.is_acl() {
            return self.set_acl(ino, name, value, drop_setgid, now);
        }
        let node = self.node_mut(ino)?;
        let there = node.xattrs.contains_key(name);
        if mode == XattrMode::Create && there {
            return Err(Errno::EEXIST);
        }
        if mode == XattrMode::Replace && !there {
            return Err(Errno::ENODATA);
        }
        if value.len() > XattrName::VALUE_BYTES_MAX {
            return Err(Errno::E2BIG);
        }
        let mut xattrs = node.xattrs.clone();
        xattrs.insert(name.clone(), value.to_vec());
        let list: usize = xattrs.keys().map(|name| name.as_bytes().len() + 1).sum();
        let values: usize = xattrs.values().map(Vec::len).sum();
        if list > XattrName::LIST_BYTES_MAX || values > XattrName::VALUES_BYTES_MAX {
            return Err(Errno::ENOSPC);
        }
        node.xattrs = xattrs;
        node.ctime = now;
        Ok(self.describe(ino))
    }

    /// `ENODATA` where there is none; an ACL that is not there is as good as removed.
    pub fn remove_xattr(&mut self, ino: Ino, name: &XattrName, now: Timestamp) -> FsResult<Attributes> {
        // An append takes the capability away, and is let in.
        let appended = name.is(XattrName::CAPABILITY);
        self.refuse(ino, if appended { InodeFlags::IMMUTABLE } else { InodeFlags::PROTECTION })?;
        let node = self.node_mut(ino)?;
        match node.xattrs.remove(name) {
            Some(_) => node.ctime = now,
            None if name.is_acl() => {}
            None => return Err(Errno::ENODATA),
        }
        Ok(self.describe(ino))
    }

    pub fn get_xattr(&self, ino: Ino, name: &XattrName) -> FsResult<Vec<u8>> {
        self.node(ino)?.xattrs.get(name).cloned().ok_or(Errno::ENODATA)
    }

    /// In the order of their bytes.
    pub fn list_xattrs(&self, ino: Ino) -> FsResult<Vec<XattrName>> {
        Ok(self.node(ino)?.xattrs.keys().cloned().collect())
    }
}

impl Node {
    pub(crate) fn flags(&self) -> InodeFlags {
        let has = |name| self.xattrs.contains_key(&XattrName::known(name));
        self.user_flags
            .with(InodeFlags::XATTRS, !self.xattrs.is_empty())
            .with(InodeFlags::CAPABILITY, has(XattrName::CAPABILITY))
            .with(InodeFlags::ACCESS_ACL, has(XattrName::ACCESS_ACL))
            .with(InodeFlags::DEFAULT_ACL, has(XattrName::DEFAULT_ACL))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn xattr(name: &str) -> XattrName {
        XattrName::new(name.as_bytes()).unwrap()
    }

    fn set(oracle: &mut Oracle, name: &str, value: &[u8], mode: XattrMode) -> FsResult<Attributes> {
        oracle.set_xattr(Ino::ROOT, &xattr(name), value, mode, false, at(9))
    }

    #[test]
    fn a_value_is_created_replaced_and_removed_as_asked() {
        let mut oracle = Oracle::new();
        assert_eq!(set(&mut oracle, "user.a", b"1", XattrMode::Replace), Err(Errno::ENODATA));
        assert_eq!(set(&mut oracle, "user.a", b"1", XattrMode::Create).unwrap().ctime, at(9));
        assert_eq!(set(&mut oracle, "user.a", b"2", XattrMode::Create), Err(Errno::EEXIST));
        assert!(set(&mut oracle, "user.a", b"", XattrMode::Replace).is_ok());
        assert_eq!(oracle.get_xattr(Ino::ROOT, &xattr("user.a")), Ok(Vec::new()));
        assert_eq!(oracle.list_xattrs(Ino::ROOT), Ok(vec![xattr("user.a")]));
        assert_eq!(oracle.remove_xattr(Ino::ROOT, &xattr("user.a"), at(10)).unwrap().ctime, at(10));
        assert_eq!(oracle.remove_xattr(Ino::ROOT, &xattr("user.a"), at(11)), Err(Errno::ENODATA));
    }

    #[test]
    fn names_and_values_have_their_bounds() {
        let mut oracle = Oracle::new();
        let full = vec![0; XattrName::VALUE_BYTES_MAX];
        assert_eq!(set(&mut oracle, "user.a", &[&full[..], b"x"].concat(), XattrMode::Any), Err(Errno::E2BIG));
        for number in 0..64 {
            set(&mut oracle, &format!("user.{number}"), &full, XattrMode::Any).unwrap();
        }
        assert_eq!(set(&mut oracle, "user.a", b"x", XattrMode::Any), Err(Errno::ENOSPC));
        assert!(set(&mut oracle, "user.a", b"", XattrMode::Any).is_ok(), "an empty value takes no room");
        let mut oracle = Oracle::new();
        let named = |number: usize| format!("user.{number:0250}");
        for number in 0..256 {
            set(&mut oracle, &named(number), b"", XattrMode::Any).unwrap();
        }
        assert_eq!(set(&mut oracle, &named(256), b"", XattrMode::Any), Err(Errno::ENOSPC));
    }

    #[test]
    fn a_change_by_others_takes_capability_and_set_id_bits() {
        let mut oracle = Oracle::new();
        oracle.create(Ino::ROOT, &name("f"), crate::NewNode { mode: 0o6711, ..new(2) }, at(1)).unwrap();
        let capability = xattr(XattrName::CAPABILITY);
        oracle.set_xattr(Ino(2), &capability, b"c", XattrMode::Any, false, at(2)).unwrap();
        let dropped = oracle.drop_privileges(Ino(2), at(3)).unwrap();
        assert_eq!((dropped.mode, dropped.flags), (0o711, InodeFlags::default()));
        oracle.set_attributes(Ino(2), Some(0o6704), None, None, None, None, at(3)).unwrap();
        assert_eq!(oracle.drop_privileges(Ino(2), at(3)).unwrap().mode, 0o2704, "setgid without group execution stays");
    }
}
