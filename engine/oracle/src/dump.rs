//! A tree as a map from path to description: what two implementations must agree on, whatever their inode numbers.

use crate::tree::{Body, Oracle};
use shoal_types::{FileKind, Ino};
use std::collections::BTreeMap;

/// One name of the tree. Times and allocated bytes are left out: two file systems may differ in them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeDescription {
    pub kind: FileKind,
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    pub rdev: u32,
    pub nlink: u32,
    /// For a directory its number of entries.
    pub length: u64,
    /// Of a regular file: `content_hash` of its bytes.
    pub content_hash: Option<u64>,
    /// Of a symbolic link.
    pub target: Option<Vec<u8>>,
    /// The first path, in byte order, that names the same inode: tells hard links from copies.
    pub first_path: Vec<u8>,
}

impl Oracle {
    /// Every name, keyed by its path from the root: "" is the root itself, then "a", "a/b" and so on.
    pub fn tree(&self) -> BTreeMap<Vec<u8>, NodeDescription> {
        let mut inos = BTreeMap::new();
        self.collect(Vec::new(), Ino::ROOT, &mut inos);
        let mut first_paths: BTreeMap<Ino, Vec<u8>> = BTreeMap::new();
        let mut tree = BTreeMap::new();
        for (path, ino) in inos {
            let first_path = first_paths.entry(ino).or_insert_with(|| path.clone()).clone();
            tree.insert(path, self.description(ino, first_path));
        }
        tree
    }

    fn collect(&self, path: Vec<u8>, ino: Ino, inos: &mut BTreeMap<Vec<u8>, Ino>) {
        if let Body::Directory(directory) = &self.nodes[&ino].body {
            for (name, child) in &directory.entries {
                let mut below = path.clone();
                if !below.is_empty() {
                    below.push(b'/');
                }
                below.extend_from_slice(name.as_bytes());
                self.collect(below, *child, inos);
            }
        }
        inos.insert(path, ino);
    }

    fn description(&self, ino: Ino, first_path: Vec<u8>) -> NodeDescription {
        let attributes = self.describe(ino);
        let (content_hash, target) = match &self.nodes[&ino].body {
            Body::Regular(content) => (Some(content.hash()), None),
            Body::Symlink(target) => (None, Some(target.clone())),
            Body::Directory(_) | Body::Special(_) => (None, None),
        };
        NodeDescription {
            kind: attributes.kind,
            mode: attributes.mode,
            uid: attributes.uid,
            gid: attributes.gid,
            rdev: attributes.rdev,
            nlink: attributes.nlink,
            length: attributes.length,
            content_hash,
            target,
            first_path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content_hash;
    use crate::testing::*;

    #[test]
    fn the_dump_names_every_path_and_tells_links_from_copies() {
        let mut oracle = Oracle::new();
        oracle.mkdir(Ino::ROOT, &name("d"), new(2), at(1)).unwrap();
        oracle.create(Ino(2), &name("f"), new(3), at(1)).unwrap();
        oracle.write(Ino(3), 0, b"hi", at(1)).unwrap();
        oracle.link(Ino(3), Ino::ROOT, &name("z"), at(1)).unwrap();
        let tree = oracle.tree();
        let paths: Vec<&[u8]> = tree.keys().map(Vec::as_slice).collect();
        assert_eq!(paths, [&b""[..], b"d", b"d/f", b"z"]);
        assert_eq!(tree[&b"z"[..]], tree[&b"d/f"[..]]);
        assert_eq!(tree[&b"z"[..]].first_path, b"d/f");
        assert_eq!(tree[&b"z"[..]].content_hash, Some(content_hash(b"hi")));
    }
}
