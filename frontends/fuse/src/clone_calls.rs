//! The calls by which a program has a tree of a mount cloned: the other end of `service/clone.rs`.

use rustix::fd::AsFd;
use rustix::ioctl::{Getter, Setter, ioctl};
use shoal_fuse_protocol::{
    CLONE_BEGIN, CLONE_SOURCE, CLONE_WORK, CloneOut, clone_begin_in, clone_sizes, clone_source_in,
};
use shoal_types::{Errno, FsResult, Name};

/// Names the source, which the caller has open for reading, of the clone that hangs by the file with this inode number.
/// `ENOTTY` where no mount of ours is.
pub fn offer_clone_source(source: impl AsFd, lifeline: u64) -> FsResult<()> {
    // SAFETY: the kernel reads as many bytes as the code says, which are those of the array.
    let call = unsafe { Setter::<CLONE_SOURCE, [u8; clone_sizes::SOURCE]>::new(clone_source_in(lifeline)) };
    // SAFETY: it reads these bytes and writes nothing.
    unsafe { ioctl(source, call) }.map_err(errno)
}

/// Begins. `lifeline` has no name, and was made in the directory that the copy is to have its name in.
pub fn begin_clone(lifeline: impl AsFd, name: &Name) -> FsResult<()> {
    // SAFETY: as above.
    let call = unsafe { Setter::<CLONE_BEGIN, [u8; clone_sizes::BEGIN]>::new(clone_begin_in(name)) };
    // SAFETY: as above.
    unsafe { ioctl(lifeline, call) }.map_err(errno)
}

/// Has the daemon go on for a while. An error ends the clone.
pub fn work_on_clone(lifeline: impl AsFd) -> FsResult<CloneOut> {
    // SAFETY: the kernel writes as many bytes as the code says, which any array of bytes takes.
    let call = unsafe { Getter::<CLONE_WORK, [u8; clone_sizes::PROGRESS]>::new() };
    // SAFETY: as above.
    CloneOut::decode(&unsafe { ioctl(lifeline, call) }.map_err(errno)?)
}

fn errno(error: rustix::io::Errno) -> Errno {
    Errno(error.raw_os_error())
}
