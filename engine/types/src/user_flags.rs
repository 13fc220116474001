//! The flags of an inode that users set (`chattr(1)`), and what each of them means to the kernel's two interfaces.
//!
//! They are stored as `FS_IOC_SETFLAGS` has them, 8 bits up: below are marks of our own. What is no more than a note on
//! ext4 too, and promises nothing, is kept as a note; a flag that would promise what the volume can't do is refused.

use crate::{FileKind, InodeFlags};

impl InodeFlags {
    /// Nothing of it changes, and it neither gets nor loses a name.
    pub const IMMUTABLE: InodeFlags = user(0x10);
    /// What is in it stays: bytes of a file, names of a directory. More may come.
    pub const APPEND_ONLY: InodeFlags = user(0x20);
    pub const NO_ACCESS_TIME: InodeFlags = user(0x80);
    /// For backup programs.
    pub const NO_DUMP: InodeFlags = user(0x40);
    /// What is written is durable before the writer goes on.
    pub const SYNC: InodeFlags = user(0x8);
    /// Those that forbid something.
    pub const PROTECTION: InodeFlags = InodeFlags(Self::IMMUTABLE.0 | Self::APPEND_ONLY.0);

    /// A note, of directories alone (`D`): names are committed at once, whether it's there or not.
    const DIRECTORY_SYNC: InodeFlags = user(0x1_0000);
    /// A note, of directories alone (`T`), for file systems that place directories on a disk.
    const TOP_OF_HIERARCHY: InodeFlags = user(0x2_0000);
    /// Notes: secure deletion (`s`), undeletable (`u`), compressed (`c`), without tail merging (`t`).
    const NOTES: InodeFlags = user(0x1 | 0x2 | 0x4 | 0x8000);
    const OF_DIRECTORIES: InodeFlags = InodeFlags(Self::DIRECTORY_SYNC.0 | Self::TOP_OF_HIERARCHY.0);

    /// Those that `FS_IOC_FSSETXATTR` knows, with their bits there.
    const EXTENDED: [(InodeFlags, u32); 5] = [
        (Self::IMMUTABLE, 0x8),
        (Self::APPEND_ONLY, 0x10),
        (Self::SYNC, 0x20),
        (Self::NO_ACCESS_TIME, 0x40),
        (Self::NO_DUMP, 0x80),
    ];
    pub const BY_EXTENDED: InodeFlags =
        InodeFlags(Self::PROTECTION.0 | Self::SYNC.0 | Self::NO_ACCESS_TIME.0 | Self::NO_DUMP.0);
    /// All that users set.
    pub const BY_USERS: InodeFlags = InodeFlags(Self::BY_EXTENDED.0 | Self::OF_DIRECTORIES.0 | Self::NOTES.0);

    /// As `FS_IOC_SETFLAGS` tells them; `None` if one is not kept.
    pub fn from_kernel(bits: u32) -> Option<Self> {
        let flags = bits.checked_shl(USER_SHIFT).map(InodeFlags)?;
        (flags.to_kernel() == bits).then_some(flags)
    }

    /// As `FS_IOC_GETFLAGS` tells them.
    pub fn to_kernel(self) -> u32 {
        self.only(Self::BY_USERS).0 >> USER_SHIFT
    }

    /// From `fsx_xflags` of `FS_IOC_FSSETXATTR`; `None` if one is not kept.
    pub fn from_extended(bits: u32) -> Option<Self> {
        let set = Self::EXTENDED.into_iter().filter(|(_, bit)| bits & bit != 0);
        let flags = set.fold(InodeFlags::default(), |flags, (flag, _)| flags.with(flag, true));
        (flags.to_extended() == bits).then_some(flags)
    }

    pub fn to_extended(self) -> u32 {
        Self::EXTENDED.into_iter().filter(|(flag, _)| self.has(*flag)).fold(0, |bits, (_, bit)| bits | bit)
    }

    /// What something new gets from the directory it's made in.
    #[must_use]
    pub fn inherited(self, kind: FileKind) -> Self {
        let handed_down = self.only(Self::BY_USERS).without(Self::PROTECTION).without(Self::TOP_OF_HIERARCHY);
        match kind {
            FileKind::Directory => handed_down,
            FileKind::Regular => handed_down.without(Self::OF_DIRECTORIES),
            _ => handed_down.only(InodeFlags(Self::NO_DUMP.0 | Self::NO_ACCESS_TIME.0)),
        }
    }

    /// Whether something of this kind can have all of them.
    pub fn suit(self, kind: FileKind) -> bool {
        kind == FileKind::Directory || !self.any(Self::OF_DIRECTORIES)
    }

    pub fn any(self, flags: InodeFlags) -> bool {
        self.0 & flags.0 != 0
    }

    #[must_use]
    pub fn without(self, flags: InodeFlags) -> Self {
        InodeFlags(self.0 & !flags.0)
    }
}

const USER_SHIFT: u32 = 8;

const fn user(bits: u32) -> InodeFlags {
    InodeFlags(bits << USER_SHIFT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bits_are_the_kernels() {
        // `FS_*_FL` of linux/fs.h: immutable, append, nodump, noatime, sync, dirsync, topdir, notail, secrm, unrm, compr.
        let kept = [0x10, 0x20, 0x40, 0x80, 0x8, 0x1_0000, 0x2_0000, 0x8000, 0x1, 0x2, 0x4];
        for bit in (0..32).map(|bit| 1u32 << bit) {
            let flags = InodeFlags::from_kernel(bit);
            assert_eq!(flags.is_some(), kept.contains(&bit), "{bit:#x}");
            assert!(flags.is_none_or(|flags| flags.to_kernel() == bit));
        }
        assert_eq!(InodeFlags::from_kernel(0x10), Some(InodeFlags::IMMUTABLE));
        assert_eq!(InodeFlags::from_kernel(0x20), Some(InodeFlags::APPEND_ONLY));
        let both = InodeFlags(InodeFlags::SYNC.0 | InodeFlags::NO_ACCESS_TIME.0);
        assert_eq!(InodeFlags::from_kernel(0x88), Some(both));
    }

    #[test]
    fn the_extended_bits_are_some_of_the_same_flags() {
        for (flag, bit) in InodeFlags::EXTENDED {
            assert_eq!(InodeFlags::from_extended(bit), Some(flag));
            assert_eq!(flag.to_extended(), bit);
        }
        let common = InodeFlags::EXTENDED.into_iter().fold(0, |bits, (flag, _)| bits | flag.0);
        assert_eq!(common, InodeFlags::BY_EXTENDED.0);
        for refused in [0x1, 0x2, 0x100, 0x200, 0x8000, 0x8000_0000] {
            assert_eq!(InodeFlags::from_extended(refused | 0x40), None, "{refused:#x}");
        }
        assert_eq!(InodeFlags::from_extended(0), Some(InodeFlags::default()));
    }

    #[test]
    fn marks_of_our_own_are_no_users_flags() {
        let own = InodeFlags(InodeFlags::NEVER_NAMED.0 | InodeFlags::ABOUT_XATTRS.0 | InodeFlags::TRASHED.0);
        assert_eq!((own.to_kernel(), own.inherited(FileKind::Directory)), (0, InodeFlags::default()));
        assert!(!own.any(InodeFlags::BY_USERS));
    }

    #[test]
    fn what_is_made_inherits_as_on_ext4() {
        let all = InodeFlags::from_kernel(0x3_80ff).expect("all are kept");
        let inherited = |kind| all.inherited(kind).to_kernel();
        assert_eq!(inherited(FileKind::Directory), 0x1_80cf);
        assert_eq!(inherited(FileKind::Regular), 0x80cf);
        assert_eq!(inherited(FileKind::Symlink), 0xc0);
        assert!(all.suit(FileKind::Directory) && !all.suit(FileKind::Regular));
    }
}
