//! What chattr(1), lsattr(1) and their kin ask for. The kernel takes their ioctl(2)s apart and sends its own: for each it
//! opens the file or directory anew, and when it sets flags it has checked before that the caller may.
//!
//! ```text
//! GET_FLAGS       answers flags (4)
//! SET_FLAGS       flags (4)
//! GET_EXTENDED    answers as below
//! SET_EXTENDED    flags (4)  extent bytes (4)  extents (4)  project (4)  extent bytes for copies (4)  zero (8)
//! ```
//!
//! Integers are in the machine's own byte order. The flags of the two kinds have different bits (linux/fs.h).

use crate::wire::{Reader, Short, Writer};
use shoal_types::{Errno, FsResult, InodeFlags};

/// `FS_IOC_GETFLAGS`
pub const GET_FLAGS: u32 = 0x8008_6601;
/// `FS_IOC_SETFLAGS`
pub const SET_FLAGS: u32 = 0x4008_6602;
/// `FS_IOC_FSGETXATTR`
pub const GET_EXTENDED: u32 = 0x801c_581f;
/// `FS_IOC_FSSETXATTR`
pub const SET_EXTENDED: u32 = 0x401c_5820;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlagsRequest {
    Get,
    GetExtended,
    /// Of the flags that `decided` names these are to be set, and the others of them not.
    Set {
        flags: InodeFlags,
        decided: InodeFlags,
    },
}

impl FlagsRequest {
    /// `ENOTTY` for another ioctl, `EINVAL` for an input that is cut, `EOPNOTSUPP` for what is not kept: some flags, and all
    /// projects but 0. Sizes of extents are hints that may be passed over.
    pub fn parse(command: u32, input: &[u8]) -> FsResult<Self> {
        let mut reader = Reader(input);
        let cut = |_: Short| Errno::EINVAL;
        match command {
            GET_FLAGS => Ok(FlagsRequest::Get),
            GET_EXTENDED => Ok(FlagsRequest::GetExtended),
            SET_FLAGS => {
                let flags = InodeFlags::from_kernel(reader.u32().map_err(cut)?).ok_or(Errno::EOPNOTSUPP)?;
                Ok(FlagsRequest::Set { flags, decided: InodeFlags::BY_USERS })
            }
            SET_EXTENDED => {
                let bits = reader.u32().map_err(cut)?;
                reader.skip(8).map_err(cut)?;
                if reader.u32().map_err(cut)? != NO_PROJECT {
                    return Err(Errno::EOPNOTSUPP);
                }
                let flags = InodeFlags::from_extended(bits & !HINTS).ok_or(Errno::EOPNOTSUPP)?;
                Ok(FlagsRequest::Set { flags, decided: InodeFlags::BY_EXTENDED })
            }
            _ => Err(Errno::ENOTTY),
        }
    }
}

/// The output of `GET_FLAGS`.
pub fn flags_out(flags: InodeFlags) -> [u8; 4] {
    flags.to_kernel().to_ne_bytes()
}

/// The output of `GET_EXTENDED`: no hints, no project.
pub fn extended_flags_out(flags: InodeFlags) -> [u8; 28] {
    Writer::new().u32(flags.to_extended()).zeros(24).done()
}

const NO_PROJECT: u32 = 0;
/// `FS_XFLAG_EXTSIZE`, `FS_XFLAG_EXTSZINHERIT` and `FS_XFLAG_COWEXTSIZE`, which go with sizes of extents.
const HINTS: u32 = 0x800 | 0x1000 | 0x1_0000;

#[cfg(test)]
mod tests {
    use super::*;

    fn set(flags: InodeFlags, decided: InodeFlags) -> FsResult<FlagsRequest> {
        Ok(FlagsRequest::Set { flags, decided })
    }

    #[test]
    fn flags_are_set_all_at_once() {
        assert_eq!(
            FlagsRequest::parse(SET_FLAGS, &0x10u32.to_ne_bytes()),
            set(InodeFlags::IMMUTABLE, InodeFlags::BY_USERS)
        );
        assert_eq!(FlagsRequest::parse(SET_FLAGS, &[0; 8]), set(InodeFlags::default(), InodeFlags::BY_USERS));
        for refused in [0x4000u32, 0x8_0000, 0x2000_0000, 0x10 | 0x80_0000] {
            assert_eq!(FlagsRequest::parse(SET_FLAGS, &refused.to_ne_bytes()), Err(Errno::EOPNOTSUPP));
        }
    }

    #[test]
    fn extended_flags_leave_the_others_alone() {
        let input = |flags: u32, extent: u32, project: u32| {
            let words = [flags, extent, 0, project, 0, 0, 0];
            words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<u8>>()
        };
        let parse = |input: &[u8]| FlagsRequest::parse(SET_EXTENDED, input);
        assert_eq!(parse(&input(0x10, 0, 0)), set(InodeFlags::APPEND_ONLY, InodeFlags::BY_EXTENDED));
        assert_eq!(parse(&input(0x800, 4096, 0)), set(InodeFlags::default(), InodeFlags::BY_EXTENDED));
        assert_eq!(parse(&input(0, 0, 5)), Err(Errno::EOPNOTSUPP));
        assert_eq!(parse(&input(0x200, 0, 0)), Err(Errno::EOPNOTSUPP));
        for length in 0..16 {
            assert_eq!(parse(&input(0x10, 0, 0)[..length]), Err(Errno::EINVAL), "{length} bytes");
        }
    }

    #[test]
    fn what_is_told_is_what_is_kept() {
        let flags = InodeFlags(InodeFlags::IMMUTABLE.0 | InodeFlags::NO_DUMP.0 | InodeFlags::XATTRS.0);
        assert_eq!(flags_out(flags), 0x50u32.to_ne_bytes());
        assert_eq!(extended_flags_out(flags)[..4], 0x88u32.to_ne_bytes());
        assert_eq!(FlagsRequest::parse(GET_FLAGS, &[]), Ok(FlagsRequest::Get));
        assert_eq!(FlagsRequest::parse(GET_EXTENDED, &[]), Ok(FlagsRequest::GetExtended));
        assert_eq!(FlagsRequest::parse(0x5401, &[]), Err(Errno::ENOTTY));
    }
}
