//! The trash as a mount shows it: everybody sees in its hours what belongs to him, the superuser all of it.
//!
//! A file lies there in another directory than the one that protected it, perhaps a private one. So an hour is searched and
//! listed for each caller, and the kernel is given no time-out for what is in it: each step of a path comes here, with
//! whoever takes it. The sticky bit of the hours lets everybody take out what is his, and nothing else.

use super::{SUPERUSER, VolumeService};
use shoal_client::{DirectoryEntry, TrashName};
use shoal_fuse_protocol::Header;
use shoal_types::{Attributes, Ino, InodeFlags};

impl VolumeService {
    /// The caller shall not see this entry of this directory.
    pub(super) fn hides(&self, header: &Header, directory: Ino, found: &Attributes) -> bool {
        is_hour(directory) && header.uid != SUPERUSER && header.uid != found.uid
    }

    pub(super) fn hides_entry(&self, header: &Header, directory: Ino, entry: &DirectoryEntry) -> bool {
        is_hour(directory) && entry.attributes.as_ref().is_none_or(|found| self.hides(header, directory, found))
    }
}

pub(super) fn is_hour(ino: Ino) -> bool {
    ino.is_trash() && ino != Ino::TRASH
}

/// The kernel must ask for it each time.
pub(super) fn is_trash(found: &Attributes) -> bool {
    found.ino.is_trash() || found.flags.has(InodeFlags::TRASHED)
}

/// A name that is missing may be there at any moment, without anybody making it.
pub(super) fn may_appear(parent: Ino, name: &[u8]) -> bool {
    parent.is_trash() || (parent == Ino::ROOT && name == TrashName::of_all().as_bytes())
}
