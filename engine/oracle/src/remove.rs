//! Taking names away. An inode without a name lives on until its last handle is closed.

use crate::Oracle;
use shoal_types::{Errno, FsResult, Ino, InodeFlags, Name, Timestamp};

impl Oracle {
    /// Removes a name of anything but a directory.
    pub fn unlink(&mut self, parent: Ino, name: &Name, now: Timestamp) -> FsResult<()> {
        let child = self.entry(parent, name)?;
        self.refuse(parent, InodeFlags::PROTECTION)?;
        if self.is_directory(child) {
            return Err(Errno::EISDIR);
        }
        self.refuse(child, InodeFlags::PROTECTION)?;
        self.detach(parent, name, now);
        self.reap(child);
        Ok(())
    }

    /// Removes an empty directory.
    pub fn rmdir(&mut self, parent: Ino, name: &Name, now: Timestamp) -> FsResult<()> {
        let child = self.entry(parent, name)?;
        self.refuse(parent, InodeFlags::PROTECTION)?;
        let is_empty = self.directory(child)?.entries.is_empty();
        self.refuse(child, InodeFlags::PROTECTION)?;
        if !is_empty {
            return Err(Errno::ENOTEMPTY);
        }
        self.detach(parent, name, now);
        self.reap(child);
        Ok(())
    }

    /// Removes a directory with all that lies below it: what `rm -r` comes to, in one moment.
    pub fn remove_tree(&mut self, parent: Ino, name: &Name, now: Timestamp) -> FsResult<()> {
        let top = self.entry(parent, name)?;
        self.refuse(parent, InodeFlags::PROTECTION)?;
        self.directory(top)?;
        self.refuse(top, InodeFlags::PROTECTION)?;
        for (below, ino, _) in self.read_directory(top)? {
            match self.is_directory(ino) {
                true => self.remove_tree(top, &below, now)?,
                false => self.unlink(top, &below, now)?,
            }
        }
        self.rmdir(parent, name, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    #[test]
    fn each_removal_takes_only_its_kind() {
        let mut oracle = Oracle::new();
        oracle.mkdir(Ino::ROOT, &name("d"), new(2), at(1)).unwrap();
        oracle.create(Ino::ROOT, &name("f"), new(3), at(1)).unwrap();
        assert_eq!(oracle.unlink(Ino::ROOT, &name("d"), at(2)), Err(Errno::EISDIR));
        assert_eq!(oracle.rmdir(Ino::ROOT, &name("f"), at(2)), Err(Errno::ENOTDIR));
        assert_eq!(oracle.unlink(Ino::ROOT, &name("x"), at(2)), Err(Errno::ENOENT));
        assert_eq!(oracle.rmdir(Ino::ROOT, &name("x"), at(2)), Err(Errno::ENOENT));
    }

    #[test]
    fn a_directory_with_entries_stays() {
        let mut oracle = Oracle::new();
        oracle.mkdir(Ino::ROOT, &name("d"), new(2), at(1)).unwrap();
        oracle.create(Ino(2), &name("f"), new(3), at(1)).unwrap();
        assert_eq!(oracle.rmdir(Ino::ROOT, &name("d"), at(2)), Err(Errno::ENOTEMPTY));
        oracle.unlink(Ino(2), &name("f"), at(3)).unwrap();
        oracle.rmdir(Ino::ROOT, &name("d"), at(4)).unwrap();
        let root = oracle.get_attributes(Ino::ROOT).unwrap();
        assert_eq!((root.nlink, root.length, root.mtime), (2, 0, at(4)));
    }

    #[test]
    fn removing_one_of_two_names_keeps_the_inode_and_touches_its_change_time() {
        let mut oracle = Oracle::new();
        oracle.create(Ino::ROOT, &name("f"), new(2), at(1)).unwrap();
        oracle.link(Ino(2), Ino::ROOT, &name("g"), at(2)).unwrap();
        oracle.unlink(Ino::ROOT, &name("f"), at(3)).unwrap();
        let left = oracle.lookup(Ino::ROOT, &name("g")).unwrap();
        assert_eq!((left.nlink, left.ctime, left.mtime), (1, at(3), at(1)));
    }
}
