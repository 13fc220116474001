//! Mounts that must not outlive us.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

/// Takes a mount out of sight, also when files are open on it. For when the orderly way has failed.
pub(super) fn unmount_by_force(point: &Path) {
    if !is_mounted(point) {
        return;
    }
    let quietly = |program: &str, arguments: &[&OsStr]| {
        let command = Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).status();
        command.is_ok_and(|status| status.success())
    };
    let point_argument = point.as_os_str();
    let lazily = OsStr::new("-uz");
    let unmounted =
        quietly("umount", &[OsStr::new("-l"), point_argument]) || quietly("fusermount3", &[lazily, point_argument]);
    if !unmounted && is_mounted(point) {
        eprintln!("perf: {} is still mounted; unmount it by: umount -l {0}", point.display());
    }
}

pub(super) fn is_mounted(point: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts.lines().filter_map(|line| line.split(' ').nth(4)).any(|mounted| Path::new(mounted) == point)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mount_points_are_mounted() {
        assert!(is_mounted(Path::new("/proc")));
        assert!(!is_mounted(Path::new("/proc/self")));
    }
}
