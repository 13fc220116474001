//! Open handles: all that matters here is how many keep a nameless inode alive.

use crate::Oracle;
use shoal_types::{Errno, FsResult, Ino};

impl Oracle {
    pub fn open(&mut self, ino: Ino) -> FsResult<()> {
        self.node_mut(ino)?.open_count += 1;
        Ok(())
    }

    /// `EBADF` if nobody has it open.
    pub fn close(&mut self, ino: Ino) -> FsResult<()> {
        let node = self.node_mut(ino).map_err(|_| Errno::EBADF)?;
        node.open_count = node.open_count.checked_sub(1).ok_or(Errno::EBADF)?;
        self.reap(ino);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    #[test]
    fn an_unlinked_open_file_stays_readable_until_the_last_close() {
        let mut oracle = Oracle::new();
        oracle.create(Ino::ROOT, &name("f"), new(2), at(1)).unwrap();
        oracle.write(Ino(2), 0, b"kept", at(1)).unwrap();
        oracle.open(Ino(2)).unwrap();
        oracle.open(Ino(2)).unwrap();
        oracle.unlink(Ino::ROOT, &name("f"), at(2)).unwrap();
        oracle.close(Ino(2)).unwrap();
        assert_eq!(oracle.read(Ino(2), 0, 9).unwrap(), b"kept");
        oracle.close(Ino(2)).unwrap();
        assert_eq!(oracle.get_attributes(Ino(2)), Err(Errno::ENOENT));
        assert_eq!(oracle.close(Ino(2)), Err(Errno::EBADF));
    }

    #[test]
    fn closing_a_named_file_removes_nothing() {
        let mut oracle = Oracle::new();
        oracle.create(Ino::ROOT, &name("f"), new(2), at(1)).unwrap();
        oracle.open(Ino(2)).unwrap();
        oracle.close(Ino(2)).unwrap();
        assert!(oracle.lookup(Ino::ROOT, &name("f")).is_ok());
        assert_eq!(oracle.close(Ino(2)), Err(Errno::EBADF));
    }
}
