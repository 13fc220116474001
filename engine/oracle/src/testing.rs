//! Short words for the unit tests of this crate.

use crate::NewNode;
use shoal_types::{Ino, Name, Timestamp};

pub fn name(text: &str) -> Name {
    Name::new(text.as_bytes()).unwrap()
}

pub fn new(ino: u64) -> NewNode {
    NewNode { ino: Ino(ino), mode: 0o755, umask: 0, uid: 7, gid: 8 }
}

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::new(seconds, 0)
}
