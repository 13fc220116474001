//! Questions about the namespace. None of them changes an access time.

use crate::tree::{Body, Oracle};
use shoal_types::{Attributes, Errno, FileKind, FsResult, Ino, Name};

impl Oracle {
    pub fn lookup(&self, parent: Ino, name: &Name) -> FsResult<Attributes> {
        Ok(self.describe(self.entry(parent, name)?))
    }

    pub fn get_attributes(&self, ino: Ino) -> FsResult<Attributes> {
        self.node(ino)?;
        Ok(self.describe(ino))
    }

    /// The directory that has this one; none for what was removed. The root has itself.
    pub fn parent(&self, ino: Ino) -> Option<Ino> {
        self.directory(ino).ok()?.parent
    }

    /// `EINVAL` for anything but a symbolic link.
    pub fn read_link(&self, ino: Ino) -> FsResult<Vec<u8>> {
        match &self.node(ino)?.body {
            Body::Symlink(target) => Ok(target.clone()),
            _ => Err(Errno::EINVAL),
        }
    }

    /// All entries in byte order of their names, without "." and "..".
    pub fn read_directory(&self, ino: Ino) -> FsResult<Vec<(Name, Ino, FileKind)>> {
        let entries = &self.directory(ino)?.entries;
        Ok(entries.iter().map(|(name, child)| (name.clone(), *child, self.nodes[child].body.kind())).collect())
    }

    /// Every inode that exists, named or only open.
    pub fn inodes(&self) -> Vec<Ino> {
        self.nodes.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    #[test]
    fn a_directory_lists_its_entries_in_byte_order() {
        let mut oracle = Oracle::new();
        oracle.create(Ino::ROOT, &name("b"), new(2), at(1)).unwrap();
        oracle.mkdir(Ino::ROOT, &name("a"), new(3), at(1)).unwrap();
        let listed = oracle.read_directory(Ino::ROOT).unwrap();
        let expected = vec![(name("a"), Ino(3), FileKind::Directory), (name("b"), Ino(2), FileKind::Regular)];
        assert_eq!(listed, expected);
        assert_eq!(oracle.read_directory(Ino(2)), Err(Errno::ENOTDIR));
    }

    #[test]
    fn only_symlinks_have_a_target() {
        let mut oracle = Oracle::new();
        oracle.symlink(Ino::ROOT, &name("s"), new(2), b"../x", at(1)).unwrap();
        assert_eq!(oracle.read_link(Ino(2)).unwrap(), b"../x");
        assert_eq!(oracle.read_link(Ino::ROOT), Err(Errno::EINVAL));
    }
}
