//! Another name for an inode that has one, or the first for one that was made without.

use crate::Oracle;
use shoal_types::{Attributes, Errno, FsResult, Ino, InodeFlags, Name, Timestamp};

impl Oracle {
    pub fn link(&mut self, ino: Ino, new_parent: Ino, new_name: &Name, now: Timestamp) -> FsResult<Attributes> {
        self.node(ino)?;
        self.refuse_taken_name(new_parent, new_name)?;
        if self.is_directory(ino) {
            return Err(Errno::EPERM);
        }
        let node = self.node(ino)?;
        node.refuse(InodeFlags::PROTECTION)?;
        if node.names == 0 && !node.never_named {
            return Err(Errno::ENOENT);
        }
        self.attach(new_parent, new_name, ino, now);
        Ok(self.describe(ino))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    #[test]
    fn a_link_is_the_same_inode_with_one_name_more() {
        let mut oracle = Oracle::new();
        oracle.create(Ino::ROOT, &name("f"), new(2), at(1)).unwrap();
        let linked = oracle.link(Ino(2), Ino::ROOT, &name("g"), at(3)).unwrap();
        assert_eq!((linked.ino, linked.nlink, linked.ctime, linked.mtime), (Ino(2), 2, at(3), at(1)));
        assert_eq!(oracle.get_attributes(Ino::ROOT).unwrap().mtime, at(3));
    }

    #[test]
    fn a_file_made_without_a_name_gets_its_first_one_and_no_first_one_again() {
        let mut oracle = Oracle::new();
        let made = oracle.create_nameless(Ino::ROOT, new(2), at(1)).unwrap();
        assert_eq!((made.nlink, oracle.read_directory(Ino::ROOT).unwrap().len()), (0, 0));
        oracle.write(Ino(2), 0, b"kept", at(2)).unwrap();
        let linked = oracle.link(Ino(2), Ino::ROOT, &name("f"), at(3)).unwrap();
        assert_eq!((linked.nlink, linked.ctime, linked.mtime), (1, at(3), at(2)));
        oracle.unlink(Ino::ROOT, &name("f"), at(4)).unwrap();
        assert_eq!(oracle.link(Ino(2), Ino::ROOT, &name("f"), at(5)), Err(Errno::ENOENT));
        oracle.close(Ino(2)).unwrap();
        assert_eq!(oracle.get_attributes(Ino(2)), Err(Errno::ENOENT));
        oracle.create_nameless(Ino::ROOT, new(3), at(6)).unwrap();
        oracle.close(Ino(3)).unwrap();
        assert_eq!(oracle.get_attributes(Ino(3)), Err(Errno::ENOENT), "nobody has named it");
    }

    #[test]
    fn directories_and_removed_files_get_no_second_name() {
        let mut oracle = Oracle::new();
        oracle.mkdir(Ino::ROOT, &name("d"), new(2), at(1)).unwrap();
        assert_eq!(oracle.link(Ino(2), Ino::ROOT, &name("e"), at(2)), Err(Errno::EPERM));
        assert_eq!(oracle.link(Ino(2), Ino::ROOT, &name("d"), at(2)), Err(Errno::EEXIST));
        oracle.create(Ino::ROOT, &name("f"), new(3), at(1)).unwrap();
        oracle.open(Ino(3)).unwrap();
        oracle.unlink(Ino::ROOT, &name("f"), at(2)).unwrap();
        assert_eq!(oracle.link(Ino(3), Ino::ROOT, &name("g"), at(3)), Err(Errno::ENOENT));
    }
}
