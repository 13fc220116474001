//! Requests for an inode that is gone: the kernel found it by a name that was removed or given to another one meanwhile.
//!
//! On a local file system the walk along a path and the use of what lies at its end can't be separated. Here they can, so
//! the answer is ESTALE, not ENOENT: the kernel then walks the path again, asking for each name, and finds what is there
//! now. What it holds open is kept in the store and never gone.

use crate::transport::{Reply, ReplyBody};
use shoal_fuse_protocol::Operation;
use shoal_runtime::AlignedBuffer;
use shoal_types::Errno;

pub(super) struct ReplyOfLost<R> {
    reply: R,
    /// The request is about an inode and no name in it, so that ENOENT can only mean the inode.
    by_inode: bool,
}

impl<R> ReplyOfLost<R> {
    pub fn new(reply: R, operation: &Operation<'_>) -> Self {
        ReplyOfLost { reply, by_inode: is_by_inode(operation) }
    }
}

/// Those that come at the end of a path.
fn is_by_inode(operation: &Operation<'_>) -> bool {
    matches!(
        operation,
        Operation::Open { .. }
            | Operation::Opendir { .. }
            | Operation::Getattr { .. }
            | Operation::Statx { .. }
            | Operation::Setattr(_)
            | Operation::Readlink
            | Operation::Getxattr { .. }
            | Operation::Listxattr { .. }
            | Operation::Setxattr { .. }
            | Operation::Removexattr { .. }
            | Operation::Access { .. }
            | Operation::Statfs
    )
}

impl<R: Reply> Reply for ReplyOfLost<R> {
    fn data_buffer(&mut self, bytes: usize) -> AlignedBuffer {
        self.reply.data_buffer(bytes)
    }

    fn send(self, result: Result<ReplyBody<'_>, Errno>) {
        self.reply.send(match result {
            Err(Errno::ENOENT) if self.by_inode => Err(Errno::ESTALE),
            result => result,
        });
    }

    fn discard(self) {
        self.reply.discard();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};

    struct Recorder(Sender<Errno>);

    impl Reply for Recorder {
        fn data_buffer(&mut self, _: usize) -> AlignedBuffer {
            unreachable!("nothing is read")
        }

        fn send(self, result: Result<ReplyBody<'_>, Errno>) {
            self.0.send(result.err().expect("an error")).expect("somebody listens");
        }

        fn discard(self) {}
    }

    fn answered(operation: Operation<'_>, errno: Errno) -> Errno {
        let (sender, answer) = channel();
        ReplyOfLost::new(Recorder(sender), &operation).send(Err(errno));
        answer.recv().expect("an answer")
    }

    #[test]
    fn only_a_lost_inode_makes_the_kernel_walk_again_not_a_lost_name() {
        let open = || Operation::Open { flags: 0 };
        assert_eq!(answered(open(), Errno::ENOENT), Errno::ESTALE);
        assert_eq!(answered(open(), Errno::EACCES), Errno::EACCES);
        assert_eq!(answered(Operation::Readlink, Errno::ENOENT), Errno::ESTALE);
        assert_eq!(answered(Operation::Lookup { name: b"n" }, Errno::ENOENT), Errno::ENOENT);
        assert_eq!(answered(Operation::Unlink { name: b"n" }, Errno::ENOENT), Errno::ENOENT);
    }
}
