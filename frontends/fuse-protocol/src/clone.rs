//! What `shoal clone` says to the daemon: three ioctls on files of the mount, carried by IOCTL. Ours, not the kernel's.
//!
//! ```text
//! CLONE_SOURCE  on the source:     version (4)  zero (4)  inode of the lifeline (8)
//! CLONE_BEGIN   on the lifeline:   version (4)  bytes of the name (4)  name, padded with zeros (256)
//! CLONE_WORK    on the lifeline:   answers  state (4)  errno (4)  entries (8)  bytes (8)  bytes of the path (4)  zero (4)
//!                                  path, padded with zeros (4096)
//! ```
//!
//! The lifeline is a file without a name in the directory where the copy is to appear. Who can do the first has the source
//! open, who can do the others the lifeline; both have to be one process.

use crate::wire::{Reader, Short, Writer};
use shoal_types::{Errno, FsResult, Name};

/// `_IOW('S', 4, [u8; 16])`
pub const CLONE_SOURCE: u32 = write_code(4, clone_sizes::SOURCE);
/// `_IOW('S', 5, [u8; 264])`
pub const CLONE_BEGIN: u32 = write_code(5, clone_sizes::BEGIN);
/// `_IOR('S', 6, [u8; 4128])`
pub const CLONE_WORK: u32 = 2 << 30 | (clone_sizes::PROGRESS as u32) << 16 | TYPE << 8 | 6;

/// Bytes of what goes to the daemon, and of what comes back.
pub mod clone_sizes {
    pub const SOURCE: usize = 16;
    pub const BEGIN: usize = 264;
    pub const PROGRESS: usize = 32 + super::PATH_BYTES_MAX;
}

const PATH_BYTES_MAX: usize = 4096;

/// Of the three layouts. A daemon refuses (`EPROTO`) what a program of another version says.
const VERSION: u32 = 1;
const TYPE: u32 = b'S' as u32;
const NAME_BYTES: usize = 256;

const fn write_code(number: u32, bytes: usize) -> u32 {
    1 << 30 | (bytes as u32) << 16 | TYPE << 8 | number
}

/// A request of a program, as the daemon reads it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CloneRequest {
    Source { lifeline: u64 },
    Begin { name: Name },
    Work,
}

impl CloneRequest {
    /// `ENOTTY` for another ioctl, `EPROTO` for one of another version, `EINVAL` and `ENAMETOOLONG` for a name that can't
    /// be.
    pub fn parse(command: u32, input: &[u8]) -> FsResult<Self> {
        let mut reader = Reader(input);
        match command {
            CLONE_SOURCE => source(&mut reader),
            CLONE_BEGIN => begin(&mut reader),
            CLONE_WORK => Ok(CloneRequest::Work),
            _ => Err(Errno::ENOTTY),
        }
    }
}

fn source(reader: &mut Reader<'_>) -> FsResult<CloneRequest> {
    version(reader)?;
    reader.u32().map_err(cut)?;
    Ok(CloneRequest::Source { lifeline: reader.u64().map_err(cut)? })
}

fn begin(reader: &mut Reader<'_>) -> FsResult<CloneRequest> {
    version(reader)?;
    let length = reader.u32().map_err(cut)?;
    let name = reader.bytes(length as usize).map_err(cut)?;
    Ok(CloneRequest::Begin { name: Name::new(name)? })
}

fn version(reader: &mut Reader<'_>) -> FsResult<()> {
    match reader.u32().map_err(cut)? {
        VERSION => Ok(()),
        _ => Err(Errno::EPROTO),
    }
}

fn cut(_: Short) -> Errno {
    Errno::EINVAL
}

pub fn clone_source_in(lifeline: u64) -> [u8; clone_sizes::SOURCE] {
    Writer::new().u32(VERSION).u32(0).u64(lifeline).done()
}

pub fn clone_begin_in(name: &Name) -> [u8; clone_sizes::BEGIN] {
    let name = name.as_bytes();
    Writer::new().u32(VERSION).u32(name.len() as u32).raw(name).zeros(NAME_BYTES - name.len()).done()
}

/// How far a clone has come, as the daemon tells it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CloneOut {
    pub entries: u64,
    pub bytes: u64,
    pub state: CloneOutState,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum CloneOutState {
    #[default]
    Working,
    Done,
    /// What can't be copied; a path that is too long is cut.
    Refused(Errno, Vec<u8>),
}

impl CloneOut {
    pub fn encode(&self) -> [u8; clone_sizes::PROGRESS] {
        let (state, errno, path) = match &self.state {
            CloneOutState::Working => (0, 0, &[][..]),
            CloneOutState::Done => (1, 0, &[][..]),
            CloneOutState::Refused(errno, path) => {
                (2, errno.0.cast_unsigned(), &path[..path.len().min(PATH_BYTES_MAX)])
            }
        };
        let head = Writer::new().u32(state).u32(errno).u64(self.entries).u64(self.bytes).u32(path.len() as u32).u32(0);
        head.raw(path).zeros(PATH_BYTES_MAX - path.len()).done()
    }

    /// `EPROTO` for bytes that no daemon of this version sends.
    pub fn decode(bytes: &[u8]) -> FsResult<Self> {
        Self::read(&mut Reader(bytes)).map_err(|Short| Errno::EPROTO)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Short> {
        let (state, errno) = (reader.u32()?, reader.u32()?);
        let (entries, bytes, path) = (reader.u64()?, reader.u64()?, reader.u32()?);
        reader.skip(4)?;
        let path = reader.bytes(path as usize)?;
        let state = match state {
            0 => CloneOutState::Working,
            1 => CloneOutState::Done,
            2 => CloneOutState::Refused(Errno(errno.cast_signed()), path.to_vec()),
            _ => return Err(Short),
        };
        Ok(CloneOut { entries, bytes, state })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_those_that_the_kernel_takes_apart() {
        assert_eq!([CLONE_SOURCE, CLONE_BEGIN, CLONE_WORK], [0x4010_5304, 0x4108_5305, 0x9020_5306]);
    }

    #[test]
    fn requests_come_back_as_they_were_said() {
        assert_eq!(CloneRequest::parse(CLONE_SOURCE, &clone_source_in(7)), Ok(CloneRequest::Source { lifeline: 7 }));
        for name in [&b"n"[..], &[b'x'; 255]] {
            let name = Name::new(name).expect("a name");
            assert_eq!(CloneRequest::parse(CLONE_BEGIN, &clone_begin_in(&name)), Ok(CloneRequest::Begin { name }));
        }
        assert_eq!(CloneRequest::parse(CLONE_WORK, &[]), Ok(CloneRequest::Work));
    }

    #[test]
    fn what_is_cut_damaged_or_of_another_version_is_refused() {
        let begin = clone_begin_in(&Name::new(b"name").expect("a name"));
        for length in 0..12 {
            assert_eq!(CloneRequest::parse(CLONE_BEGIN, &begin[..length]), Err(Errno::EINVAL), "{length} bytes");
        }
        let mut newer = begin;
        newer[0] = 2;
        assert_eq!(CloneRequest::parse(CLONE_BEGIN, &newer), Err(Errno::EPROTO));
        let mut slash = begin;
        slash[9] = b'/';
        assert_eq!(CloneRequest::parse(CLONE_BEGIN, &slash), Err(Errno::EINVAL));
        let mut long = begin;
        long[4..8].copy_from_slice(&256u32.to_ne_bytes());
        assert_eq!(CloneRequest::parse(CLONE_BEGIN, &long), Err(Errno::ENAMETOOLONG));
        long[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert_eq!(CloneRequest::parse(CLONE_BEGIN, &long), Err(Errno::EINVAL));
        assert_eq!(CloneRequest::parse(CLONE_SOURCE, &[1, 0, 0, 0]), Err(Errno::EINVAL));
        assert_eq!(CloneRequest::parse(0, &begin), Err(Errno::ENOTTY));
    }

    #[test]
    fn progress_comes_back_as_it_was_told() {
        let states =
            [CloneOutState::Working, CloneOutState::Done, CloneOutState::Refused(Errno::EACCES, b"/a".to_vec())];
        for state in states {
            let out = CloneOut { entries: 5, bytes: 1 << 40, state };
            assert_eq!(CloneOut::decode(&out.encode()), Ok(out));
        }
        let long = CloneOut { state: CloneOutState::Refused(Errno::EACCES, vec![b'x'; 5000]), ..CloneOut::default() };
        let CloneOutState::Refused(_, path) = CloneOut::decode(&long.encode()).expect("its own bytes").state else {
            panic!("refused")
        };
        assert_eq!(path.len(), PATH_BYTES_MAX);
        let mut damaged = long.encode();
        damaged[0] = 9;
        assert_eq!(CloneOut::decode(&damaged), Err(Errno::EPROTO));
        damaged[0] = 2;
        damaged[24..28].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert_eq!(CloneOut::decode(&damaged), Err(Errno::EPROTO));
        assert_eq!(CloneOut::decode(&[0; 31]), Err(Errno::EPROTO));
    }
}
