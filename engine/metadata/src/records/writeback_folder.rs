//! A folder on some host in which a mount keeps objects that it has not uploaded yet: format, then who and where, how much.

use super::{decode_cold, encode_cold};
use serde::{Deserialize, Serialize};
use shoal_kv::KvResult;
use shoal_types::Timestamp;

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WritebackFolder {
    /// The host's name.
    pub host: String,
    pub path: String,
    /// Of the mount that uses it, or did so last.
    pub mount_point: String,
    /// How much was in it when this was written.
    pub objects: u64,
    pub bytes: u64,
    pub noted: Timestamp,
}

impl WritebackFolder {
    pub fn encode(&self) -> Vec<u8> {
        encode_cold(FORMAT, self)
    }

    pub fn decode(bytes: &[u8]) -> KvResult<Self> {
        decode_cold("the record of a write-back folder", bytes, FORMAT)
    }
}

const FORMAT: u8 = 1;
