//! Volume settings: chosen at format, read by every mount.

use serde::{Deserialize, Serialize};

/// The newest schema this code writes and the newest it reads; a newer volume is refused by name.
pub const SCHEMA_VERSION: u32 = 1;

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VolumeSettings {
    pub schema: u32,
    pub name: String,
    /// In the usual hyphenated text form.
    pub uuid: String,
    /// Storage URL, for example `file:///var/lib/shoal/objects`.
    pub storage: String,
    /// Largest plain bytes of an object.
    pub block_bytes: u32,
    /// Files up to this many bytes live wholly in metadata; 0 turns it off.
    pub inline_bytes_max: u32,
    /// Seconds between the moment an object is no longer referred to and its DELETE.
    pub delete_grace_seconds: u32,
}

impl VolumeSettings {
    pub const BLOCK_BYTES_MIN: u32 = 64 << 10;
    pub const BLOCK_BYTES_MAX: u32 = 64 << 20;
    /// The strictest engine takes values of 100 kB; the inline record needs a few bytes beside the content.
    pub const INLINE_BYTES_MAX: u32 = 64 << 10;
}
