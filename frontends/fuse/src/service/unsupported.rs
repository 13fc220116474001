//! What is not served yet, and the answer after which the kernel does best without it.
//!
//! To ENOSYS the kernel reacts, mostly, by never asking again and falling back by itself:
//!
//! | request | after ENOSYS |
//! |---|---|
//! | ACCESS | the kernel checks permissions, or everything is allowed, as the mount's options say |
//! | POLL | always ready, as regular files are |
//! | BMAP | not asked again; only swap files and LILO want to know |
//!
//! The exception: an unknown ioctl is ENOTTY on every file system.

use shoal_fuse_protocol::Operation;
use shoal_types::Errno;

pub(super) fn answer(operation: &Operation<'_>) -> Errno {
    match operation {
        Operation::Ioctl { .. } => Errno::ENOTTY,
        _ => Errno::ENOSYS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_kernel_may_remember_for_ever_is_enosys() {
        let ioctl = Operation::Ioctl { handle: 0, flags: 0, command: 1, argument: 0, input: &[], output_bytes: 0 };
        assert_eq!(answer(&ioctl), Errno::ENOTTY);
        assert_eq!(answer(&Operation::Access { mask: 0 }), Errno::ENOSYS);
        assert_eq!(answer(&Operation::Unknown { opcode: 99, body: &[] }), Errno::ENOSYS);
    }
}
