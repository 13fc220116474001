//! `--verify-cache`: when the checksums of cached bytes are looked at.

use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// There is no level below `Once`: nothing is synced to the cache's disk, so that after a power failure only a checksum
/// tells which bytes have reached it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum VerifyCache {
    /// When this mount meets bytes that an earlier one has left.
    Once,
    /// At every read as well.
    Always,
}

impl FromStr for VerifyCache {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "once" => Ok(VerifyCache::Once),
            "always" => Ok(VerifyCache::Always),
            other => Err(format!("{other} is no level; choose once or always")),
        }
    }
}
