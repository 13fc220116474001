//! Names: links, renames, removals, and the errors that POSIX wants.

use crate::harness::{Disk, errno, names};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::Path;

#[test]
fn links_survive_a_remount() {
    let disk = Disk::new();
    let mount = disk.mount();
    fs::create_dir_all(mount.path("a/b")).unwrap();
    fs::write(mount.path("a/file"), b"content").unwrap();
    fs::hard_link(mount.path("a/file"), mount.path("a/b/other")).unwrap();
    symlink("b/other", mount.path("a/way")).unwrap();
    symlink("nowhere", mount.path("dangling")).unwrap();
    let before = fs::metadata(mount.path("a/file")).unwrap();
    mount.unmount();
    let mount = disk.mount();
    let after = fs::metadata(mount.path("a/b/other")).unwrap();
    assert_eq!((after.ino(), after.nlink(), after.mtime_nsec()), (before.ino(), 2, before.mtime_nsec()));
    assert_eq!(fs::read(mount.path("a/way")).unwrap(), b"content");
    assert_eq!(fs::read_link(mount.path("dangling")).unwrap(), Path::new("nowhere"));
    assert_eq!(fs::symlink_metadata(mount.path("dangling")).unwrap().len(), 7);
    fs::remove_file(mount.path("a/file")).unwrap();
    assert_eq!(fs::metadata(mount.path("a/b/other")).unwrap().nlink(), 1);
    assert_eq!(fs::read(mount.path("a/way")).unwrap(), b"content");
    assert_eq!(fs::metadata(mount.path("a")).unwrap().nlink(), 3);
    mount.unmount();
}

#[test]
fn renames_move_replace_exchange_and_refuse() {
    let disk = Disk::new();
    let mount = disk.mount();
    let path = |name: &str| mount.path(name);
    let rename = |from: &str, to: &str, flags| renameat_with(CWD, path(from), CWD, path(to), flags);
    fs::create_dir_all(path("d/e")).unwrap();
    fs::write(path("one"), b"one").unwrap();
    fs::write(path("two"), b"two").unwrap();
    assert_eq!(rename("one", "two", RenameFlags::NOREPLACE), Err(Errno::EXIST));
    rename("one", "two", RenameFlags::EXCHANGE).unwrap();
    assert_eq!((fs::read(path("one")).unwrap(), fs::read(path("two")).unwrap()), (b"two".to_vec(), b"one".to_vec()));
    rename("one", "d/e", RenameFlags::EXCHANGE).unwrap();
    assert_eq!(fs::read(path("d/e")).unwrap(), b"two");
    assert!(fs::metadata(path("one")).unwrap().is_dir());
    rename("one", "d/three", RenameFlags::NOREPLACE).unwrap();

    let open = File::open(path("two")).unwrap();
    fs::rename(path("d/e"), path("two")).unwrap();
    let mut old = [0; 3];
    open.read_exact_at(&mut old, 0).unwrap();
    assert_eq!(&old, b"one");
    assert_eq!(open.metadata().unwrap().nlink(), 0);
    assert_eq!(fs::read(path("two")).unwrap(), b"two");
    drop(open);

    assert_eq!(errno(fs::rename(path("d"), path("d/three/d"))), Some(Errno::INVAL));
    assert_eq!(errno(fs::rename(path("d"), path("two"))), Some(Errno::NOTDIR));
    assert_eq!(errno(fs::rename(path("two"), path("d"))), Some(Errno::ISDIR));
    fs::create_dir(path("empty")).unwrap();
    assert_eq!(errno(fs::rename(path("empty"), path("d"))), Some(Errno::NOTEMPTY));
    fs::rename(path("d/three"), path("empty")).unwrap();
    assert_eq!(names(mount.root()), ["d", "empty", "two"]);
    assert_eq!(fs::metadata(path("d")).unwrap().nlink(), 2);
    mount.unmount();
}

#[test]
fn refusals_have_the_errno_of_posix() {
    let disk = Disk::new();
    let mount = disk.mount();
    let path = |name: &str| mount.path(name);
    fs::create_dir(path("d")).unwrap();
    fs::write(path("d/f"), b"").unwrap();
    assert_eq!(errno(fs::create_dir(path("d"))), Some(Errno::EXIST));
    assert_eq!(errno(fs::remove_dir(path("d"))), Some(Errno::NOTEMPTY));
    assert_eq!(errno(fs::remove_dir(path("d/f"))), Some(Errno::NOTDIR));
    assert_eq!(errno(fs::remove_file(path("d"))), Some(Errno::ISDIR));
    assert_eq!(errno(fs::metadata(path("d/f/x"))), Some(Errno::NOTDIR));
    assert_eq!(errno(fs::metadata(path("missing"))), Some(Errno::NOENT));
    assert_eq!(errno(File::create_new(path("d/f"))), Some(Errno::EXIST));
    assert_eq!(errno(File::create(path(&"x".repeat(256)))), Some(Errno::NAMETOOLONG));
    fs::write(path(&"x".repeat(255)), b"").unwrap();
    assert_eq!(errno(File::create(path("d"))), Some(Errno::ISDIR));
    mount.unmount();
}

#[test]
fn a_name_that_was_missing_is_found_as_soon_as_it_is_made() {
    let disk = Disk::new();
    let mount = disk.mount();
    for (number, make) in [
        (|path: &Path| fs::write(path, b"").unwrap()) as fn(&Path),
        |path| fs::create_dir(path).unwrap(),
        |path| symlink("x", path).unwrap(),
        |path| fs::rename(path.with_file_name("0"), path).unwrap(),
        |path| fs::hard_link(path.with_file_name("3"), path).unwrap(),
    ]
    .into_iter()
    .enumerate()
    {
        let path = mount.path(&number.to_string());
        assert_eq!(errno(fs::symlink_metadata(&path)), Some(Errno::NOENT));
        make(&path);
        fs::symlink_metadata(&path).unwrap();
    }
    assert_eq!(errno(fs::metadata(mount.path("0"))), Some(Errno::NOENT), "moved away");
    mount.unmount();
}
