//! Clones under way: how far one has come (a cold record), a directory that is still to be filled (format, the source
//! directory (8), then the place of the last entry that has been copied, or nothing), and what stands for a source file
//! with several names (format, inode (8)).

use super::fields::u64_at;
use super::{body, damaged, decode_cold, encode_cold};
use crate::inode::Inode;
use serde::{Deserialize, Serialize};
use shoal_kv::KvResult;
use shoal_types::{Ino, InodeFlags, SessionId};

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CloneRecord {
    /// Whoever fills it. Without this session it's given up.
    pub session: SessionId,
    pub state: CloneState,
    /// The directory that the copy is to appear in.
    pub parent: Ino,
    /// What the copy is counted for: as the parent when it began.
    pub quota: Option<Ino>,
    /// Names in the copy, its own included.
    pub entries: u64,
    /// Allocated by its files.
    pub bytes: u64,
    /// A file whose lists take more than one transaction.
    pub file: Option<CloneFile>,
    /// Those that the parent had when it began: the copy inherits some.
    pub flags: InodeFlags,
}

/// Stored by position: add at the end only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum CloneState {
    /// Nobody sees the copy.
    Filling,
    /// The copy is in the tree; what is left are notes.
    Finished,
    /// The copy is to be removed.
    Abandoned,
}

/// A file that is copied as of one moment although it takes several transactions: so it must not change meanwhile.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CloneFile {
    pub source: Ino,
    pub target: Ino,
    /// The first chunk that has not been looked at.
    pub next: u64,
    /// Where it's found, for who is told that it has changed. Empty for the root of the copy.
    pub directory: Ino,
    pub name: Vec<u8>,
    pub version: FileVersion,
}

/// What a change of a file's content changes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileVersion {
    pub truncation_epoch: u64,
    pub length: u64,
    pub allocated: i64,
    /// The accumulator's.
    pub mtime: Option<u64>,
}

impl FileVersion {
    pub(crate) fn of(inode: &Inode) -> Self {
        FileVersion {
            truncation_epoch: inode.identity.truncation_epoch,
            length: inode.length,
            allocated: inode.allocated,
            mtime: inode.mtime,
        }
    }
}

impl CloneRecord {
    pub fn encode(&self) -> Vec<u8> {
        encode_cold(FORMAT, self)
    }

    pub fn decode(bytes: &[u8]) -> KvResult<Self> {
        decode_cold("a clone", bytes, FORMAT)
    }
}

/// `place` as in `encode_walk`.
pub fn encode_clone_directory(source: Ino, place: &[u8]) -> Vec<u8> {
    [&[FORMAT][..], &source.0.to_le_bytes(), place].concat()
}

pub fn decode_clone_directory(bytes: &[u8]) -> KvResult<(Ino, &[u8])> {
    let rest = body(DIRECTORY, bytes, FORMAT)?;
    match rest.split_at_checked(8) {
        Some((source, place)) => Ok((Ino(u64_at(source, 0)), place)),
        None => Err(damaged(DIRECTORY, format!("only {} bytes", bytes.len()))),
    }
}

pub fn encode_clone_link(target: Ino) -> Vec<u8> {
    [&[FORMAT][..], &target.0.to_le_bytes()].concat()
}

pub fn decode_clone_link(bytes: &[u8]) -> KvResult<Ino> {
    let rest = body(LINK, bytes, FORMAT)?;
    match rest.len() {
        8 => Ok(Ino(u64_at(rest, 0))),
        length => Err(damaged(LINK, format!("{length} bytes instead of 8"))),
    }
}

const DIRECTORY: &str = "a directory to be filled";
const LINK: &str = "a file of a clone";
const FORMAT: u8 = 1;
