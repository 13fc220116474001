//! What ShoalFS must reach, as a share of what something else reaches in the same run.

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Floor {
    /// The target compared with.
    pub of: &'static str,
    /// The least share, of medians over rounds.
    pub ratio: f64,
}

const OF_CODECS: Floor = Floor { of: "bare-codecs", ratio: 1.0 / 1.3 };

/// By metric. FUSE itself is what the null server costs, and the disk is what fio reaches on the cache file: below
/// these, the loss is our own.
const FLOORS: &[(&str, Floor)] = &[
    ("memory-cache/sequential-read-1m", Floor { of: "null", ratio: 0.7 }),
    ("memory-cache/random-read-4k-direct", Floor { of: "null", ratio: 0.5 }),
    ("disk-cache/random-read-4k-depth-32", Floor { of: "cache-file", ratio: 0.7 }),
    ("disk-cache/sequential-read-1m", Floor { of: "cache-file", ratio: 0.9 }),
    ("read-only-disk-cache/random-read-4k-depth-32", Floor { of: "cache-file", ratio: 0.7 }),
    ("read-only-disk-cache/sequential-read-1m", Floor { of: "cache-file", ratio: 0.9 }),
    ("store-read/1m", Floor { of: "bare-loop", ratio: 0.8 }),
    ("object-encoding/lz4", OF_CODECS),
    ("object-encoding/zstd-1", OF_CODECS),
    ("object-encoding/aes-256-gcm", OF_CODECS),
    ("object-encoding/chacha20-poly1305", OF_CODECS),
    ("object-encoding/lz4-aes-256-gcm", OF_CODECS),
    ("object-encoding/zstd-1-chacha20-poly1305", OF_CODECS),
    ("many-mounts/create/2", Floor { of: "one-mount", ratio: 1.0 }),
    ("many-mounts/create/4", Floor { of: "one-mount", ratio: 1.0 }),
    ("uncached-stat/shared-1", Floor { of: "null", ratio: 0.8 }),
    ("uncached-stat/shared-8", Floor { of: "null", ratio: 0.8 }),
    ("metadata/create/shared-8", Floor { of: "null", ratio: 0.3 }),
];

pub fn floor(metric: &str) -> Option<Floor> {
    FLOORS.iter().find(|(name, _)| *name == metric).map(|(_, floor)| *floor)
}
