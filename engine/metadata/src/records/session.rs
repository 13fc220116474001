//! Who a session is: for people who list them, and for telling on one host whether its process still lives.

use super::{decode_cold, encode_cold};
use serde::{Deserialize, Serialize};
use shoal_kv::KvResult;
use shoal_types::Timestamp;

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SessionRecord {
    /// The host's name.
    pub host: String,
    /// The kernel's boot id: another one means that the process is gone, whatever its number.
    pub boot: String,
    pub pid: u32,
    pub started: Timestamp,
    /// Empty unless it's a mount.
    pub mount_point: String,
    pub kind: SessionKind,
}

/// Stored by position: add at the end only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum SessionKind {
    Mount,
    /// A command that reads or maintains the volume.
    Command,
}

impl SessionRecord {
    pub fn encode(&self) -> Vec<u8> {
        encode_cold(FORMAT, self)
    }

    pub fn decode(bytes: &[u8]) -> KvResult<Self> {
        decode_cold("a session record", bytes, FORMAT)
    }
}

const FORMAT: u8 = 1;
