//! IOCTL: all that a file or directory of a mount is asked this way. Commands of our own type are our programs'
//! (`control`, and `clone` for `shoal clone`); those about flags are the kernel's.

use crate::clone::{CLONE_BEGIN, CloneRequest};
use crate::control::{COMPACT, ControlRequest, REMOVE_TREE};
use crate::flags::{FlagsRequest, SET_EXTENDED, SET_FLAGS};
use shoal_types::Errno;

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum IoctlRequest<'a> {
    Control(ControlRequest<'a>),
    Clone(CloneRequest),
    Flags(FlagsRequest),
}

impl<'a> IoctlRequest<'a> {
    /// `ENOTTY` for a command that nobody here knows; other errors as the modules tell them.
    pub fn parse(command: u32, input: &'a [u8]) -> Result<Self, Errno> {
        match ControlRequest::parse(command, input) {
            Err(Errno::ENOTTY) => {}
            request => return request.map(IoctlRequest::Control),
        }
        match CloneRequest::parse(command, input) {
            Err(Errno::ENOTTY) => FlagsRequest::parse(command, input).map(IoctlRequest::Flags),
            request => request.map(IoctlRequest::Clone),
        }
    }
}

/// Whether the command changes something of the volume.
pub fn changes_something(command: u32) -> bool {
    matches!(command, REMOVE_TREE | COMPACT | CLONE_BEGIN | SET_FLAGS | SET_EXTENDED)
}

/// What precedes the output in the reply (`fuse_ioctl_out`): the call returns 0, and nothing is to be retried.
pub const IOCTL_OUT: [u8; 16] = [0; 16];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clone::CLONE_WORK;
    use crate::control::REMOVALS;
    use crate::flags::{GET_EXTENDED, GET_FLAGS};

    #[test]
    fn each_command_is_understood_by_one() {
        let parse = |command| IoctlRequest::parse(command, b"");
        assert_eq!(parse(REMOVALS), Ok(IoctlRequest::Control(ControlRequest::Removals)));
        assert_eq!(parse(CLONE_WORK), Ok(IoctlRequest::Clone(CloneRequest::Work)));
        assert_eq!(parse(GET_FLAGS), Ok(IoctlRequest::Flags(FlagsRequest::Get)));
        for cut in [REMOVE_TREE, COMPACT, CLONE_BEGIN, SET_FLAGS, SET_EXTENDED] {
            assert_eq!(parse(cut), Err(Errno::EINVAL), "{cut:#x}");
            assert!(changes_something(cut));
        }
        assert_eq!(parse(0x5401), Err(Errno::ENOTTY));
        assert!(![REMOVALS, CLONE_WORK, GET_FLAGS, GET_EXTENDED].into_iter().any(changes_something));
    }
}
