//! Node ids, the kernel's names for inodes: they are inode numbers, except that the mounted root is always node 1.
//!
//! Inode numbers are never used again. FORGET matters only to inodes that have lost their last name: the volume counts the
//! lookups. When a subdirectory is mounted, the volume's own root (inode 1) has no node id: nothing above the
//! subdirectory can be named.

use shoal_fuse_protocol::abi::ROOT_ID;
use shoal_types::{Errno, FsResult, Ino};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Nodes {
    pub root: Ino,
}

const _: () = assert!(Ino::ROOT.0 == ROOT_ID, "mounted whole, the volume's root is the kernel's");

impl Nodes {
    pub fn ino(self, node: u64) -> Ino {
        if node == ROOT_ID { self.root } else { Ino(node) }
    }

    /// `ESTALE` for the volume's root above a mounted subdirectory.
    pub fn node(self, ino: Ino) -> FsResult<u64> {
        match ino {
            _ if ino == self.root => Ok(ROOT_ID),
            Ino::ROOT => Err(Errno::ESTALE),
            Ino(number) => Ok(number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_volume_keeps_its_inode_numbers() {
        let nodes = Nodes { root: Ino::ROOT };
        for number in [1, 2, 77, u64::MAX] {
            assert_eq!(nodes.ino(number), Ino(number));
            assert_eq!(nodes.node(Ino(number)), Ok(number));
        }
    }

    #[test]
    fn nothing_above_a_mounted_subdirectory_has_a_node() {
        let nodes = Nodes { root: Ino(40) };
        assert_eq!(nodes.ino(ROOT_ID), Ino(40));
        assert_eq!(nodes.node(Ino(40)), Ok(ROOT_ID));
        assert_eq!(nodes.node(Ino::ROOT), Err(Errno::ESTALE));
        assert_eq!(nodes.node(nodes.ino(41)), Ok(41));
    }
}
