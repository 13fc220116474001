//! The mount table of this process, `/proc/self/mountinfo`.
//!
//! Fields of a line: id, parent, major:minor, root, mount point, options, optional fields, "-", type, source, options.
//! Blanks and backslashes inside a field are written as `\` and three octal digits.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MountEntry {
    pub mount_point: OsString,
    /// Major and minor number as the table writes them, `0:52`.
    pub device: String,
    pub kind: String,
    pub source: String,
}

impl MountEntry {
    /// A mount of this program, alive or dead.
    pub fn is_ours(&self) -> bool {
        self.kind == super::KIND
    }
}

/// What is mounted exactly on this absolute path, the topmost if there are several.
pub fn find_mount(mount_point: &Path) -> io::Result<Option<MountEntry>> {
    let table = std::fs::read("/proc/self/mountinfo")?;
    Ok(topmost(&table, mount_point))
}

/// Where something is mounted on this absolute path or below it.
pub fn mounts_below(path: &Path) -> io::Result<Vec<PathBuf>> {
    let table = std::fs::read("/proc/self/mountinfo")?;
    Ok(below(&table, path))
}

fn below(table: &[u8], path: &Path) -> Vec<PathBuf> {
    let points = table.split(|byte| *byte == b'\n').filter_map(parse_line).map(|entry| entry.mount_point.into());
    points.filter(|point: &PathBuf| point.starts_with(path)).collect()
}

fn topmost(table: &[u8], mount_point: &Path) -> Option<MountEntry> {
    let mut entries = table.split(|byte| *byte == b'\n').filter_map(parse_line);
    entries.rfind(|entry| entry.mount_point.as_bytes() == mount_point.as_os_str().as_bytes())
}

fn parse_line(line: &[u8]) -> Option<MountEntry> {
    let mut fields = line.split(|byte| *byte == b' ');
    let device = text(fields.nth(2)?);
    let mount_point = OsString::from_vec(unescape(fields.nth(1)?));
    fields.by_ref().find(|field| *field == b"-")?;
    Some(MountEntry { mount_point, device, kind: text(fields.next()?), source: text(fields.next()?) })
}

fn text(field: &[u8]) -> String {
    String::from_utf8_lossy(&unescape(field)).into_owned()
}

fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let octal =
            if byte == b'\\' { tail.split_first_chunk::<3>().and_then(|(digits, _)| octal(digits)) } else { None };
        if octal.is_some() {
            rest = &tail[3..];
        }
        plain.push(octal.unwrap_or(byte));
    }
    plain
}

fn octal(digits: &[u8; 3]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"\
22 28 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw
96 28 0:52 / /mnt/a\\040b rw,nosuid,nodev master:1 shared:5 - fuse.shoal shoal:photos rw,user_id=0
97 96 0:53 / /mnt/a\\040b rw - fuse.other other\\134x rw
98 28 0:54 / /mnt/plain rw - fuse.shoal shoal:plain rw
broken line
";

    #[test]
    fn the_topmost_mount_of_a_path_is_found() {
        let found = topmost(TABLE, Path::new("/mnt/a b")).expect("mounted");
        assert_eq!(
            (found.device.as_str(), found.kind.as_str(), found.source.as_str()),
            ("0:53", "fuse.other", "other\\x")
        );
        assert!(!found.is_ours());
        assert!(topmost(TABLE, Path::new("/mnt/plain")).expect("mounted").is_ours());
        assert_eq!(topmost(TABLE, Path::new("/mnt")), None);
    }

    #[test]
    fn mounts_below_a_path_are_found_by_whole_names() {
        assert_eq!(below(TABLE, Path::new("/mnt")).len(), 3);
        assert_eq!(below(TABLE, Path::new("/mnt/plain")), [Path::new("/mnt/plain")]);
        assert!(below(TABLE, Path::new("/mnt/pl")).is_empty());
    }

    #[test]
    fn a_lone_backslash_stays() {
        assert_eq!(unescape(b"a\\9x\\04"), b"a\\9x\\04");
    }
}
