//! Volume settings: chosen at format, read by every mount.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

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
    pub staging: Staging,
    /// Seconds between the moment an object is no longer referred to and its DELETE.
    pub delete_grace_seconds: u32,
    pub compression: Compression,
    /// `None`: nothing is encrypted at rest.
    pub cipher: Option<Cipher>,
    pub also_encrypted: AlsoEncrypted,
}

/// What is encrypted in the metadata beside the content of files.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct AlsoEncrypted {
    /// Their targets.
    pub symlinks: bool,
    /// Values of extended attributes. ACLs are none of them: like owner and mode they say who may do what.
    pub xattrs: bool,
}

/// Small files that wait in metadata until many of them are packed into one object.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Staging {
    /// Of a file, more than `inline_bytes_max`; 0: none is.
    pub file_bytes_max: u32,
    /// Of all that wait. Files beyond it become objects of their own.
    pub total_bytes_max: u64,
}

/// How the frames of an object are compressed; one that does not shrink is stored as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Compression {
    #[default]
    None,
    Lz4,
    /// The level as of zstd(1): negative ones are faster.
    Zstd(i8),
}

/// How content is encrypted at rest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Cipher {
    Aes256Gcm,
    ChaCha20Poly1305,
}

impl VolumeSettings {
    pub const BLOCK_BYTES_MIN: u32 = 64 << 10;
    pub const BLOCK_BYTES_MAX: u32 = 64 << 20;
    /// The strictest engine takes values of 100 kB; the inline record needs a few bytes beside the content.
    pub const INLINE_BYTES_MAX: u32 = 64 << 10;
}

impl Compression {
    pub const ZSTD_LEVELS: std::ops::RangeInclusive<i8> = -7..=19;
    pub const ZSTD_LEVEL_DEFAULT: i8 = 1;
}

/// As `shoal format` takes it.
impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Compression::None => f.write_str("none"),
            Compression::Lz4 => f.write_str("lz4"),
            Compression::Zstd(level) => write!(f, "zstd:{level}"),
        }
    }
}

/// As `shoal format` takes it.
impl fmt::Display for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cipher::Aes256Gcm => "aes-256-gcm",
            Cipher::ChaCha20Poly1305 => "chacha20-poly1305",
        })
    }
}

impl FromStr for Compression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level)),
            None => (text, None),
        };
        match (name, level) {
            ("none", None) => Ok(Compression::None),
            ("lz4", None) => Ok(Compression::Lz4),
            ("zstd", None) => Ok(Compression::Zstd(Self::ZSTD_LEVEL_DEFAULT)),
            ("zstd", Some(level)) => {
                let levels = Self::ZSTD_LEVELS;
                let level = level.parse().ok().filter(|level| levels.contains(level));
                let bounds = || format!("levels of zstd go from {} to {}", levels.start(), levels.end());
                level.map(Compression::Zstd).ok_or_else(bounds)
            }
            _ => Err("it is one of none, lz4, zstd and zstd:LEVEL".into()),
        }
    }
}

impl FromStr for Cipher {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305];
        let found = known.into_iter().find(|cipher| cipher.to_string() == text);
        found.ok_or_else(|| format!("it is one of {} and {}", known[0], known[1]))
    }
}

impl From<Compression> for String {
    fn from(compression: Compression) -> Self {
        compression.to_string()
    }
}

impl TryFrom<String> for Compression {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Cipher> for String {
    fn from(cipher: Cipher) -> Self {
        cipher.to_string()
    }
}

impl TryFrom<String> for Cipher {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_others_are_refused_with_the_choices() {
        for name in ["none", "lz4", "zstd:1", "zstd:-7", "zstd:19"] {
            assert_eq!(name.parse::<Compression>().unwrap().to_string(), name);
        }
        assert_eq!("zstd".parse(), Ok(Compression::Zstd(1)));
        for wrong in ["", "gzip", "zstd:", "zstd:20", "zstd:x", "lz4:1", "none:1"] {
            assert!(wrong.parse::<Compression>().is_err(), "{wrong}");
        }
        for name in ["aes-256-gcm", "chacha20-poly1305"] {
            assert_eq!(name.parse::<Cipher>().unwrap().to_string(), name);
        }
        assert!("aes".parse::<Cipher>().unwrap_err().contains("chacha20-poly1305"));
    }
}
