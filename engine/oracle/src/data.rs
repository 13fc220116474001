//! File content by inode: write, read, truncate.

use crate::content::Content;
use crate::tree::{Body, Oracle};
use shoal_types::{Attributes, Errno, FILE_BYTES_MAX, FsResult, Ino, InodeFlags, Timestamp};
use std::ops::Range;

impl Oracle {
    /// Grows with zeros or cuts. Content and change time are set even where the length stays.
    pub fn truncate(&mut self, ino: Ino, length: u64, now: Timestamp) -> FsResult<Attributes> {
        self.content(ino)?;
        self.refuse(ino, InodeFlags::PROTECTION)?;
        if length > FILE_BYTES_MAX {
            return Err(Errno::EFBIG);
        }
        self.change(ino, now, |content| content.truncate(length))
    }

    /// Writes all of `bytes`; writing nothing changes nothing.
    pub fn write(&mut self, ino: Ino, offset: u64, bytes: &[u8], now: Timestamp) -> FsResult<Attributes> {
        self.content(ino)?;
        self.refuse(ino, InodeFlags::IMMUTABLE)?;
        if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > FILE_BYTES_MAX) {
            return Err(Errno::EFBIG);
        }
        if bytes.is_empty() {
            return Ok(self.describe(ino));
        }
        self.change(ino, now, |content| content.write(offset, bytes))
    }

    /// At most `length` bytes, fewer at the end of the file.
    pub fn read(&self, ino: Ino, offset: u64, length: usize) -> FsResult<Vec<u8>> {
        Ok(self.content(ino)?.read(offset, length))
    }

    /// Whether a file holds nothing but zeros in a range; beyond its end there are none.
    pub fn is_zero(&self, ino: Ino, range: Range<u64>) -> bool {
        self.content(ino).is_ok_and(|content| content.is_zero(range.start, range.end))
    }

    pub(crate) fn change(
        &mut self,
        ino: Ino,
        now: Timestamp,
        change: impl FnOnce(&mut Content),
    ) -> FsResult<Attributes> {
        let node = self.node_mut(ino)?;
        if let Body::Regular(content) = &mut node.body {
            change(content);
            node.mtime = now;
            node.ctime = now;
        }
        Ok(self.describe(ino))
    }

    pub(crate) fn content(&self, ino: Ino) -> FsResult<&Content> {
        match &self.node(ino)?.body {
            Body::Regular(content) => Ok(content),
            Body::Directory(_) => Err(Errno::EISDIR),
            Body::Symlink(_) | Body::Special(_) => Err(Errno::EINVAL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    #[test]
    fn a_write_sets_length_content_and_times() {
        let mut oracle = Oracle::new();
        oracle.create(Ino::ROOT, &name("f"), new(2), at(1)).unwrap();
        let written = oracle.write(Ino(2), 3, b"abc", at(2)).unwrap();
        assert_eq!((written.length, written.mtime, written.ctime, written.atime), (6, at(2), at(2), at(1)));
        assert_eq!(oracle.read(Ino(2), 0, 100).unwrap(), b"\0\0\0abc");
        assert_eq!(oracle.read(Ino(2), 6, 1).unwrap(), b"");
    }

    #[test]
    fn writing_nothing_changes_nothing() {
        let mut oracle = Oracle::new();
        let before = oracle.create(Ino::ROOT, &name("f"), new(2), at(1)).unwrap();
        assert_eq!(oracle.write(Ino(2), 50, b"", at(2)).unwrap(), before);
    }

    #[test]
    fn truncation_to_the_same_length_still_touches_the_times() {
        let mut oracle = Oracle::new();
        oracle.create(Ino::ROOT, &name("f"), new(2), at(1)).unwrap();
        let cut = oracle.truncate(Ino(2), 0, at(2)).unwrap();
        assert_eq!((cut.mtime, cut.ctime), (at(2), at(2)));
    }

    #[test]
    fn offsets_beyond_the_largest_file_are_refused() {
        let mut oracle = Oracle::new();
        oracle.create(Ino::ROOT, &name("f"), new(2), at(1)).unwrap();
        assert_eq!(oracle.truncate(Ino(2), FILE_BYTES_MAX + 1, at(2)), Err(Errno::EFBIG));
        assert_eq!(oracle.write(Ino(2), FILE_BYTES_MAX, b"x", at(2)), Err(Errno::EFBIG));
        assert_eq!(oracle.write(Ino(2), u64::MAX, b"x", at(2)), Err(Errno::EFBIG));
        assert_eq!(oracle.truncate(Ino(2), FILE_BYTES_MAX, at(2)).unwrap().length, FILE_BYTES_MAX);
    }

    #[test]
    fn only_regular_files_have_content() {
        let mut oracle = Oracle::new();
        oracle.symlink(Ino::ROOT, &name("s"), new(2), b"t", at(1)).unwrap();
        assert_eq!(oracle.write(Ino(2), 0, b"x", at(2)), Err(Errno::EINVAL));
        assert_eq!(oracle.truncate(Ino::ROOT, 0, at(2)), Err(Errno::EISDIR));
        assert_eq!(oracle.read(Ino::ROOT, 0, 1), Err(Errno::EISDIR));
        assert_eq!(oracle.read(Ino(9), 0, 1), Err(Errno::ENOENT));
    }
}
