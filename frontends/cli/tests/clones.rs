//! `shoal clone` on real mounts: what a copy is, what refuses it, and what is left when something dies on the way.

#![allow(clippy::unwrap_used)]

mod sandbox;

use sandbox::{SHOAL, Sandbox, kill, noise, text, wait_until};
use std::fs::{self, File, Permissions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Output};
use std::time::{Duration, Instant};

const MIB: usize = 1 << 20;
const SOMEBODY: u32 = 65_534;

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn clone(sandbox: &Sandbox, point: &Path, source: &str, target: &str) {
    sandbox.ok(&["clone", path(&point.join(source)), path(&point.join(target))]);
}

/// A file of each size, a link, a hole, in two directories.
fn make_tree(top: &Path) {
    fs::create_dir_all(top.join("d")).unwrap();
    for (number, size) in [0, 100, 5000, 3 * MIB].into_iter().enumerate() {
        fs::write(top.join(size.to_string()), noise(size, number as u64)).unwrap();
    }
    fs::hard_link(top.join("5000"), top.join("d/again")).unwrap();
    symlink("nowhere", top.join("d/soft")).unwrap();
    let mut sparse = File::create(top.join("d/sparse")).unwrap();
    sparse.seek(SeekFrom::Start(1 << 33)).unwrap();
    sparse.write_all(b"end").unwrap();
}

/// Nothing that rsync can tell is different.
fn assert_same(sandbox: &Sandbox, one: &Path, other: &Path) {
    let mut rsync = sandbox.command("rsync");
    rsync.args(["-aHAXn", "--checksum", "--delete", "--itemize-changes"]);
    let output = rsync.arg(format!("{}/", one.display())).arg(format!("{}/", other.display())).output().unwrap();
    assert_eq!((text(&output.stdout), text(&output.stderr)), (String::new(), String::new()));
}

fn inodes(sandbox: &Sandbox, url: &str) -> u64 {
    sandbox.json(&["status", url])["usage"]["inodes"].as_u64().unwrap()
}

#[test]
fn both_sides_go_their_own_ways_and_either_can_go_first() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.url("a.db");
    sandbox.ok(&["format", &url, "test", "--delete-grace", "0s"]);
    let point = sandbox.mount(&url, "mnt", &[]);
    let (source, copy) = (point.join("s"), point.join("c"));
    make_tree(&source);
    let objects = sandbox.objects("a.objects").len();
    assert!(fs::metadata(&copy).is_err(), "and the kernel remembers that for a second");
    clone(&sandbox, &point, "s", "c");
    assert_eq!(fs::metadata(&copy).unwrap().nlink(), 3, "the kernel has been told");
    assert_same(&sandbox, &source, &copy);
    let links = ["5000", "d/again"].map(|name| fs::metadata(copy.join(name)).unwrap());
    assert_eq!((links[0].ino(), links[0].nlink()), (links[1].ino(), 2));
    assert_ne!(links[0].ino(), fs::metadata(source.join("5000")).unwrap().ino());
    assert_eq!(
        fs::metadata(copy.join("d/sparse")).unwrap().blocks(),
        fs::metadata(source.join("d/sparse")).unwrap().blocks()
    );
    assert_eq!(sandbox.objects("a.objects").len(), objects, "no object is written");
    let large = (3 * MIB).to_string();
    let change = |side: &Path, byte: u8| {
        let mut file = File::options().write(true).open(side.join(&large)).unwrap();
        file.seek(SeekFrom::Start(MIB as u64)).unwrap();
        file.write_all(&[byte; 1000]).unwrap();
        fs::write(side.join("100"), [byte; 50]).unwrap();
    };
    change(&source, 1);
    let mut expected = noise(3 * MIB, 3);
    assert!(fs::read(copy.join(&large)).unwrap() == expected && fs::read(copy.join("100")).unwrap() == noise(100, 1));
    change(&copy, 2);
    expected[MIB..MIB + 1000].fill(1);
    assert!(fs::read(source.join(&large)).unwrap() == expected);
    clone(&sandbox, &point, "c", "d");
    fs::remove_dir_all(&source).unwrap();
    fs::remove_dir_all(&copy).unwrap();
    sandbox.umount(&point);
    sandbox.ends(&["gc", &url, "--delete"], 0);
    sandbox.mount(&url, "mnt", &["--no-cache"]);
    expected[MIB..MIB + 1000].fill(2);
    assert!(fs::read(point.join("d").join(&large)).unwrap() == expected, "it reads from the store");
    fs::remove_dir_all(point.join("d")).unwrap();
    sandbox.umount(&point);
    sandbox.ends(&["fsck", &url, "--data"], 0);
}

#[test]
fn what_has_been_written_and_not_closed_is_in_the_copy() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let point = sandbox.mount(&url, "mnt", &[]);
    fs::create_dir(point.join("s")).unwrap();
    let mut open = File::create(point.join("s/f")).unwrap();
    open.write_all(&noise(2 * MIB, 7)).unwrap();
    clone(&sandbox, &point, "s", "c");
    open.write_all(b"more").unwrap();
    assert!(fs::read(point.join("c/f")).unwrap() == noise(2 * MIB, 7));
    drop(open);
    clone(&sandbox, &point, "s/f", "file");
    assert_eq!(fs::metadata(point.join("file")).unwrap().len(), 2 * MIB as u64 + 4);
    clone(&sandbox, &point, "s", "s/inside");
    assert_eq!(fs::read_dir(point.join("s/inside")).unwrap().count(), 1, "a copy does not hold itself");
    sandbox.umount(&point);
    sandbox.ends(&["fsck", &url], 0);
}

#[test]
fn what_stands_against_a_clone_is_named_and_nothing_appears() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let (point, other) = (sandbox.mount(&url, "mnt", &[]), sandbox.folder("other"));
    make_tree(&point.join("s"));
    fs::create_dir(point.join("limited")).unwrap();
    let refused = |source: &Path, target: &Path, code: i32, words: &[&str]| {
        sandbox.refused(&["clone", path(source), path(target)], code, words);
    };
    let source = point.join("s");
    refused(&source, &point.join("s"), 4, &["it exists"]);
    refused(&source.join("d"), &point.join("s"), 4, &["it exists"]);
    refused(&source, &point.join("none/c"), 3, &["none", "check the path"]);
    refused(&point.join("none"), &point.join("c"), 3, &["none"]);
    refused(&source.join("d/soft"), &point.join("c"), 2, &["neither a file nor a directory"]);
    refused(&source, &other.join("c"), 2, &["not on the mount"]);
    refused(&other, &other.join("c"), 3, &["not on a mounted volume"]);
    refused(&source, &point.join(".."), 2, &["no new name"]);
    refused(&source, &point.join("x".repeat(300)), 2, &["too long"]);
    sandbox.ok(&["quota", "set", path(&point), "--path", "/limited", "--capacity", "1M"]);
    refused(&source, &point.join("limited/c"), 7, &["quota"]);
    assert!(fs::read_dir(point.join("limited")).unwrap().next().is_none());
    assert!(fs::metadata(point.join("c")).is_err());
    sandbox.umount(&point);
    let point = sandbox.mount(&url, "mnt", &["--read-only"]);
    sandbox.refused(&["clone", path(&source), path(&point.join("c"))], 5, &["name a place that can be written to"]);
    sandbox.umount(&point);
    sandbox.ends(&["fsck", &url], 0);
    sandbox.ends(&["quota", "check", &url], 0);
}

/// As a user without rights, who has to get at the program and the mount.
fn as_somebody(sandbox: &Sandbox, source: &Path, target: &Path) -> Output {
    let program = sandbox.path("shoal-for-all");
    if !program.exists() {
        fs::copy(SHOAL, &program).unwrap();
        fs::set_permissions(sandbox.path("."), Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = sandbox.command(path(&program));
    command.arg("clone").args([source, target]).uid(SOMEBODY).gid(SOMEBODY).output().unwrap()
}

#[test]
fn a_user_clones_what_it_may_read_to_where_it_may_write_and_owns_it() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let point = sandbox.mount(&url, "mnt", &["--allow-other"]);
    let source = point.join("s");
    make_tree(&source);
    fs::set_permissions(source.join("100"), Permissions::from_mode(0o4755)).unwrap();
    fs::create_dir(point.join("mine")).unwrap();
    chown(point.join("mine"), Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    let said = text(&as_somebody(&sandbox, &source, &point.join("not-mine")).stderr);
    assert!(said.contains("making a name in it: Permission denied"), "{said}");
    let output = as_somebody(&sandbox, &source, &point.join("mine/c"));
    assert!(output.status.success(), "{}", text(&output.stderr));
    for name in ["mine/c", "mine/c/d", "mine/c/d/soft", "mine/c/5000"] {
        let metadata = fs::symlink_metadata(point.join(name)).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (SOMEBODY, SOMEBODY), "{name}");
    }
    let mode = |name: &str| fs::metadata(point.join(name)).unwrap().mode() & 0o7777;
    assert_eq!((mode("s/100"), mode("mine/c/100")), (0o4755, 0o755));
    fs::write(source.join("d/secret"), b"secret").unwrap();
    fs::set_permissions(source.join("d/secret"), Permissions::from_mode(0o600)).unwrap();
    let output = as_somebody(&sandbox, &source, &point.join("mine/e"));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("/s/d/secret: you may not read it"), "{said}");
    fs::set_permissions(&source, Permissions::from_mode(0o700)).unwrap();
    assert_eq!(as_somebody(&sandbox, &source, &point.join("mine/e")).status.code(), Some(5));
    assert_eq!(fs::read_dir(point.join("mine")).unwrap().count(), 1);
    sandbox.umount(&point);
    // Root is somebody there, too.
    let point = sandbox.mount(&url, "mnt", &["--root-squash"]);
    fs::create_dir(point.join("public")).unwrap_err();
    sandbox.refused(&["clone", path(&source), path(&point.join("c"))], 5, &["denied"]);
    sandbox.umount(&point);
    sandbox.ends(&["fsck", &url], 0);
}

/// So many names that a clone of them takes a second, and can be met halfway: clones of clones, so that it's quickly made.
fn make_many(sandbox: &Sandbox, point: &Path) {
    let top = point.join("many");
    fs::create_dir_all(top.join("0")).unwrap();
    for number in 0..100 {
        fs::write(top.join(format!("0/{number}")), b"text").unwrap();
    }
    fs::write(top.join("0/object"), noise(100_000, 1)).unwrap();
    for double in 0.. {
        let start = Instant::now();
        clone(sandbox, point, "many", "twice");
        fs::rename(point.join("twice"), top.join(format!("again-{double}"))).unwrap();
        if start.elapsed() > Duration::from_millis(500) {
            return;
        }
    }
}

/// A clone of `many` that is under way, and the inodes there were before, perhaps with what the last clone hung by.
fn begin(sandbox: &Sandbox, url: &str, point: &Path) -> (u64, Child) {
    let before = inodes(sandbox, url);
    let mut command = sandbox.command(SHOAL);
    let command = command.arg("clone").args([point.join("many"), point.join("c")]).spawn().unwrap();
    wait_until("the clone is under way", || inodes(sandbox, url) > before + 2);
    (before, command)
}

#[test]
fn a_killed_command_leaves_nothing() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let point = sandbox.mount(&url, "mnt", &[]);
    make_many(&sandbox, &point);
    let (before, mut command) = begin(&sandbox, &url, &point);
    command.kill().unwrap();
    assert!(!command.wait().unwrap().success(), "it was killed on the way");
    assert!(fs::metadata(point.join("c")).is_err());
    wait_until("its copy is gone", || inodes(&sandbox, &url) <= before);
    clone(&sandbox, &point, "many", "c");
    sandbox.umount(&point);
    sandbox.ends(&["fsck", &url], 0);
    sandbox.ends(&["gc", &url], 0);
    sandbox.ends(&["quota", "check", &url], 0);
}

#[test]
fn a_killed_mount_leaves_nothing_for_long() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let point = sandbox.mount(&url, "mnt", &[]);
    make_many(&sandbox, &point);
    let (before, mut command) = begin(&sandbox, &url, &point);
    kill(sandbox.daemon(&url), "KILL");
    assert!(!command.wait().unwrap().success());
    assert!(inodes(&sandbox, &url) > before, "the copy is there, and nobody tidies up");
    sandbox.ends(&["fsck", &url], 0);
    let point = sandbox.mount(&url, "mnt", &[]);
    assert!(fs::metadata(point.join("c")).is_err());
    wait_until("its copy is gone", || inodes(&sandbox, &url) <= before);
    clone(&sandbox, &point, "many", "c");
    sandbox.umount(&point);
    sandbox.ends(&["fsck", &url], 0);
    sandbox.ends(&["gc", &url], 0);
}
