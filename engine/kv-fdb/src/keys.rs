//! Where a volume's keys lie in the cluster: behind its prefix and a zero byte, so that no volume's keys are among another's.
//!
//! ```text
//! prefix 00 'b'          bell: a stamp, new with each commit that completes a key with a stamp
//! prefix 00 'd' key      the pairs of the volume
//! prefix 00 'f'          version of this layout (1 byte)
//! prefix 00 'n' key      there was no such pair when the snapshot was taken, but there has been one since
//! prefix 00 'o' key      what a pair was when the snapshot was taken, if it has changed since
//! prefix 00 'p'          the snapshot that is being read: its id (16)
//! prefix 00 'r'          when it was last read: a stamp
//! prefix 00 's' id(16)   slot of a worker: number of its last commit (8, little-endian), stamp
//! prefix 00 'v' key      nothing is ever here; conflicts between those who append to a value (`commit.rs`)
//! ```

use shoal_kv::KeyRange;

#[derive(Clone, Debug)]
pub struct Keys {
    prefix: Vec<u8>,
}

/// Comes with every read version, without a question of its own.
pub const METADATA_VERSION: &[u8] = b"\xff/metadataVersion";
pub const LAYOUT: u8 = 1;
/// Of a stamp, the version in its first 8 bytes.
pub const STAMP_BYTES: usize = 10;

impl Keys {
    pub fn of(prefix: &str) -> Self {
        Keys { prefix: [prefix.as_bytes(), &[0]].concat() }
    }

    pub fn bell(&self) -> Vec<u8> {
        self.key(b'b', b"")
    }

    pub fn data(&self, key: &[u8]) -> Vec<u8> {
        self.key(b'd', key)
    }

    pub fn data_range(&self, range: &KeyRange) -> KeyRange {
        KeyRange { start: self.data(&range.start), end: self.data(&range.end) }
    }

    pub fn format(&self) -> Vec<u8> {
        self.key(b'f', b"")
    }

    pub fn none(&self, key: &[u8]) -> Vec<u8> {
        self.key(b'n', key)
    }

    pub fn old(&self, key: &[u8]) -> Vec<u8> {
        self.key(b'o', key)
    }

    pub fn snapshot(&self) -> Vec<u8> {
        self.key(b'p', b"")
    }

    pub fn snapshot_read(&self) -> Vec<u8> {
        self.key(b'r', b"")
    }

    pub fn slot(&self, id: &[u8; 16]) -> Vec<u8> {
        self.key(b's', id)
    }

    pub fn appended(&self, key: &[u8]) -> Vec<u8> {
        self.key(b'v', key)
    }

    /// All keys of a kind.
    pub fn all(&self, kind: u8) -> KeyRange {
        KeyRange { start: self.key(kind, b""), end: self.key(kind + 1, b"") }
    }

    pub fn everything(&self) -> KeyRange {
        KeyRange::prefix(&self.prefix)
    }

    /// The volume's own key of one in the cluster.
    pub fn own(&self, key: &[u8]) -> Vec<u8> {
        key[self.prefix.len() + 1..].to_vec()
    }

    fn key(&self, kind: u8, key: &[u8]) -> Vec<u8> {
        [&self.prefix, [kind].as_slice(), key].concat()
    }
}

/// An operand that the library completes with a stamp behind `before`.
pub fn stamped(before: &[u8]) -> Vec<u8> {
    [before, &[0; STAMP_BYTES], &(before.len() as u32).to_le_bytes()].concat()
}

/// The version in a stamp.
pub fn version_of(stamp: &[u8]) -> i64 {
    stamp.first_chunk().map_or(0, |version| i64::from_be_bytes(*version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_lie_apart_and_kinds_in_ranges_of_their_own() {
        let (one, other) = (Keys::of("a"), Keys::of("a-b"));
        assert!(!one.everything().contains(&other.data(b"")));
        assert!(one.everything().contains(&one.appended(&[0xff; 9])));
        assert!(one.all(b'o').contains(&one.old(b"")) && !one.all(b'o').contains(&one.snapshot()));
        assert_eq!(one.own(&one.data(b"key")), b"key");
        assert_eq!(one.data_range(&KeyRange::all()).end, one.data(&[0xff; 17]));
        assert_eq!(stamped(b"ab")[12..], [2, 0, 0, 0]);
        assert_eq!(version_of(&[0, 0, 0, 0, 0, 0, 1, 0, 9, 9]), 256);
    }
}
