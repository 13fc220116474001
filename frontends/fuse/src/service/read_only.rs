//! Which requests would change something: a read-only mount refuses them, although the kernel does so before.

use rustix::fs::OFlags;
use shoal_fuse_protocol::{Operation, ioctl};

pub(super) fn changes_something(operation: &Operation<'_>) -> bool {
    match operation {
        Operation::Open { flags } => wants_to_write(*flags),
        Operation::Ioctl { command, .. } => ioctl::changes_something(*command),
        Operation::Setattr(_)
        | Operation::Symlink { .. }
        | Operation::Mknod { .. }
        | Operation::Mkdir { .. }
        | Operation::Unlink { .. }
        | Operation::Rmdir { .. }
        | Operation::Rename { .. }
        | Operation::Link { .. }
        | Operation::Create { .. }
        | Operation::Write { .. }
        | Operation::Setxattr { .. }
        | Operation::Removexattr { .. }
        | Operation::Tmpfile { .. }
        | Operation::Fallocate { .. }
        | Operation::CopyFileRange { .. } => true,
        _ => false,
    }
}

/// By the flags of open(2).
pub(super) fn wants_to_write(flags: u32) -> bool {
    OFlags::from_bits_retain(flags) & OFlags::ACCMODE != OFlags::RDONLY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_changes_something_if_it_writes() {
        let changes = |flags: OFlags| changes_something(&Operation::Open { flags: flags.bits() });
        assert!(!changes(OFlags::RDONLY));
        assert!(!changes(OFlags::DIRECT | OFlags::NOFOLLOW));
        for writing in [OFlags::WRONLY, OFlags::RDWR, OFlags::WRONLY | OFlags::APPEND] {
            assert!(changes(writing), "{writing:?}");
        }
    }

    #[test]
    fn looking_changes_nothing() {
        let name = b"name";
        for looking in [Operation::Lookup { name }, Operation::Statfs, Operation::Opendir { flags: 0 }] {
            assert!(!changes_something(&looking));
        }
        for changing in [Operation::Unlink { name }, Operation::Mkdir { name, mode: 0, umask: 0 }] {
            assert!(changes_something(&changing));
        }
    }
}
