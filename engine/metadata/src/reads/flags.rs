//! What protects inodes from change.

use crate::ops::set_flags;
use crate::{MetaResult, Metadata};

impl Metadata {
    /// Whether there is, or ever was, an inode that is immutable or append-only.
    pub fn has_protected(&self) -> MetaResult<bool> {
        self.at_snapshot(|reader| Ok(set_flags::has_protected(reader)?))
    }
}
