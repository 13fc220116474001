//! Mounts that show less than a volume: to squashed users, of a subdirectory, without changes.

#![allow(clippy::unwrap_used)]

mod sandbox;

use rustix::fs::OFlags;
use sandbox::{Sandbox, text};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::process::Command;

const EPERM: i32 = 1;
const EACCES: i32 = 13;
const EROFS: i32 = 30;
const SOMEBODY: u32 = 65_534;

#[test]
fn every_change_on_a_read_only_mount_is_refused() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let point = sandbox.mount(&url, "mnt", &[]);
    fs::create_dir(point.join("d")).unwrap();
    fs::write(point.join("f"), b"text").unwrap();
    sandbox.umount(&point);
    sandbox.mount(&url, "mnt", &["--read-only"]);
    let path = |name: &str| point.join(name);
    let file = File::open(path("f")).unwrap();
    let times = fs::FileTimes::new().set_modified(std::time::SystemTime::UNIX_EPOCH);
    let results = [
        ("open", File::options().write(true).open(path("f")).map(drop)),
        ("truncate", File::options().write(true).truncate(true).open(path("f")).map(drop)),
        ("create", File::create_new(path("new")).map(drop)),
        ("mkdir", fs::create_dir(path("new"))),
        ("symlink", symlink("f", path("new"))),
        ("link", fs::hard_link(path("f"), path("new"))),
        ("unlink", fs::remove_file(path("f"))),
        ("rmdir", fs::remove_dir(path("d"))),
        ("rename", fs::rename(path("f"), path("new"))),
        ("chmod", fs::set_permissions(path("f"), Permissions::from_mode(0o600))),
        ("chown", chown(path("f"), Some(1), None)),
        ("utimes", file.set_times(times)),
    ];
    for (what, result) in results {
        assert_eq!(result.unwrap_err().raw_os_error(), Some(EROFS), "{what}");
    }
    assert!(file.write_at(b"x", 0).is_err(), "it was opened for reading");
    drop(file);
    assert_eq!(fs::read(path("f")).unwrap(), b"text");
    sandbox.umount(&point);
}

#[test]
fn a_squashed_superuser_has_no_privileges() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let point = sandbox.mount(&url, "mnt", &[]);
    fs::create_dir(point.join("public")).unwrap();
    fs::set_permissions(point.join("public"), Permissions::from_mode(0o1777)).unwrap();
    fs::create_dir(point.join("private")).unwrap();
    fs::write(point.join("private/below"), b"secret").unwrap();
    fs::set_permissions(point.join("private"), Permissions::from_mode(0o700)).unwrap();
    fs::write(point.join("readable"), b"text").unwrap();
    fs::write(point.join("secret"), b"secret").unwrap();
    fs::set_permissions(point.join("secret"), Permissions::from_mode(0o600)).unwrap();
    fs::write(point.join("public/roots"), b"x").unwrap();
    sandbox.umount(&point);
    for squash in
        [&["--root-squash", "--anon-uid", "7", "--anon-gid", "8"][..], &["-o", "all_squash,anonuid=7,anongid=8"]]
    {
        sandbox.mount(&url, "mnt", &[squash, &["--allow-other"]].concat());
        let refused = |result: std::io::Result<()>, errno: i32| {
            assert_eq!(result.unwrap_err().raw_os_error(), Some(errno), "{squash:?}");
        };
        assert_eq!(fs::read(point.join("readable")).unwrap(), b"text");
        refused(fs::read(point.join("secret")).map(drop), EACCES);
        refused(fs::metadata(point.join("private/below")).map(drop), EACCES);
        refused(fs::read_dir(point.join("private")).map(drop), EACCES);
        refused(fs::write(point.join("readable"), b"x"), EACCES);
        let cut_by_reader =
            File::options().read(true).custom_flags(OFlags::TRUNC.bits().cast_signed()).open(point.join("readable"));
        refused(cut_by_reader.map(drop), EACCES);
        assert_eq!(fs::read(point.join("readable")).unwrap(), b"text");
        refused(fs::write(point.join("new"), b"x"), EACCES);
        refused(fs::create_dir(point.join("new")), EACCES);
        refused(fs::remove_file(point.join("readable")), EACCES);
        refused(fs::rename(point.join("readable"), point.join("public/stolen")), EACCES);
        refused(fs::set_permissions(point.join("readable"), Permissions::from_mode(0o777)), EPERM);
        refused(chown(point.join("readable"), Some(7), None), EPERM);
        refused(fs::remove_file(point.join("public/roots")), EPERM);
        fs::write(point.join("public/mine"), b"mine").unwrap();
        let made = fs::metadata(point.join("public/mine")).unwrap();
        assert_eq!((made.uid(), made.gid()), (7, 8));
        fs::set_permissions(point.join("public/mine"), Permissions::from_mode(0o600)).unwrap();
        assert_eq!(fs::read(point.join("public/mine")).unwrap(), b"mine");
        refused(chown(point.join("public/mine"), Some(0), None), EPERM);
        fs::rename(point.join("public/mine"), point.join("public/still mine")).unwrap();
        fs::remove_file(point.join("public/still mine")).unwrap();
        sandbox.umount(&point);
    }
}

#[test]
fn squashing_the_superuser_leaves_others_as_they_are() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let point = sandbox.mount(&url, "mnt", &[]);
    fs::set_permissions(&point, Permissions::from_mode(0o1777)).unwrap();
    sandbox.umount(&point);
    sandbox.mount(&url, "mnt", &["--root-squash", "--allow-other"]);
    let run = |script: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).current_dir(&point).uid(SOMEBODY - 1).gid(SOMEBODY - 1);
        shell.output().unwrap()
    };
    assert!(run("mkdir d && chmod 700 d && echo text > d/f && cat d/f").status.success());
    assert_eq!(fs::metadata(point.join("d")).unwrap().uid(), SOMEBODY - 1);
    // Names that the kernel has just been told to somebody else must not let the superuser through.
    assert_eq!(fs::read(point.join("d/f")).unwrap_err().raw_os_error(), Some(EACCES));
    sandbox.umount(&point);
    sandbox.mount(&url, "mnt", &["--all-squash", "--allow-other"]);
    assert!(!run("cat d/f").status.success(), "everybody is somebody else");
    assert!(run("echo text > g && cat g").status.success());
    assert_eq!(fs::metadata(point.join("g")).unwrap().uid(), SOMEBODY);
    sandbox.umount(&point);
}

#[test]
fn nothing_leads_out_of_a_subdirectory() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let point = sandbox.mount(&url, "mnt", &[]);
    fs::create_dir_all(point.join("inside/deep")).unwrap();
    fs::create_dir(point.join("outside")).unwrap();
    fs::write(point.join("outside/secret"), b"secret").unwrap();
    symlink("../outside/secret", point.join("inside/up")).unwrap();
    symlink("/outside/secret", point.join("inside/absolute")).unwrap();
    let secret = fs::metadata(point.join("outside/secret")).unwrap().ino();
    let outer = sandbox.mount(&url, "inner", &["--subdir", "inside", "--consistency", "strict"]);
    for way in ["up", "absolute", "../outside/secret", "deep/../../outside/secret"] {
        assert!(fs::read(outer.join(way)).is_err(), "{way}");
    }
    assert!(fs::rename(outer.join("deep"), outer.join("../stolen")).is_err());
    // A handle is made of an inode's number, and numbers can be guessed.
    let by_handle = "\
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
mount = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY)
number = int(sys.argv[2])
for kind, words in [(0x81, 3), (0x82, 6)]:
    body = struct.pack('<IIIIII', number >> 32, number & 0xffffffff, 0, 0, 1, 0)[:words * 4]
    handle = struct.pack('<Ii', len(body), kind) + body
    opened = libc.open_by_handle_at(mount, ctypes.create_string_buffer(handle), os.O_RDONLY)
    print(opened, ctypes.get_errno())
";
    let output = sandbox
        .command("python3")
        .args(["-c", by_handle, outer.to_str().unwrap(), &secret.to_string()])
        .output()
        .unwrap();
    let told = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(told.lines().filter(|line| line.starts_with("-1 ")).count(), 2, "{told}");
    // What another mount moves out stays what it was for who is in it, as it does below a bind mount, and has no way up.
    let deep = fs::File::open(outer.join("deep")).unwrap();
    fs::rename(point.join("inside/deep"), point.join("outside/deep")).unwrap();
    assert_eq!(fs::read_dir(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&deep))).unwrap().count(), 0);
    assert!(!outer.join("deep").exists());
    drop(deep);
    sandbox.umount(&outer);
    sandbox.umount(&point);
}
