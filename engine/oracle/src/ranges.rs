//! Ranges of files that change at once: fallocate(2), copy_file_range(2).

use crate::Oracle;
use shoal_types::{Attributes, Errno, FILE_BYTES_MAX, FsResult, Ino, InodeFlags, Timestamp};
use std::ops::Range;

impl Oracle {
    /// Zeros in `hole`, a length of at least `length_min`; both times move in any case.
    pub fn fallocate(&mut self, ino: Ino, hole: Range<u64>, length_min: u64, now: Timestamp) -> FsResult<Attributes> {
        self.content(ino)?;
        self.refuse(ino, if hole.is_empty() { InodeFlags::IMMUTABLE } else { InodeFlags::PROTECTION })?;
        if hole.end.max(length_min) > FILE_BYTES_MAX {
            return Err(Errno::EFBIG);
        }
        self.change(ino, now, |content| {
            content.clear(hole.start, hole.end);
            content.grow(length_min);
        })
    }

    /// Copies as many of `length` bytes as the source has; tells how many. Copying none changes nothing. `EINVAL` for ranges
    /// of one file that overlap.
    pub fn copy_range(&mut self, from: (Ino, u64), to: (Ino, u64), length: u64, now: Timestamp) -> FsResult<u64> {
        let source = self.content(from.0)?;
        let count = length.min(source.length().saturating_sub(from.1));
        self.content(to.0)?;
        self.refuse(to.0, InodeFlags::IMMUTABLE)?;
        if to.1.checked_add(count).is_none_or(|end| end > FILE_BYTES_MAX) {
            return Err(Errno::EFBIG);
        }
        if from.0 == to.0 && from.1.abs_diff(to.1) < count {
            return Err(Errno::EINVAL);
        }
        let bytes = self.read(from.0, from.1, usize::try_from(count).map_err(|_| Errno::EFBIG)?)?;
        if count > 0 {
            self.change(to.0, now, |content| content.write(to.1, &bytes))?;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn file_of(bytes: &[u8]) -> Oracle {
        let mut oracle = Oracle::new();
        oracle.create(Ino::ROOT, &name("f"), new(2), at(1)).unwrap();
        oracle.write(Ino(2), 0, bytes, at(1)).unwrap();
        oracle
    }

    #[test]
    fn a_hole_shows_zeros_and_only_a_wished_length_grows_the_file() {
        let mut oracle = file_of(&[7; 10_000]);
        let punched = oracle.fallocate(Ino(2), 100..9000, 0, at(2)).unwrap();
        assert_eq!((punched.length, punched.mtime, punched.ctime), (10_000, at(2), at(2)));
        let expected = [&[7; 100][..], &[0; 8900], &[7; 1000]].concat();
        assert_eq!(oracle.read(Ino(2), 0, 20_000).unwrap(), expected);
        assert_eq!(oracle.fallocate(Ino(2), 9990..20_000, 0, at(3)).unwrap().length, 10_000);
        assert_eq!(oracle.fallocate(Ino(2), 0..0, 12_000, at(4)).unwrap().length, 12_000);
        assert_eq!(oracle.read(Ino(2), 9985, 20_000).unwrap(), [&[7; 5][..], &[0; 2010]].concat());
        assert_eq!(oracle.fallocate(Ino(2), 0..0, FILE_BYTES_MAX + 1, at(4)), Err(Errno::EFBIG));
        assert_eq!(oracle.fallocate(Ino::ROOT, 0..1, 0, at(4)), Err(Errno::EISDIR));
    }

    #[test]
    fn a_copy_ends_where_its_source_does_and_must_not_overlap_it() {
        let mut oracle = file_of(b"0123456789");
        assert_eq!(oracle.copy_range((Ino(2), 4), (Ino(2), 20), 100, at(2)), Ok(6));
        assert_eq!(oracle.read(Ino(2), 0, 100).unwrap(), [&b"0123456789"[..], &[0; 10], b"456789"].concat());
        assert_eq!(oracle.copy_range((Ino(2), 0), (Ino(2), 5), 6, at(3)), Err(Errno::EINVAL));
        assert_eq!(oracle.copy_range((Ino(2), 0), (Ino(2), 5), 5, at(3)), Ok(5));
        assert_eq!(oracle.copy_range((Ino(2), 99), (Ino(2), 0), 5, at(4)), Ok(0));
        assert_eq!(oracle.get_attributes(Ino(2)).unwrap().mtime, at(3));
        assert_eq!(oracle.copy_range((Ino(2), 0), (Ino(2), FILE_BYTES_MAX), 1, at(4)), Err(Errno::EFBIG));
    }
}
