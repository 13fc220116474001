//! Restrictions that `/etc/fstab` and `mount -o` ask for and the kernel enforces by itself: nosuid, nodev, noexec.
//!
//! `fusermount3` always sets the first two; a mount by root gets those that were asked for.

use crate::failure::{Failure, Outcome};
use rustix::mount::{MountFlags, mount_remount};
use serde::{Deserialize, Serialize};
use std::path::Path;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct MountRestrictions {
    pub nosuid: bool,
    pub nodev: bool,
    pub noexec: bool,
}

impl MountRestrictions {
    /// Lays them on a mount that exists. A bind remount changes this mount's flags and nothing of the file system.
    pub fn apply(&self, mount_point: &Path, read_only: bool) -> Outcome<()> {
        if *self == MountRestrictions::default() {
            return Ok(());
        }
        let mut flags = MountFlags::BIND;
        flags.set(MountFlags::NOSUID, self.nosuid);
        flags.set(MountFlags::NODEV, self.nodev);
        flags.set(MountFlags::NOEXEC, self.noexec);
        // A flag that isn't named is taken away.
        flags.set(MountFlags::RDONLY, read_only);
        mount_remount(mount_point, flags, "")
            .map_err(|error| Failure::of_io(mount_point, "setting nosuid, nodev or noexec", &error.into()))
    }
}
