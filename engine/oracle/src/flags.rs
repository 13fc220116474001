//! Flags that users set on inodes, and what immutable and append-only ones refuse (`EPERM`), as on ext4:
//!
//! * making a name in an immutable directory (`EEXIST` comes first); taking one from an immutable or append-only directory
//! * another name for an immutable or append-only inode, and taking one from it
//! * any change of an immutable inode; of an append-only one any but a write, room at its end, and being touched
//!
//! `set_attributes` and `drop_privileges` don't ask: whether they touch, or follow from a write, is for `refuse`.

use crate::Oracle;
use crate::tree::Node;
use shoal_types::{Attributes, Errno, FsResult, Ino, InodeFlags, Timestamp};

impl Oracle {
    /// Sets those of the flags that `decided` names, and the change time. `EOPNOTSUPP` for one that an inode of this kind
    /// can't have, `EPERM` for one that is and stays immutable, unless nothing is different.
    pub fn set_flags(
        &mut self,
        ino: Ino,
        flags: InodeFlags,
        decided: InodeFlags,
        now: Timestamp,
    ) -> FsResult<Attributes> {
        let node = self.node_mut(ino)?;
        if !flags.only(decided).suit(node.body.kind()) {
            return Err(Errno::EOPNOTSUPP);
        }
        let new = InodeFlags(node.user_flags.without(decided).0 | flags.only(decided).0);
        let stays = node.user_flags.has(InodeFlags::IMMUTABLE) && new.has(InodeFlags::IMMUTABLE);
        if stays && new != node.user_flags {
            return Err(Errno::EPERM);
        }
        node.user_flags = new;
        node.ctime = now;
        Ok(self.describe(ino))
    }

    /// `EPERM` if the inode has one of these flags.
    pub fn refuse(&self, ino: Ino, flags: InodeFlags) -> FsResult<()> {
        self.node(ino)?.refuse(flags)
    }

    /// Whether this, or anything below it, is immutable or append-only.
    pub fn is_protected_within(&self, ino: Ino) -> bool {
        let below = self.read_directory(ino).unwrap_or_default();
        self.refuse(ino, InodeFlags::PROTECTION) == Err(Errno::EPERM)
            || below.into_iter().any(|(_, ino, _)| self.is_protected_within(ino))
    }
}

impl Node {
    pub(crate) fn refuse(&self, flags: InodeFlags) -> FsResult<()> {
        if self.user_flags.any(flags) { Err(Errno::EPERM) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RenameFlags;
    use crate::testing::*;

    const NONE: InodeFlags = InodeFlags(0);

    fn set(oracle: &mut Oracle, ino: u64, flags: InodeFlags) -> FsResult<Attributes> {
        oracle.set_flags(Ino(ino), flags, InodeFlags::BY_USERS, at(8))
    }

    /// d(2)/f(3), d/e(4), g(5).
    fn tree(flags_of_d: InodeFlags, flags_of_f: InodeFlags) -> Oracle {
        let mut oracle = Oracle::new();
        oracle.mkdir(Ino::ROOT, &name("d"), new(2), at(1)).unwrap();
        oracle.create(Ino(2), &name("f"), new(3), at(1)).unwrap();
        oracle.mkdir(Ino(2), &name("e"), new(4), at(1)).unwrap();
        oracle.create(Ino::ROOT, &name("g"), new(5), at(1)).unwrap();
        set(&mut oracle, 2, flags_of_d).unwrap();
        set(&mut oracle, 3, flags_of_f).unwrap();
        oracle
    }

    fn rename(oracle: &mut Oracle, from: (u64, &str), to: (u64, &str)) -> FsResult<()> {
        let flags = RenameFlags::default();
        oracle.rename(Ino(from.0), &name(from.1), Ino(to.0), &name(to.1), flags, at(9))
    }

    #[test]
    fn a_protected_inode_keeps_its_names() {
        for flags in [InodeFlags::IMMUTABLE, InodeFlags::APPEND_ONLY] {
            let oracle = &mut tree(NONE, flags);
            assert_eq!(oracle.unlink(Ino(2), &name("f"), at(9)), Err(Errno::EPERM));
            assert_eq!(oracle.link(Ino(3), Ino::ROOT, &name("x"), at(9)), Err(Errno::EPERM));
            assert_eq!(rename(oracle, (2, "f"), (2, "x")), Err(Errno::EPERM));
            assert_eq!(rename(oracle, (1, "g"), (2, "f")), Err(Errno::EPERM));
            assert_eq!(rename(oracle, (2, "f"), (2, "f")), Ok(()));
        }
    }

    #[test]
    fn an_immutable_directory_keeps_what_it_has_and_an_append_only_one_gains() {
        for flags in [InodeFlags::IMMUTABLE, InodeFlags::APPEND_ONLY] {
            let oracle = &mut tree(flags, NONE);
            assert_eq!(oracle.unlink(Ino(2), &name("f"), at(9)), Err(Errno::EPERM));
            assert_eq!(oracle.rmdir(Ino(2), &name("e"), at(9)), Err(Errno::EPERM));
            assert_eq!(oracle.unlink(Ino(2), &name("missing"), at(9)), Err(Errno::ENOENT));
            assert_eq!(oracle.create(Ino(2), &name("f"), new(9), at(9)), Err(Errno::EEXIST));
            assert_eq!(rename(oracle, (2, "f"), (1, "x")), Err(Errno::EPERM));
            assert_eq!(rename(oracle, (1, "g"), (2, "f")), Err(Errno::EPERM));
            let gains = if flags == InodeFlags::IMMUTABLE { Err(Errno::EPERM) } else { Ok(()) };
            assert_eq!(oracle.mkdir(Ino(2), &name("n"), new(10), at(9)).map(drop), gains);
            assert_eq!(rename(oracle, (1, "g"), (2, "x")), gains);
            assert_eq!(oracle.rmdir(Ino::ROOT, &name("d"), at(9)), Err(Errno::EPERM));
        }
    }

    #[test]
    fn an_append_only_file_is_written_and_not_cut() {
        let oracle = &mut tree(NONE, InodeFlags::APPEND_ONLY);
        assert!(oracle.write(Ino(3), 0, b"more", at(9)).is_ok());
        assert_eq!(oracle.truncate(Ino(3), 9, at(9)), Err(Errno::EPERM));
        assert_eq!(oracle.fallocate(Ino(3), 0..2, 0, at(9)), Err(Errno::EPERM));
        assert!(oracle.fallocate(Ino(3), 0..0, 9, at(9)).is_ok());
        assert_eq!(oracle.copy_range((Ino(3), 0), (Ino(3), 9), 2, at(9)), Ok(2));
        set(oracle, 3, InodeFlags::IMMUTABLE).unwrap();
        assert_eq!(oracle.write(Ino(3), 0, b"more", at(9)), Err(Errno::EPERM));
        assert_eq!(oracle.fallocate(Ino(3), 0..0, 20, at(9)), Err(Errno::EPERM));
        assert_eq!(oracle.copy_range((Ino(3), 0), (Ino(3), 9), 2, at(9)), Err(Errno::EPERM));
    }

    #[test]
    fn an_immutable_inode_becomes_mutable_before_it_becomes_anything_else() {
        let oracle = &mut tree(NONE, InodeFlags::IMMUTABLE);
        let with_sync = InodeFlags(InodeFlags::IMMUTABLE.0 | InodeFlags::SYNC.0);
        assert_eq!(set(oracle, 3, with_sync), Err(Errno::EPERM));
        assert!(set(oracle, 3, InodeFlags::IMMUTABLE).is_ok());
        assert_eq!(set(oracle, 3, InodeFlags::SYNC).unwrap().flags, InodeFlags::SYNC);
        assert_eq!(set(oracle, 3, InodeFlags(0x1_0000 << 8)), Err(Errno::EOPNOTSUPP));
        assert!(oracle.set_flags(Ino(3), with_sync, InodeFlags::IMMUTABLE, at(9)).unwrap().flags.has(with_sync));
    }
}
