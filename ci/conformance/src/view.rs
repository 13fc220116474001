//! Views of a folder with other ids: idmapped mounts, see mount_setattr(2).

use rustix::mount::{MoveMountFlags, OpenTreeFlags, UnmountFlags};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder as it looks with ids mapped; gone when dropped.
pub struct View(PathBuf);

const MOUNT_ATTR_IDMAP: u64 = 0x10_0000;

impl View {
    /// Shows `folder` at `place`, which is there, with the folder's users and groups from 0 as those from `first`, `count`
    /// of them.
    pub fn new(folder: &Path, place: &Path, first: u32, count: u32) -> io::Result<Self> {
        let tree = idmapped(folder, first, count)?;
        rustix::mount::move_mount(&tree, "", rustix::fs::CWD, place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
        Ok(View(place.to_owned()))
    }
}

impl Drop for View {
    fn drop(&mut self) {
        rustix::mount::unmount(&self.0, UnmountFlags::DETACH).expect("it's mounted");
    }
}

/// A mount of the folder that is attached nowhere.
pub fn idmapped(folder: &Path, first: u32, count: u32) -> io::Result<OwnedFd> {
    let users = user_namespace(&format!("0 {first} {count}"));
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = rustix::mount::open_tree(rustix::fs::CWD, folder, flags)?;
    // struct mount_attr: attributes to set, to clear, propagation, the user namespace.
    let change = [MOUNT_ATTR_IDMAP, 0, 0, users.as_raw_fd() as u64];
    // SAFETY: an empty NUL-terminated path, and a structure of the length given, which outlives the call.
    let result = unsafe {
        let (path, flags) = (c"".as_ptr(), libc::AT_EMPTY_PATH);
        libc::syscall(libc::SYS_mount_setattr, tree.as_raw_fd(), path, flags, change.as_ptr(), size_of_val(&change))
    };
    if result == 0 { Ok(tree) } else { Err(io::Error::last_os_error()) }
}

/// One in which these ids stand for ours.
fn user_namespace(map: &str) -> File {
    let mut sleeper = Command::new("unshare").args(["-U", "sleep", "60"]).spawn().expect("util-linux is installed");
    let of_sleeper = |name: &str| format!("/proc/{}/{name}", sleeper.id());
    while fs::read_to_string(of_sleeper("comm")).is_ok_and(|name| name != "sleep\n") {
        std::thread::yield_now();
    }
    for file in ["uid_map", "gid_map"] {
        fs::write(of_sleeper(file), map).expect("root maps ids");
    }
    let users = File::open(of_sleeper("ns/user")).expect("it lives");
    sleeper.kill().expect("a child of ours");
    sleeper.wait().expect("a child of ours");
    users
}
