//! A copy of a file or a tree that appears whole: what `cp -a` by root makes, at one moment.

use crate::Oracle;
use crate::tree::{Body, Directory, Node};
use shoal_types::{Errno, FileKind, FsResult, Ino, InodeFlags, Name, Timestamp};
use std::collections::BTreeMap;

impl Oracle {
    /// The copy has all that the source shows but its change and birth times, and its flags, which it inherits. Files with several names in the source have
    /// as many in the copy as there are in the tree. `number` tells the inode number of what a name in the copy stands for;
    /// it's asked once for each inode. A tree may be copied into itself.
    ///
    /// Refusals in this order: an immutable parent (`EPERM`), those of `create` about the new name, source unknown or without a name (`ENOENT`), neither a
    /// regular file nor a directory (`EINVAL`).
    pub fn clone_tree(
        &mut self,
        source: Ino,
        parent: Ino,
        name: &Name,
        number: &mut dyn FnMut(Ino, &Name) -> Ino,
        now: Timestamp,
    ) -> FsResult<Ino> {
        self.directory(parent)?;
        self.refuse(parent, InodeFlags::IMMUTABLE)?;
        self.refuse_taken_name(parent, name)?;
        let nameless = match &self.node(source)?.body {
            Body::Directory(Directory { parent, .. }) => parent.is_none(),
            _ => self.node(source)?.names == 0,
        };
        if nameless {
            return Err(Errno::ENOENT);
        }
        if !matches!(self.node(source)?.body.kind(), FileKind::Regular | FileKind::Directory) {
            return Err(Errno::EINVAL);
        }
        let before = self.clone();
        let root = self.clone_inode(&before, source, (parent, number(parent, name)), now);
        self.attach(parent, name, root, now);
        self.clone_entries(&before, source, root, &mut Numbers { number, known: BTreeMap::new() }, now);
        Ok(root)
    }

    fn clone_inode(&mut self, before: &Oracle, source: Ino, (parent, target): (Ino, Ino), now: Timestamp) -> Ino {
        let mut node = before.nodes[&source].clone();
        if let Body::Directory(directory) = &mut node.body {
            directory.entries.clear();
        }
        let user_flags = self.nodes[&parent].user_flags.inherited(node.body.kind());
        let copy = Node { ctime: now, btime: now, user_flags, names: 0, open_count: 0, never_named: false, ..node };
        let taken = self.nodes.insert(target, copy);
        assert!(taken.is_none(), "every copy has a number of its own");
        target
    }

    fn clone_entries(&mut self, before: &Oracle, source: Ino, target: Ino, numbers: &mut Numbers, now: Timestamp) {
        let Body::Directory(directory) = &before.nodes[&source].body else { return };
        let (atime, mtime) = (before.nodes[&source].atime, before.nodes[&source].mtime);
        for (name, child) in &directory.entries {
            let known = numbers.known.get(child).copied();
            let copy = known.unwrap_or_else(|| {
                let copy = self.clone_inode(before, *child, (target, (numbers.number)(target, name)), now);
                numbers.known.insert(*child, copy);
                copy
            });
            self.attach(target, name, copy, now);
            if known.is_none() {
                self.clone_entries(before, *child, copy, numbers, now);
            }
        }
        // Filling it is no change of it.
        let node = self.nodes.get_mut(&target).expect("it has just been made");
        (node.atime, node.mtime) = (atime, mtime);
    }
}

struct Numbers<'a> {
    number: &'a mut dyn FnMut(Ino, &Name) -> Ino,
    known: BTreeMap<Ino, Ino>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    /// d/f and d/e/g are one file, d/e is a directory.
    fn tree() -> Oracle {
        let mut oracle = Oracle::new();
        oracle.mkdir(Ino::ROOT, &name("d"), new(2), at(1)).unwrap();
        oracle.create(Ino(2), &name("f"), new(3), at(1)).unwrap();
        oracle.write(Ino(3), 0, b"bytes", at(2)).unwrap();
        oracle.mkdir(Ino(2), &name("e"), new(4), at(1)).unwrap();
        oracle.link(Ino(3), Ino(4), &name("g"), at(1)).unwrap();
        oracle
    }

    fn clone(oracle: &mut Oracle, source: Ino, parent: Ino, text: &str) -> FsResult<Ino> {
        let mut next = 100;
        let mut number = |_: Ino, _: &Name| {
            next += 1;
            Ino(next)
        };
        oracle.clone_tree(source, parent, &name(text), &mut number, at(9))
    }

    #[test]
    fn a_copy_shows_what_the_source_shows_and_goes_its_own_way() {
        let mut oracle = tree();
        let copy = clone(&mut oracle, Ino(2), Ino::ROOT, "c").unwrap();
        let shown = |tree: &str| {
            let tree = tree.as_bytes();
            let below = oracle.tree().into_iter().filter(|(path, _)| path.starts_with(tree));
            below
                .map(|(path, node)| (path[1..].to_vec(), node.kind, node.mode, node.nlink, node.content_hash))
                .collect()
        };
        let (source, copied): (Vec<_>, Vec<_>) = (shown("d"), shown("c"));
        assert_eq!(source, copied);
        let link = oracle.lookup(copy, &name("f")).unwrap();
        assert_eq!((link.nlink, link.mtime, link.ctime, link.btime), (2, at(2), at(9), at(9)));
        assert_eq!(oracle.get_attributes(copy).unwrap().mtime, oracle.get_attributes(Ino(2)).unwrap().mtime);
        oracle.write(link.ino, 0, b"other", at(10)).unwrap();
        assert_eq!(oracle.get_attributes(Ino(3)).unwrap().mtime, at(2));
    }

    #[test]
    fn a_tree_goes_into_itself_once() {
        let mut oracle = tree();
        let copy = clone(&mut oracle, Ino(2), Ino(4), "self").unwrap();
        assert_eq!(oracle.read_directory(copy).unwrap().len(), 2);
        let inner = oracle.lookup(copy, &name("e")).unwrap().ino;
        assert_eq!(oracle.lookup(inner, &name("self")), Err(Errno::ENOENT));
    }

    #[test]
    fn what_has_no_name_or_is_special_is_not_copied() {
        let mut oracle = tree();
        oracle.create_nameless(Ino::ROOT, new(7), at(1)).unwrap();
        assert_eq!(clone(&mut oracle, Ino(7), Ino::ROOT, "c"), Err(Errno::ENOENT));
        assert_eq!(clone(&mut oracle, Ino(99), Ino::ROOT, "c"), Err(Errno::ENOENT));
        assert_eq!(clone(&mut oracle, Ino(99), Ino::ROOT, "d"), Err(Errno::EEXIST));
        assert_eq!(clone(&mut oracle, Ino(2), Ino(3), "c"), Err(Errno::ENOTDIR));
        oracle.symlink(Ino::ROOT, &name("l"), new(8), b"d", at(1)).unwrap();
        assert_eq!(clone(&mut oracle, Ino(8), Ino::ROOT, "c"), Err(Errno::EINVAL));
    }
}
