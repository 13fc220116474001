//! The volume key: 32 random bytes, made at format and never changed.

use crate::fill_random;
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct VolumeKey([u8; VolumeKey::BYTES]);

impl VolumeKey {
    pub const BYTES: usize = 32;

    pub fn generate() -> Self {
        let mut key = VolumeKey([0; VolumeKey::BYTES]);
        fill_random(&mut key.0);
        key
    }

    /// What an unwrapping gave; `None` for another length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(VolumeKey(bytes.try_into().ok()?))
    }

    /// For whoever wraps it.
    pub fn as_bytes(&self) -> &[u8; VolumeKey::BYTES] {
        &self.0
    }
}

impl fmt::Debug for VolumeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VolumeKey(…)")
    }
}
