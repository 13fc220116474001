//! Mounting by system call, for whoever has CAP_SYS_ADMIN.

use super::{KIND, MountError, MountOptions, UnmountError};
use crate::dev_fuse::open_device;
use rustix::io::Errno as OsError;
use rustix::mount::{MountFlags, UnmountFlags};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

pub(super) fn mount(mount_point: &Path, options: &MountOptions) -> Result<OwnedFd, MountError> {
    let device = open_device().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => MountError::DeviceMissing,
        io::ErrorKind::PermissionDenied => MountError::DeviceDenied(error),
        _ => MountError::Device(error),
    })?;
    let flags = if options.read_only { MountFlags::RDONLY } else { MountFlags::empty() };
    let data = CString::new(mount_data(&device, options)).expect("numbers and words have no NUL");
    match rustix::mount::mount(options.source(), mount_point, KIND, flags, Some(data.as_c_str())) {
        Ok(()) => Ok(device),
        Err(error @ OsError::PERM) => Err(MountError::CapabilityMissing(error.into())),
        Err(OsError::NODEV) => Err(MountError::DeviceMissing),
        Err(error) => Err(MountError::Refused { path: mount_point.to_owned(), source: error.into() }),
    }
}

/// `rootmode` is the type of the root inode: a directory.
fn mount_data(device: &OwnedFd, options: &MountOptions) -> String {
    let user = rustix::process::geteuid().as_raw();
    let group = rustix::process::getegid().as_raw();
    let mut data = format!("fd={},rootmode=40000,user_id={user},group_id={group}", device.as_raw_fd());
    if options.default_permissions {
        data.push_str(",default_permissions");
    }
    if options.allow_other {
        data.push_str(",allow_other");
    }
    data
}

pub(super) fn unmount(mount_point: &Path, lazily: bool) -> Result<(), UnmountError> {
    let flags = if lazily { UnmountFlags::NOFOLLOW | UnmountFlags::DETACH } else { UnmountFlags::NOFOLLOW };
    let path = || mount_point.to_owned();
    match rustix::mount::unmount(mount_point, flags) {
        Ok(()) => Ok(()),
        Err(OsError::BUSY) => Err(UnmountError::Busy(path())),
        Err(OsError::INVAL | OsError::NOENT) => Err(UnmountError::NotMounted(path())),
        Err(error) => Err(UnmountError::Refused { path: path(), source: error.into() }),
    }
}
