//! Modes, owners, times.

use crate::harness::Disk;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat, statfs};
use std::fs::{self, File, FileTimes, OpenOptions};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn chmod(path: &std::path::Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn a_set_group_id_directory_hands_its_group_down() {
    let disk = Disk::new();
    let mount = disk.mount();
    fs::create_dir(mount.path("d")).unwrap();
    // Only root may give a directory to any group it likes.
    let group = if rustix::process::geteuid().is_root() { 4242 } else { rustix::process::getegid().as_raw() };
    chown(mount.path("d"), None, Some(group)).unwrap();
    chmod(&mount.path("d"), 0o2775);
    fs::write(mount.path("d/file"), b"").unwrap();
    fs::create_dir(mount.path("d/sub")).unwrap();
    fs::write(mount.path("outside"), b"").unwrap();
    assert_eq!(fs::metadata(mount.path("d/file")).unwrap().gid(), group);
    assert_eq!(fs::metadata(mount.path("d/sub")).unwrap().gid(), group);
    assert_ne!(mode(&mount.path("d/sub")) & 0o2000, 0, "a subdirectory goes on handing it down");
    assert_eq!(mode(&mount.path("d/file")) & 0o2000, 0);
    assert_eq!(fs::metadata(mount.path("outside")).unwrap().gid(), rustix::process::getegid().as_raw());
    mount.unmount();
}

#[test]
fn times_are_kept_to_the_nanosecond() {
    let disk = Disk::new();
    let mount = disk.mount();
    let at = |seconds, nanoseconds| UNIX_EPOCH + Duration::new(seconds, nanoseconds);
    let (accessed, modified) = (at(4_000_000_000, 123_456_789), at(1_000_000_001, 987_654_321));
    let file = File::create(mount.path("f")).unwrap();
    file.set_times(FileTimes::new().set_accessed(accessed).set_modified(modified)).unwrap();
    drop(file);
    mount.unmount();
    let mount = disk.mount();
    let metadata = fs::metadata(mount.path("f")).unwrap();
    assert_eq!((metadata.accessed().unwrap(), metadata.modified().unwrap()), (accessed, modified));
    let before = SystemTime::now() - Duration::from_secs(1);
    let file = OpenOptions::new().write(true).open(mount.path("f")).unwrap();
    file.write_all_at(b"x", 0).unwrap();
    drop(file);
    let metadata = fs::metadata(mount.path("f")).unwrap();
    assert!(metadata.modified().unwrap() > before, "written now");
    assert_eq!(metadata.accessed().unwrap(), accessed);
    let born = metadata.created().unwrap();
    assert!(born > before - Duration::from_secs(3600) && born < SystemTime::now() + Duration::from_secs(1));
    mount.unmount();
}

#[test]
fn directories_change_their_times_with_their_entries() {
    let disk = Disk::new();
    let mount = disk.mount();
    fs::create_dir(mount.path("d")).unwrap();
    let past = UNIX_EPOCH + Duration::from_secs(1000);
    let age = || File::open(mount.path("d")).unwrap().set_times(FileTimes::new().set_modified(past)).unwrap();
    let modified = || fs::metadata(mount.path("d")).unwrap().modified().unwrap();
    for change in [
        (|path| fs::write(path, b"").unwrap()) as fn(&std::path::Path),
        |path| fs::rename(path, path.with_file_name("other")).unwrap(),
        |path| fs::remove_file(path.with_file_name("other")).unwrap(),
    ] {
        age();
        assert_eq!(modified(), past);
        change(&mount.path("d/f"));
        assert!(modified() > past);
    }
    mount.unmount();
}

#[test]
fn modes_arrive_with_the_umask_applied_once() {
    let disk = Disk::new();
    let mount = disk.mount();
    // A process has one umask, so a child sets its own.
    let script = "umask 027 && mkdir d && : > f && mkfifo p && chmod 4755 f && umask 0 && : > g";
    let status = std::process::Command::new("sh").args(["-ec", script]).current_dir(mount.root()).status().unwrap();
    assert!(status.success());
    let modes = ["d", "f", "p", "g"].map(|name| mode(&mount.path(name)));
    assert_eq!(modes, [0o750, 0o4755, 0o640, 0o666]);
    mount.unmount();
}

#[test]
fn special_files_keep_their_kind_and_device() {
    let disk = Disk::new();
    let mount = disk.mount();
    let make = |name: &str, kind, device| mknodat(CWD, mount.path(name), kind, Mode::from_bits_retain(0o600), device);
    make("fifo", FileType::Fifo, 0).unwrap();
    make("socket", FileType::Socket, 0).unwrap();
    assert!(fs::metadata(mount.path("fifo")).unwrap().file_type().is_fifo());
    assert!(fs::metadata(mount.path("socket")).unwrap().file_type().is_socket());
    if rustix::process::geteuid().is_root() {
        make("device", FileType::CharacterDevice, makedev(259, 70_000)).unwrap();
        let metadata = fs::metadata(mount.path("device")).unwrap();
        assert!(metadata.file_type().is_char_device());
        assert_eq!(metadata.rdev(), makedev(259, 70_000));
    }
    mount.unmount();
}

#[test]
fn what_is_stored_is_counted_and_room_is_shown() {
    let disk = Disk::new();
    let mount = disk.mount();
    let before = statfs(mount.root()).unwrap();
    fs::write(mount.path("f"), vec![7; 3 << 20]).unwrap();
    let after = statfs(mount.root()).unwrap();
    let used = |usage: &rustix::fs::StatFs| (usage.f_blocks - usage.f_bfree) * usage.f_bsize as u64;
    assert_eq!(used(&after) - used(&before), 3 << 20);
    assert_eq!((after.f_files - after.f_ffree) - (before.f_files - before.f_ffree), 1);
    assert!(after.f_bavail > 1 << 30);
    assert_eq!(fs::metadata(mount.path("f")).unwrap().blocks(), (3 << 20) / 512);
    mount.unmount();
}

#[test]
fn what_is_not_served_yet_is_told_in_words_programs_understand() {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    let disk = Disk::new();
    let mount = disk.mount();
    let file = File::create(mount.path("f")).unwrap();
    assert_eq!(fallocate(&file, FallocateFlags::COLLAPSE_RANGE, 0, 4096), Err(Errno::OPNOTSUPP));
    assert_eq!(rustix::fs::seek(&file, rustix::fs::SeekFrom::Data(0)), Err(Errno::NXIO), "an empty file has no data");
    drop(file);
    mount.unmount();
}
