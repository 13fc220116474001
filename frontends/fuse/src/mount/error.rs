//! What can go wrong with a mount, each with what to do about it, in one line.

use crate::handshake::HandshakeError;
use std::io;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum MountError {
    #[error("mount point {} does not exist; create it: mkdir -p {}", .0.display(), .0.display())]
    Missing(PathBuf),
    #[error("mount point {} is not a directory; name a directory", .0.display())]
    NotADirectory(PathBuf),
    #[error("cannot look at mount point {}; check the permissions of the folders above it", .path.display())]
    Unreachable { path: PathBuf, source: io::Error },
    #[error("{} is already the mount point of {volume}; unmount it first: shoal umount {}", .path.display(), .path.display())]
    AlreadyMounted { path: PathBuf, volume: String },
    #[error("{} holds a dead mount of type {kind}, none of ours; unmount it first: umount -l {}", .path.display(), .path.display())]
    DeadForeign { path: PathBuf, kind: String },
    #[error("{} holds the mount of a daemon that died, and cleaning it up failed; run: umount -l {}", .path.display(), .path.display())]
    DeadMount { path: PathBuf, source: UnmountError },
    #[error("/dev/fuse does not exist; load the module (modprobe fuse), or give the container --device /dev/fuse")]
    DeviceMissing,
    #[error("no permission to open /dev/fuse; make it readable and writable for this user (chmod 666 /dev/fuse)")]
    DeviceDenied(#[source] io::Error),
    #[error("opening /dev/fuse failed; is the fuse module loaded?")]
    Device(#[source] io::Error),
    #[error(
        "mounting needs the capability CAP_SYS_ADMIN, which this root lacks; give the container --cap-add SYS_ADMIN"
    )]
    CapabilityMissing(#[source] io::Error),
    #[error("the kernel refused to mount on {}", .path.display())]
    Refused { path: PathBuf, source: io::Error },
    #[error("fusermount3 is not installed; install the package fuse3, or mount as root")]
    HelperMissing,
    #[error(
        "this machine does not let users mount with --allow-other; put user_allow_other into /etc/fuse.conf, or leave the option out"
    )]
    AllowOtherDenied,
    #[error("fusermount3 could not mount on {}: {message}", .path.display())]
    Helper { path: PathBuf, message: String },
    #[error("running fusermount3 failed")]
    HelperBroken(#[source] io::Error),
    #[error(
        "FUSE over io_uring is switched off on this machine; as root: echo Y > /sys/module/fuse/parameters/enable_uring"
    )]
    RingsNotAllowed(#[source] io::Error),
    #[error("this kernel has no FUSE over io_uring (Linux 6.14 and newer may have it); mount with transport=dev_fuse")]
    NoRings,
    #[error("this kernel does not let FUSE mounts be idmapped (Linux 6.12 and newer do); leave --allow-idmap out")]
    NoIdmap,
    #[error("mounting on {} failed in the first exchange with the kernel", .path.display())]
    Handshake { path: PathBuf, source: HandshakeError },
}

#[derive(Debug, thiserror::Error)]
pub enum UnmountError {
    #[error("{} is in use; close the files open there, or unmount lazily: shoal umount --lazy {}", .0.display(), .0.display())]
    Busy(PathBuf),
    #[error("nothing is mounted on {}", .0.display())]
    NotMounted(PathBuf),
    #[error("unmounting {} failed", .path.display())]
    Refused { path: PathBuf, source: io::Error },
    #[error("fusermount3 is not installed; install the package fuse3, or unmount as root")]
    HelperMissing,
    #[error("fusermount3 could not unmount {}: {message}", .path.display())]
    Helper { path: PathBuf, message: String },
    #[error("running fusermount3 failed")]
    HelperBroken(#[source] io::Error),
}
