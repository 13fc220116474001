//! A directory entry: format, kind, child inode (8). The name is in the key.

use super::fields::u64_at;
use super::{body, damaged};
use shoal_kv::KvResult;
use shoal_types::{FileKind, Ino};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dirent {
    pub ino: Ino,
    pub kind: FileKind,
}

impl Dirent {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend_from_slice(&[FORMAT, self.kind as u8]);
        bytes.extend_from_slice(&self.ino.0.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8]) -> KvResult<Self> {
        body(WHAT, bytes, FORMAT)?;
        if bytes.len() != BYTES {
            return Err(damaged(WHAT, format!("{} bytes instead of {BYTES}", bytes.len())));
        }
        let kind = FileKind::from_u8(bytes[1]).ok_or_else(|| damaged(WHAT, format!("no kind {}", bytes[1])))?;
        Ok(Dirent { ino: Ino(u64_at(bytes, 2)), kind })
    }
}

const WHAT: &str = "a directory entry";
const FORMAT: u8 = 1;
const BYTES: usize = 10;
