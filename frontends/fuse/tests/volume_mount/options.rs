//! Ways to mount: read-only, a subdirectory, without anything remembered by the kernel.

use crate::harness::{Disk, How, errno, names};
use rustix::io::Errno;
use shoal_types::Errno as FsErrno;
use std::fs::{self, File};
use std::os::unix::fs::{DirEntryExt, MetadataExt, symlink};
use std::time::Duration;

#[test]
fn a_read_only_mount_shows_everything_and_changes_nothing() {
    let disk = Disk::new();
    let mount = disk.mount();
    fs::create_dir(mount.path("d")).unwrap();
    fs::write(mount.path("d/f"), b"content").unwrap();
    mount.unmount();
    let mount = disk.mount_as(How { read_only: true, ..How::default() }).unwrap();
    assert_eq!(fs::read(mount.path("d/f")).unwrap(), b"content");
    for refused in [
        fs::write(mount.path("d/f"), b"x"),
        fs::write(mount.path("new"), b"x"),
        fs::remove_file(mount.path("d/f")),
        fs::create_dir(mount.path("e")),
        fs::rename(mount.path("d/f"), mount.path("g")),
    ] {
        assert_eq!(errno(refused), Some(Errno::ROFS));
    }
    mount.unmount();
}

#[test]
fn a_subdirectory_is_a_root_with_nothing_above_it() {
    let disk = Disk::new();
    let mount = disk.mount();
    fs::create_dir_all(mount.path("outer/inner/deep")).unwrap();
    fs::write(mount.path("outer/inner/f"), b"content").unwrap();
    fs::write(mount.path("secret"), b"").unwrap();
    symlink("outer", mount.path("link")).unwrap();
    let number = fs::metadata(mount.path("outer/inner")).unwrap().ino();
    mount.unmount();

    let inside = |path| How { subdirectory: path, ..How::default() };
    for (path, expected) in [
        ("/outer/missing", FsErrno::ENOENT),
        ("/outer/inner/f", FsErrno::ENOTDIR),
        ("/link/inner", FsErrno::ENOTDIR),
        ("/outer/../outer", FsErrno::EINVAL),
    ] {
        assert_eq!(disk.mount_as(inside(path)).err(), Some(expected), "{path}");
    }
    let mount = disk.mount_as(inside("/outer/inner")).unwrap();
    assert_eq!(names(mount.root()), ["deep", "f"]);
    assert_eq!(fs::read(mount.path("f")).unwrap(), b"content");
    assert_eq!(fs::metadata(mount.root()).unwrap().ino(), number);
    fs::write(mount.path("deep/new"), b"new").unwrap();
    fs::rename(mount.path("deep/new"), mount.path("moved")).unwrap();
    let dots = rustix::fs::Dir::read_from(File::open(mount.root()).unwrap()).unwrap();
    for entry in dots.map(Result::unwrap).filter(|entry| entry.file_name().to_bytes().starts_with(b".")) {
        assert_eq!(entry.ino(), number, "{entry:?}: the root is its own parent");
    }
    mount.unmount();

    let mount = disk.mount();
    assert_eq!(fs::read(mount.path("outer/inner/moved")).unwrap(), b"new");
    mount.unmount();
}

#[test]
fn without_timeouts_everything_still_works() {
    let disk = Disk::new();
    let mount = disk.mount_as(How { timeouts: Duration::ZERO, ..How::default() }).unwrap();
    fs::create_dir(mount.path("d")).unwrap();
    for round in 0..20 {
        let path = mount.path(&format!("d/{round}"));
        assert_eq!(errno(fs::metadata(&path)), Some(Errno::NOENT));
        fs::write(&path, vec![round; 10_000]).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 10_000);
    }
    for entry in fs::read_dir(mount.path("d")).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.ino(), entry.metadata().unwrap().ino());
        fs::remove_file(entry.path()).unwrap();
    }
    fs::remove_dir(mount.path("d")).unwrap();
    mount.unmount();
}
