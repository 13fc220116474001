//! Buffers of directory entries for READDIR and READDIRPLUS replies.
//!
//! Entries are padded to 8 bytes, and the kernel drops what lies beyond the size it asked for: an entry goes in whole
//! or not at all.

use crate::reply::EntryOut;
use shoal_types::FileKind;

const DIRENT_BYTES: usize = 24;

/// READDIR: names with inode number and type.
pub struct DirectoryBuffer {
    bytes: Vec<u8>,
    limit: usize,
}

/// READDIRPLUS: each name also carries what LOOKUP would have answered.
pub struct DirectoryPlusBuffer(DirectoryBuffer);

impl DirectoryBuffer {
    /// For a request of `size` bytes.
    pub fn new(size: u32) -> Self {
        DirectoryBuffer { bytes: Vec::new(), limit: size as usize }
    }

    /// `next_offset` is where the following request begins if this is the last entry the reader took.
    /// False, and nothing happens, if the entry no longer fits.
    #[must_use]
    pub fn push(&mut self, ino: u64, next_offset: u64, kind: FileKind, name: &[u8]) -> bool {
        self.push_after(&[], ino, next_offset, kind, name)
    }

    fn push_after(&mut self, before: &[u8], ino: u64, next_offset: u64, kind: FileKind, name: &[u8]) -> bool {
        let needed = (before.len() + DIRENT_BYTES + name.len()).next_multiple_of(8);
        let end = self.bytes.len() + needed;
        if end > self.limit {
            return false;
        }
        let name_bytes = u32::try_from(name.len()).expect("a name that fits into a reply");
        self.bytes.extend_from_slice(before);
        self.bytes.extend_from_slice(&ino.to_ne_bytes());
        self.bytes.extend_from_slice(&next_offset.to_ne_bytes());
        self.bytes.extend_from_slice(&name_bytes.to_ne_bytes());
        self.bytes.extend_from_slice(&(kind.mode_bits() >> 12).to_ne_bytes());
        self.bytes.extend_from_slice(name);
        self.bytes.resize(end, 0);
        true
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The reply's body; empty means the end of the directory.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl DirectoryPlusBuffer {
    pub fn new(size: u32) -> Self {
        DirectoryPlusBuffer(DirectoryBuffer::new(size))
    }

    /// As `DirectoryBuffer::push`. An entry with a node id counts as one lookup, except "." and "..", for which the
    /// kernel takes none: pass them an all-zero `entry`.
    #[must_use]
    pub fn push(&mut self, entry: &EntryOut, ino: u64, next_offset: u64, kind: FileKind, name: &[u8]) -> bool {
        self.0.push_after(entry, ino, next_offset, kind, name)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn entries_are_padded_to_eight_bytes() {
        let mut buffer = DirectoryBuffer::new(4096);
        assert!(buffer.push(5, 9, FileKind::Directory, b"abc"));
        #[rustfmt::skip]
        assert_eq!(buffer.as_bytes(), [
            5, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, b'a', b'b', b'c', 0, 0, 0, 0, 0,
        ]);
        assert!(buffer.push(6, 10, FileKind::Regular, b"exactly8"));
        assert_eq!(buffer.as_bytes().len(), 64);
    }

    #[test]
    fn an_entry_that_does_not_fit_leaves_no_trace() {
        let mut buffer = DirectoryBuffer::new(63);
        assert!(buffer.push(5, 9, FileKind::Regular, b"abc"));
        assert!(!buffer.push(6, 10, FileKind::Regular, b"abc"));
        assert_eq!(buffer.as_bytes().len(), 32);
        let mut plus = DirectoryPlusBuffer::new(160);
        assert!(plus.push(&[1; 128], 5, 9, FileKind::Regular, b"12345678"));
        assert!(!plus.push(&[1; 128], 5, 9, FileKind::Regular, b"1"));
        assert_eq!(plus.as_bytes().len(), 160);
    }
}
