//! Identifiers as distinct types, so that an inode number never stands where an object number should.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(/// An inode number. Never reused within a volume.
    Ino);
id!(/// An object number. Never reused within a volume; 0 is no object (a hole).
    ObjectId);
id!(/// One mount, gc run or other registered user of a volume.
    SessionId);

impl Ino {
    pub const ROOT: Ino = Ino(1);
    /// The directory of the trash. The numbers behind it are those of the trash's hours; no others are ever so large.
    pub const TRASH: Ino = Ino(1 << 62);

    /// The trash itself or one of its hours.
    pub fn is_trash(self) -> bool {
        self >= Ino::TRASH
    }

    /// The shard that owns this inode's file state, and the cache part it falls in:
    /// a fixed mix (splitmix64 finalizer), so that runs of numbers spread evenly.
    pub fn mix(self) -> u64 {
        let mut z = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
