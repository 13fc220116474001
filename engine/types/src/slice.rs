//! A slice: one contiguous run of a chunk's bytes and where they are kept.

use crate::ObjectId;
use serde::{Deserialize, Serialize};

/// What an object holds; the discriminants are stored, never renumber them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[repr(u8)]
pub enum ObjectKind {
    /// Zeros; no object (`ObjectId(0)`): what truncation and hole punching leave behind.
    Hole = 0,
    /// Part of the writes of one file.
    Block = 1,
    /// Small slices of several files.
    Pack = 2,
}

/// In a chunk's list a later slice covers earlier ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Slice {
    /// First byte within the chunk; `position + length <= CHUNK_BYTES`.
    pub position: u32,
    /// Bytes, at least 1.
    pub length: u32,
    pub object: ObjectId,
    /// First byte within the object's plain content.
    pub object_offset: u32,
    /// Bytes of the object's whole plain content; tells where its last frame ends.
    pub object_length: u32,
    pub kind: ObjectKind,
}

impl Slice {
    pub fn hole(position: u32, length: u32) -> Self {
        Slice { position, length, object: ObjectId(0), object_offset: 0, object_length: 0, kind: ObjectKind::Hole }
    }

    pub fn end(&self) -> u32 {
        self.position + self.length
    }
}
