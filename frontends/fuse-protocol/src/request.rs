//! A request: the 40-byte header every message starts with, and the operation it carries.

use crate::abi::{IN_HEADER_BYTES, opcode};
use crate::operation::Operation;
use crate::wire::{Reader, Short};
use shoal_types::Errno;
use std::fmt;

/// Who asks for what, about which inode. `unique` names the request in its reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    pub opcode: u32,
    pub unique: u64,
    pub nodeid: u64,
    pub uid: u32,
    pub gid: u32,
    pub pid: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request<'a> {
    pub header: Header,
    pub operation: Operation<'a>,
}

/// A message that does not hold what its operation needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed {
    /// Zero when not even the header was there.
    pub opcode: u32,
    /// Zero when not even the header was there: such a message can't be answered.
    pub unique: u64,
    /// What to answer.
    pub errno: Errno,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed FUSE request {} (unique {})", opcode::name(self.opcode), self.unique)
    }
}

impl std::error::Error for Malformed {}

impl<'a> Request<'a> {
    /// Parses one whole message. Names and data are slices of it.
    pub fn parse(message: &'a [u8]) -> Result<Self, Malformed> {
        let (header, body) = Header::parse(message)?;
        match Operation::parse(header.opcode, body) {
            Ok(operation) => Ok(Request { header, operation }),
            Err(errno) => Err(Malformed { opcode: header.opcode, unique: header.unique, errno }),
        }
    }
}

impl Header {
    /// The header, and the message's body without the extensions at its end.
    fn parse(message: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let nameless = Malformed { opcode: 0, unique: 0, errno: Errno::EIO };
        let (length, extension_bytes, header) = Self::fields(message).map_err(|Short| nameless)?;
        let malformed = Malformed { opcode: header.opcode, unique: header.unique, errno: Errno::EIO };
        if length as usize != message.len() {
            return Err(malformed);
        }
        let body_end = message.len().checked_sub(extension_bytes).filter(|end| *end >= IN_HEADER_BYTES);
        let body_end = body_end.ok_or(malformed)?;
        Ok((header, &message[IN_HEADER_BYTES..body_end]))
    }

    fn fields(message: &[u8]) -> Result<(u32, usize, Header), Short> {
        let mut reader = Reader(message);
        let length = reader.u32()?;
        let header = Header {
            opcode: reader.u32()?,
            unique: reader.u64()?,
            nodeid: reader.u64()?,
            uid: reader.u32()?,
            gid: reader.u32()?,
            pid: reader.u32()?,
        };
        let extension_bytes = usize::from(reader.u16()?) * 8;
        reader.skip(2)?;
        Ok((length, extension_bytes, header))
    }
}

/// The operation code of a message without parsing it; `None` if it has no whole header.
pub fn peek_opcode(message: &[u8]) -> Option<u32> {
    if message.len() < IN_HEADER_BYTES {
        return None;
    }
    let mut reader = Reader(&message[4..]);
    reader.u32().ok()
}

#[cfg(test)]
mod tests;
