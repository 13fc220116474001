//! The tree itself: nodes by inode number, and the two steps every change of the namespace is made of.
//!
//! Never leaves a node behind that has neither a name nor an open handle, except the root.

use crate::content::Content;
use shoal_types::{Attributes, Errno, FileKind, FsResult, Ino, InodeFlags, Name, Timestamp, XattrName};
use std::collections::BTreeMap;

/// A whole file system in memory.
#[derive(Clone, Debug)]
pub struct Oracle {
    pub(crate) nodes: BTreeMap<Ino, Node>,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub mode: u16,
    pub xattrs: BTreeMap<XattrName, Vec<u8>>,
    pub user_flags: InodeFlags,
    pub uid: u32,
    pub gid: u32,
    pub rdev: u32,
    pub atime: Timestamp,
    pub mtime: Timestamp,
    pub ctime: Timestamp,
    pub btime: Timestamp,
    /// Directory entries that name this inode.
    pub names: u32,
    pub open_count: u32,
    /// Made without a name, and without one since.
    pub never_named: bool,
    pub body: Body,
}

#[derive(Clone, Debug)]
pub(crate) enum Body {
    Regular(Content),
    Directory(Directory),
    Symlink(Vec<u8>),
    /// Fifo, socket or device: nothing but its kind.
    Special(FileKind),
}

#[derive(Clone, Debug)]
pub(crate) struct Directory {
    /// `None` once removed. The root is its own parent.
    pub parent: Option<Ino>,
    pub entries: BTreeMap<Name, Ino>,
}

impl Default for Oracle {
    fn default() -> Self {
        Oracle::new()
    }
}

impl Oracle {
    /// An empty root directory: inode 1, mode 0o755, owned by 0:0, all times zero.
    pub fn new() -> Self {
        let root = Node {
            mode: 0o755,
            xattrs: BTreeMap::new(),
            user_flags: InodeFlags::default(),
            uid: 0,
            gid: 0,
            rdev: 0,
            atime: Timestamp::ZERO,
            mtime: Timestamp::ZERO,
            ctime: Timestamp::ZERO,
            btime: Timestamp::ZERO,
            names: 1,
            open_count: 0,
            never_named: false,
            body: Body::Directory(Directory { parent: Some(Ino::ROOT), entries: BTreeMap::new() }),
        };
        Oracle { nodes: BTreeMap::from([(Ino::ROOT, root)]) }
    }

    pub(crate) fn node(&self, ino: Ino) -> FsResult<&Node> {
        self.nodes.get(&ino).ok_or(Errno::ENOENT)
    }

    pub(crate) fn node_mut(&mut self, ino: Ino) -> FsResult<&mut Node> {
        self.nodes.get_mut(&ino).ok_or(Errno::ENOENT)
    }

    pub(crate) fn directory(&self, ino: Ino) -> FsResult<&Directory> {
        match &self.node(ino)?.body {
            Body::Directory(directory) => Ok(directory),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// The inode that `name` stands for in `parent`.
    pub(crate) fn entry(&self, parent: Ino, name: &Name) -> FsResult<Ino> {
        self.directory(parent)?.entries.get(name).copied().ok_or(Errno::ENOENT)
    }

    pub(crate) fn is_directory(&self, ino: Ino) -> bool {
        self.directory(ino).is_ok()
    }

    /// The attributes of a node that is known to exist.
    pub(crate) fn describe(&self, ino: Ino) -> Attributes {
        let node = &self.nodes[&ino];
        let (length, allocated) = match &node.body {
            Body::Regular(content) => (content.length(), content.allocated()),
            Body::Directory(directory) => (directory.entries.len() as u64, 0),
            Body::Symlink(target) => (target.len() as u64, 0),
            Body::Special(_) => (0, 0),
        };
        Attributes {
            ino,
            kind: node.body.kind(),
            flags: node.flags(),
            mode: node.mode,
            uid: node.uid,
            gid: node.gid,
            rdev: node.rdev,
            nlink: self.link_count(node),
            length,
            allocated,
            atime: node.atime,
            mtime: node.mtime,
            ctime: node.ctime,
            btime: node.btime,
        }
    }

    /// A directory is named by its entry, by its own "." and by the ".." of each subdirectory.
    fn link_count(&self, node: &Node) -> u32 {
        match &node.body {
            Body::Directory(Directory { parent: None, .. }) => 0,
            Body::Directory(Directory { entries, .. }) => {
                2 + entries.values().filter(|child| self.is_directory(**child)).count() as u32
            }
            _ => node.names,
        }
    }

    /// Gives `child` a name in `parent`. Both exist and the name is free.
    pub(crate) fn attach(&mut self, parent: Ino, name: &Name, child: Ino, now: Timestamp) {
        let taken = self.entries_mut(parent).insert(name.clone(), child);
        assert!(taken.is_none(), "a name is free before it is given");
        self.touch_content(parent, now);
        let node = self.nodes.get_mut(&child).expect("a named inode exists");
        node.names += 1;
        node.never_named = false;
        node.ctime = now;
        if let Body::Directory(directory) = &mut node.body {
            directory.parent = Some(parent);
        }
    }

    /// Takes a name away and returns what it stood for, which may be nameless now: attach it again or `reap` it.
    pub(crate) fn detach(&mut self, parent: Ino, name: &Name, now: Timestamp) -> Ino {
        let child = self.entries_mut(parent).remove(name).expect("an entry is looked up before it is removed");
        self.touch_content(parent, now);
        let node = self.nodes.get_mut(&child).expect("a named inode exists");
        node.names -= 1;
        node.ctime = now;
        if let Body::Directory(directory) = &mut node.body {
            directory.parent = None;
        }
        child
    }

    /// Forgets a node that nobody can reach any more.
    pub(crate) fn reap(&mut self, ino: Ino) {
        if self.nodes.get(&ino).is_some_and(|node| node.names == 0 && node.open_count == 0) {
            self.nodes.remove(&ino);
        }
    }

    fn entries_mut(&mut self, ino: Ino) -> &mut BTreeMap<Name, Ino> {
        match &mut self.nodes.get_mut(&ino).expect("a parent exists").body {
            Body::Directory(directory) => &mut directory.entries,
            _ => panic!("a parent is a directory"),
        }
    }

    fn touch_content(&mut self, ino: Ino, now: Timestamp) {
        let node = self.nodes.get_mut(&ino).expect("a touched inode exists");
        node.mtime = now;
        node.ctime = now;
    }
}

impl Body {
    pub(crate) fn kind(&self) -> FileKind {
        match self {
            Body::Regular(_) => FileKind::Regular,
            Body::Directory(_) => FileKind::Directory,
            Body::Symlink(_) => FileKind::Symlink,
            Body::Special(kind) => *kind,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Oracle;
    use crate::testing::*;
    use shoal_types::{Errno, FileKind, Ino};

    #[test]
    fn a_new_tree_is_an_empty_root() {
        let root = Oracle::new().get_attributes(Ino::ROOT).unwrap();
        assert_eq!((root.kind, root.mode, root.nlink, root.length), (FileKind::Directory, 0o755, 2, 0));
    }

    #[test]
    fn a_directory_counts_its_subdirectories_as_links_and_its_entries_as_length() {
        let mut oracle = Oracle::new();
        oracle.mkdir(Ino::ROOT, &name("d"), new(2), at(1)).unwrap();
        oracle.mkdir(Ino::ROOT, &name("e"), new(3), at(1)).unwrap();
        oracle.create(Ino::ROOT, &name("f"), new(4), at(1)).unwrap();
        let root = oracle.get_attributes(Ino::ROOT).unwrap();
        assert_eq!((root.nlink, root.length), (4, 3));
    }

    #[test]
    fn a_file_is_no_parent() {
        let mut oracle = Oracle::new();
        oracle.create(Ino::ROOT, &name("f"), new(2), at(1)).unwrap();
        assert_eq!(oracle.lookup(Ino(2), &name("x")), Err(Errno::ENOTDIR));
        assert_eq!(oracle.create(Ino(2), &name("x"), new(3), at(1)), Err(Errno::ENOTDIR));
        assert_eq!(oracle.lookup(Ino(9), &name("x")), Err(Errno::ENOENT));
    }
}
