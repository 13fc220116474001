//! New inodes: files, device nodes, directories and symbolic links.

use crate::acls::inherited_acls;
use crate::content::Content;
use crate::tree::{Body, Directory, Node, Oracle};
use shoal_types::{Attributes, Errno, FileKind, FsResult, Ino, InodeFlags, Name, Timestamp};
use std::collections::BTreeMap;

/// What the creator decides about an inode. `mode` is cut to `0o7777`.
#[derive(Clone, Copy, Debug)]
pub struct NewNode {
    /// A number that no inode of this tree has ever had.
    pub ino: Ino,
    pub mode: u16,
    /// Taken off the mode, except where the parent has a default ACL.
    pub umask: u16,
    pub uid: u32,
    /// Replaced by the parent's group where the parent has its setgid bit.
    pub gid: u32,
}

impl Oracle {
    /// An empty regular file.
    pub fn create(&mut self, parent: Ino, name: &Name, new: NewNode, now: Timestamp) -> FsResult<Attributes> {
        self.add(parent, name, new, 0, Body::Regular(Content::default()), now)
    }

    /// A regular file, fifo, socket or device. `EPERM` for a directory, `EINVAL` for a symbolic link.
    /// `rdev` is kept for devices only.
    pub fn mknod(
        &mut self,
        parent: Ino,
        name: &Name,
        new: NewNode,
        kind: FileKind,
        rdev: u32,
        now: Timestamp,
    ) -> FsResult<Attributes> {
        match kind {
            FileKind::Directory => Err(Errno::EPERM),
            FileKind::Symlink => Err(Errno::EINVAL),
            FileKind::Regular => self.create(parent, name, new, now),
            FileKind::Fifo | FileKind::Socket => self.add(parent, name, new, 0, Body::Special(kind), now),
            FileKind::CharDevice | FileKind::BlockDevice => self.add(parent, name, new, rdev, Body::Special(kind), now),
        }
    }

    /// A directory; it takes over the parent's setgid bit.
    pub fn mkdir(&mut self, parent: Ino, name: &Name, mut new: NewNode, now: Timestamp) -> FsResult<Attributes> {
        if self.node(parent)?.mode & SETGID != 0 {
            new.mode |= SETGID;
        }
        self.add(parent, name, new, 0, Body::Directory(Directory { parent: None, entries: BTreeMap::new() }), now)
    }

    /// A symbolic link; its mode is always 0o777. `ENOENT` for an empty target, `ENAMETOOLONG` beyond 4,095 bytes.
    pub fn symlink(
        &mut self,
        parent: Ino,
        name: &Name,
        mut new: NewNode,
        target: &[u8],
        now: Timestamp,
    ) -> FsResult<Attributes> {
        if target.is_empty() {
            return Err(Errno::ENOENT);
        }
        if target.len() > SYMLINK_BYTES_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        new.mode = 0o777;
        self.add(parent, name, new, 0, Body::Symlink(target.to_vec()), now)
    }

    fn add(
        &mut self,
        parent: Ino,
        name: &Name,
        new: NewNode,
        rdev: u32,
        body: Body,
        now: Timestamp,
    ) -> FsResult<Attributes> {
        self.refuse_taken_name(parent, name)?;
        self.insert(parent, new, rdev, body, now)?;
        self.attach(parent, name, new.ino, now);
        Ok(self.describe(new.ino))
    }

    /// A regular file without a name (`O_TMPFILE`), open once: `link` may give it its first name until it is closed.
    pub fn create_nameless(&mut self, directory: Ino, new: NewNode, now: Timestamp) -> FsResult<Attributes> {
        self.directory(directory)?;
        self.refuse(directory, InodeFlags::IMMUTABLE)?;
        let node = self.insert(directory, new, 0, Body::Regular(Content::default()), now)?;
        node.never_named = true;
        node.open_count = 1;
        Ok(self.describe(new.ino))
    }

    fn insert(&mut self, parent: Ino, new: NewNode, rdev: u32, body: Body, now: Timestamp) -> FsResult<&mut Node> {
        let inherited = self.node(parent)?;
        let gid = if inherited.mode & SETGID != 0 { inherited.gid } else { new.gid };
        let (mode, xattrs) = inherited_acls(inherited, &new, body.kind());
        let node = Node {
            mode,
            xattrs,
            user_flags: inherited.user_flags.inherited(body.kind()),
            uid: new.uid,
            gid,
            rdev,
            atime: now,
            mtime: now,
            ctime: now,
            btime: now,
            names: 0,
            open_count: 0,
            never_named: false,
            body,
        };
        assert!(!self.nodes.contains_key(&new.ino), "inode numbers are never handed out twice");
        Ok(self.nodes.entry(new.ino).or_insert(node))
    }

    /// What every giving of a new name is refused for.
    pub(crate) fn refuse_taken_name(&self, parent: Ino, name: &Name) -> FsResult<()> {
        let directory = self.directory(parent)?;
        if directory.parent.is_none() {
            return Err(Errno::ENOENT);
        }
        if directory.entries.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        self.refuse(parent, InodeFlags::IMMUTABLE)
    }
}

const SETGID: u16 = 0o2000;
/// The kernel's `PATH_MAX` without the final NUL.
const SYMLINK_BYTES_MAX: usize = 4095;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    #[test]
    fn creation_touches_the_parent_and_not_its_access_time() {
        let mut oracle = Oracle::new();
        oracle.create(Ino::ROOT, &name("f"), new(2), at(5)).unwrap();
        let root = oracle.get_attributes(Ino::ROOT).unwrap();
        assert_eq!((root.mtime, root.ctime, root.atime), (at(5), at(5), Timestamp::ZERO));
    }

    #[test]
    fn a_taken_name_is_refused() {
        let mut oracle = Oracle::new();
        oracle.create(Ino::ROOT, &name("f"), new(2), at(1)).unwrap();
        assert_eq!(oracle.create(Ino::ROOT, &name("f"), new(3), at(2)), Err(Errno::EEXIST));
        assert_eq!(oracle.mkdir(Ino::ROOT, &name("f"), new(3), at(2)), Err(Errno::EEXIST));
        assert_eq!(oracle.symlink(Ino::ROOT, &name("f"), new(3), b"t", at(2)), Err(Errno::EEXIST));
        assert_eq!(oracle.get_attributes(Ino::ROOT).unwrap().mtime, at(1));
    }

    #[test]
    fn nothing_is_created_in_a_removed_directory() {
        let mut oracle = Oracle::new();
        oracle.mkdir(Ino::ROOT, &name("d"), new(2), at(1)).unwrap();
        oracle.open(Ino(2)).unwrap();
        oracle.rmdir(Ino::ROOT, &name("d"), at(2)).unwrap();
        assert_eq!(oracle.create(Ino(2), &name("f"), new(3), at(3)), Err(Errno::ENOENT));
        assert_eq!(oracle.get_attributes(Ino(2)).unwrap().nlink, 0);
    }

    #[test]
    fn a_setgid_directory_hands_down_its_group_and_to_directories_its_bit() {
        let mut oracle = Oracle::new();
        oracle.mkdir(Ino::ROOT, &name("d"), NewNode { mode: 0o2775, gid: 50, ..new(2) }, at(1)).unwrap();
        let file = oracle.create(Ino(2), &name("f"), new(3), at(1)).unwrap();
        let directory = oracle.mkdir(Ino(2), &name("e"), new(4), at(1)).unwrap();
        assert_eq!((file.gid, file.mode), (50, 0o755));
        assert_eq!((directory.gid, directory.mode), (50, 0o2755));
    }

    #[test]
    fn only_devices_keep_a_device_number() {
        let mut oracle = Oracle::new();
        let fifo = oracle.mknod(Ino::ROOT, &name("p"), new(2), FileKind::Fifo, 5, at(1)).unwrap();
        let device = oracle.mknod(Ino::ROOT, &name("c"), new(3), FileKind::CharDevice, 5, at(1)).unwrap();
        assert_eq!((fifo.rdev, device.rdev), (0, 5));
        assert_eq!(oracle.mknod(Ino::ROOT, &name("d"), new(4), FileKind::Directory, 0, at(1)), Err(Errno::EPERM));
        assert_eq!(oracle.mknod(Ino::ROOT, &name("s"), new(4), FileKind::Symlink, 0, at(1)), Err(Errno::EINVAL));
    }

    #[test]
    fn a_symlink_has_the_length_of_its_target_which_is_bounded() {
        let mut oracle = Oracle::new();
        let link = oracle.symlink(Ino::ROOT, &name("s"), new(2), b"target", at(1)).unwrap();
        assert_eq!((link.length, link.mode), (6, 0o777));
        assert_eq!(oracle.symlink(Ino::ROOT, &name("t"), new(3), b"", at(1)), Err(Errno::ENOENT));
        assert_eq!(oracle.symlink(Ino::ROOT, &name("t"), new(3), &[b'x'; 4096], at(1)), Err(Errno::ENAMETOOLONG));
    }
}
