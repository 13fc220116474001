//! Kernel readahead of a mount.
//!
//! INIT can only lower what the kernel starts from (128 KiB), and buffered reads arrive in pieces of that size. The
//! number behind it is raised where the kernel shows it, which root alone may do; without it reads are smaller, no more.

use super::mount_table::find_mount;
use std::path::Path;

pub(super) fn raise(mount_point: &Path, readahead_bytes: u32) {
    match find_mount(mount_point) {
        Ok(Some(entry)) => {
            let path = format!("/sys/class/bdi/{}/read_ahead_kb", entry.device);
            if let Err(error) = std::fs::write(&path, (readahead_bytes >> 10).to_string()) {
                tracing::debug!(path, %error, "readahead stays as the kernel set it");
            }
        }
        Ok(None) => tracing::debug!("the mount is not in the mount table; readahead stays as the kernel set it"),
        Err(error) => tracing::debug!(%error, "no mount table; readahead stays as the kernel set it"),
    }
}
