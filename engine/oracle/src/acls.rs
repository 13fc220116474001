//! Access control lists as values of extended attributes, and what they have to do with the mode.
//!
//! Everything is written out entry by entry, as `acl(5)` tells it.

use crate::tree::Node;
use crate::{NewNode, Oracle};
use shoal_types::{Acl, AclEntry, AclTag, Attributes, Errno, FileKind, FsResult, Ino, Timestamp, XattrName};
use std::collections::BTreeMap;

/// Mode and attributes of a new inode in this directory.
pub(crate) fn inherited_acls(directory: &Node, new: &NewNode, kind: FileKind) -> (u16, BTreeMap<XattrName, Vec<u8>>) {
    let mut xattrs = BTreeMap::new();
    let mode = new.mode & 0o7777;
    if kind == FileKind::Symlink {
        return (mode, xattrs);
    }
    let Some(default) = directory.xattrs.get(&default_acl()) else { return (mode & !new.umask, xattrs) };
    let mut entries = entries(default);
    for entry in &mut entries {
        if let Some(shift) = class(&entries_tags(default), entry.tag) {
            entry.permissions &= mode >> shift & 0o7;
        }
    }
    let mode = mode & !0o777 | shown(&entries);
    if entries.len() > 3 {
        xattrs.insert(access_acl(), bytes(&entries));
    }
    if kind == FileKind::Directory {
        xattrs.insert(default_acl(), default.clone());
    }
    (mode, xattrs)
}

impl Node {
    /// After a change of the mode.
    pub(crate) fn show_mode_in_acl(&mut self) {
        let mode = self.mode;
        if let Some(access) = self.xattrs.get_mut(&access_acl()) {
            let (mut entries, tags) = (entries(access), entries_tags(access));
            for entry in &mut entries {
                if let Some(shift) = class(&tags, entry.tag) {
                    entry.permissions = mode >> shift & 0o7;
                }
            }
            *access = bytes(&entries);
        }
    }
}

impl Oracle {
    /// `EOPNOTSUPP` on a symlink, `EINVAL` for no valid list, `EACCES` for a default list on what is no directory.
    pub(crate) fn set_acl(
        &mut self,
        ino: Ino,
        name: &XattrName,
        value: &[u8],
        drop_setgid: bool,
        now: Timestamp,
    ) -> FsResult<Attributes> {
        let kind = self.node(ino)?.body.kind();
        if kind == FileKind::Symlink {
            return Err(Errno::EOPNOTSUPP);
        }
        let Some(acl) = Acl::parse(value)? else { return self.remove_xattr(ino, name, now) };
        if *name == default_acl() && kind != FileKind::Directory {
            return Err(Errno::EACCES);
        }
        let node = self.node_mut(ino)?;
        let before = (node.mode, node.xattrs.get(name).cloned());
        let minimal = acl.entries().len() == 3;
        if *name == access_acl() {
            node.mode = node.mode & !0o777 | shown(acl.entries());
            node.mode &= if drop_setgid { !0o2000 } else { !0 };
        }
        if minimal && *name == access_acl() {
            node.xattrs.remove(name);
        } else {
            node.xattrs.insert(name.clone(), bytes(acl.entries()));
        }
        let kept_as_it_was = minimal && *name == access_acl() && before == (node.mode, None);
        if !kept_as_it_was {
            node.ctime = now;
        }
        Ok(self.describe(ino))
    }
}

/// Where the permissions of an entry stand in the mode, if they do: a mask takes the place of the group.
fn class(tags: &[AclTag], tag: AclTag) -> Option<u32> {
    match tag {
        AclTag::Owner => Some(6),
        AclTag::Mask => Some(3),
        AclTag::OwningGroup if !tags.contains(&AclTag::Mask) => Some(3),
        AclTag::Other => Some(0),
        AclTag::OwningGroup | AclTag::User | AclTag::Group => None,
    }
}

fn shown(entries: &[AclEntry]) -> u16 {
    let tags: Vec<AclTag> = entries.iter().map(|entry| entry.tag).collect();
    let bits = entries.iter().filter_map(|entry| Some(entry.permissions << class(&tags, entry.tag)?));
    bits.fold(0, |mode, bits| mode | bits)
}

fn entries(value: &[u8]) -> Vec<AclEntry> {
    let acl = Acl::parse(value).expect("only valid lists are kept").expect("only lists with entries are kept");
    acl.entries().to_vec()
}

fn entries_tags(value: &[u8]) -> Vec<AclTag> {
    entries(value).iter().map(|entry| entry.tag).collect()
}

fn bytes(entries: &[AclEntry]) -> Vec<u8> {
    Acl::new(entries.to_vec()).expect("permissions alone make no list invalid").to_bytes()
}

fn access_acl() -> XattrName {
    XattrName::known(XattrName::ACCESS_ACL)
}

fn default_acl() -> XattrName {
    XattrName::known(XattrName::DEFAULT_ACL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use shoal_types::XattrMode;

    /// Owner, user 5, owning group, mask, others.
    fn acl(permissions: [u16; 5]) -> Vec<u8> {
        use AclTag::*;
        let tags = [Owner, User, OwningGroup, Mask, Other];
        let entries = tags.into_iter().zip(permissions);
        bytes(&entries.map(|(tag, permissions)| AclEntry { tag, permissions, id: 5 }).collect::<Vec<_>>())
    }

    fn set(oracle: &mut Oracle, ino: u64, name: &str, value: &[u8]) -> FsResult<Attributes> {
        oracle.set_xattr(Ino(ino), &XattrName::new(name.as_bytes()).unwrap(), value, XattrMode::Any, false, at(9))
    }

    #[test]
    fn the_group_bits_of_the_mode_are_the_mask() {
        let mut oracle = Oracle::new();
        oracle.create(Ino::ROOT, &name("f"), new(2), at(1)).unwrap();
        let set = set(&mut oracle, 2, XattrName::ACCESS_ACL, &acl([7, 6, 5, 4, 1])).unwrap();
        assert_eq!((set.mode, set.ctime), (0o741, at(9)));
        oracle.set_attributes(Ino(2), Some(0o620), None, None, None, None, at(10)).unwrap();
        let access = oracle.get_xattr(Ino(2), &access_acl()).unwrap();
        assert_eq!(access, acl([6, 6, 5, 2, 0]), "chmod changes owner, mask and others");
    }

    #[test]
    fn a_default_list_takes_the_place_of_the_umask() {
        let mut oracle = Oracle::new();
        set(&mut oracle, 1, XattrName::DEFAULT_ACL, &acl([7, 6, 5, 7, 4])).unwrap();
        let masked = NewNode { mode: 0o666, umask: 0o077, ..new(2) };
        let file = oracle.create(Ino::ROOT, &name("f"), masked, at(1)).unwrap();
        assert_eq!(file.mode, 0o664);
        assert_eq!(oracle.get_xattr(Ino(2), &access_acl()).unwrap(), acl([6, 6, 5, 6, 4]));
        assert_eq!(oracle.get_xattr(Ino(2), &default_acl()), Err(Errno::ENODATA));
        oracle.mkdir(Ino::ROOT, &name("d"), NewNode { mode: 0o777, ..new(3) }, at(1)).unwrap();
        assert_eq!(oracle.get_xattr(Ino(3), &default_acl()).unwrap(), acl([7, 6, 5, 7, 4]));
        oracle.symlink(Ino::ROOT, &name("s"), new(4), b"t", at(1)).unwrap();
        assert_eq!(oracle.list_xattrs(Ino(4)).unwrap(), []);
    }

    #[test]
    fn a_list_that_says_no_more_than_the_mode_becomes_the_mode() {
        let mut oracle = Oracle::new();
        oracle.create(Ino::ROOT, &name("f"), new(2), at(1)).unwrap();
        set(&mut oracle, 2, XattrName::ACCESS_ACL, &acl([7, 6, 5, 4, 1])).unwrap();
        let minimal = [AclTag::Owner, AclTag::OwningGroup, AclTag::Other];
        let minimal = bytes(&minimal.map(|tag| AclEntry { tag, permissions: 6, id: 0 }));
        assert_eq!(set(&mut oracle, 2, XattrName::ACCESS_ACL, &minimal).unwrap().mode, 0o666);
        assert_eq!(oracle.list_xattrs(Ino(2)).unwrap(), []);
    }

    #[test]
    fn lists_are_refused_where_they_cannot_be() {
        let mut oracle = Oracle::new();
        oracle.create(Ino::ROOT, &name("f"), new(2), at(1)).unwrap();
        oracle.symlink(Ino::ROOT, &name("s"), new(3), b"t", at(1)).unwrap();
        let valid = acl([7, 6, 5, 4, 1]);
        assert_eq!(set(&mut oracle, 2, XattrName::DEFAULT_ACL, &valid), Err(Errno::EACCES));
        assert_eq!(set(&mut oracle, 3, XattrName::ACCESS_ACL, &valid), Err(Errno::EOPNOTSUPP));
        assert_eq!(set(&mut oracle, 2, XattrName::ACCESS_ACL, &valid[..20]), Err(Errno::EINVAL));
    }
}
