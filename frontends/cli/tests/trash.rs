//! Removed files in the trash of real mounts, taking them back, and trees removed at once.

// A failed unwrap in a test is a failed test, which is what it is for.
#![allow(clippy::unwrap_used)]

mod sandbox;

use sandbox::{Sandbox, kill, noise, refusal, text, wait_until};
use shoal_kv::{Durability, Kv};
use shoal_kv_sqlite::SqliteKv;
use shoal_metadata::{
    Create, EndSession, LeaseInodes, MetaOp, Metadata, RegisterSession, SessionKind, SessionRecord, Unlink,
};
use shoal_types::{Consistency, FileKind, Ino, Name, SessionId, Timestamp};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::mpsc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

const SOMEBODY: u32 = 65_534;

fn keeping(sandbox: &mut Sandbox, options: &[&str]) -> (String, PathBuf) {
    let url = sandbox.url("a.db");
    sandbox.ok(&["format", &url, "test", "--trash-days", "1"]);
    let point = sandbox.mount(&url, "mnt", options);
    (url, point)
}

/// All that is in the trash.
fn kept(point: &Path) -> Vec<PathBuf> {
    let hours = fs::read_dir(point.join(".trash")).unwrap().map(|hour| hour.unwrap().path());
    let mut kept: Vec<PathBuf> =
        // An hour may go at any moment.
        hours.flat_map(|hour| fs::read_dir(hour).into_iter().flatten().map(|entry| entry.unwrap().path())).collect();
    kept.sort();
    kept
}

/// What was called so, in the trash.
fn kept_as(point: &Path, name: &str) -> PathBuf {
    let ending = format!("-{name}");
    let found = kept(point).into_iter().find(|path| path.to_str().unwrap().ends_with(&ending));
    found.unwrap_or_else(|| panic!("{name} in {:?}", kept(point)))
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn end(sandbox: &Sandbox, url: &str, point: &Path) {
    sandbox.umount(point);
    sandbox.ends(&["fsck", url, "--data"], 0);
    sandbox.ends(&["quota", "check", url], 0);
}

#[test]
fn a_removed_file_is_in_the_trash_and_mv_takes_it_back() {
    let mut sandbox = Sandbox::new();
    let (url, point) = keeping(&mut sandbox, &[]);
    fs::create_dir(point.join("d")).unwrap();
    fs::write(point.join("d/a"), noise(3 << 20, 1)).unwrap();
    let mut open = File::open(point.join("d/a")).unwrap();
    fs::remove_file(point.join("d/a")).unwrap();
    assert_eq!(open.metadata().unwrap().nlink(), 0, "as of any removed file");
    let mut read = Vec::new();
    open.read_to_end(&mut read).unwrap();
    assert!(read == noise(3 << 20, 1));
    assert_eq!(names(&point), ["d"], "the root does not list it");
    let entry = kept_as(&point, "a");
    assert!(fs::read(&entry).unwrap() == noise(3 << 20, 1));
    let hour = entry.parent().unwrap();
    for refused in [
        File::create(hour.join("x")).map(drop),
        fs::create_dir(point.join(".trash/x")),
        fs::create_dir(point.join(".trash")),
        fs::rename(point.join("d"), hour.join("d")),
        fs::rename(point.join("d"), point.join(".trash")),
        fs::rename(point.join(".trash"), point.join("t")),
        fs::remove_dir(point.join(".trash")),
        fs::rename(hour, point.join("hour")),
        fs::hard_link(&entry, point.join("link")),
    ] {
        assert!(refused.is_err());
    }
    fs::rename(&entry, point.join("back")).unwrap();
    assert!(fs::read(point.join("back")).unwrap() == noise(3 << 20, 1));
    assert_eq!((fs::metadata(point.join("back")).unwrap().nlink(), kept(&point).len()), (1, 0));
    fs::write(point.join("new"), "new").unwrap();
    fs::rename(point.join("new"), point.join("back")).unwrap();
    let entry = kept_as(&point, "back");
    assert_eq!(fs::metadata(&entry).unwrap().len(), 3 << 20, "what was replaced is kept");
    fs::remove_file(&entry).unwrap();
    assert_eq!(kept(&point), [] as [PathBuf; 0], "there it is removed for good");
    drop(open);
    end(&sandbox, &url, &point);
    sandbox.ends(&["gc", &url, "--delete"], 0);
    assert_eq!(sandbox.objects("a.objects"), [] as [PathBuf; 0]);
}

#[test]
fn restore_puts_files_and_trees_back_where_they_were_and_replaces_nothing() {
    let mut sandbox = Sandbox::new();
    let (url, point) = keeping(&mut sandbox, &[]);
    let long = "l".repeat(255);
    fs::create_dir_all(point.join("d/e/f")).unwrap();
    for file in ["d/a", "d/e/b", "d/e/f/c"] {
        fs::write(point.join(file), file).unwrap();
    }
    fs::write(point.join("d/e").join(&long), "long").unwrap();
    let path = |name: &str| point.join(name).to_str().unwrap().to_owned();
    fs::remove_file(path("d/a")).unwrap();
    assert_eq!(sandbox.ok(&["restore", &path("d/a")]), format!("{}\n", path("d/a")));
    assert_eq!(fs::read(path("d/a")).unwrap(), b"d/a");
    // Of two that had the name, the one removed last.
    for content in ["older", "newer"] {
        fs::write(path("x"), content).unwrap();
        fs::remove_file(path("x")).unwrap();
    }
    sandbox.ok(&["restore", &path("x")]);
    assert_eq!(fs::read(path("x")).unwrap(), b"newer");
    let said = sandbox.ends(&["restore", &path("x")], 4).1;
    assert!(said.contains("is there already") && said.contains("--to"), "{said}");
    assert_eq!(fs::read(path("x")).unwrap(), b"newer");
    fs::create_dir(path("found")).unwrap();
    sandbox.ok(&["restore", &path("x"), "--to", &path("found")]);
    assert_eq!(fs::read(path("found/x")).unwrap(), b"older");
    // A tree that rm has removed piece by piece comes back from its directory's name.
    fs::remove_dir_all(path("d/e")).unwrap();
    let said = sandbox.ends(&["restore", &path("d/e/b")], 3).1;
    assert!(said.contains("gone too"), "{said}");
    let entry = kept_as(&point, "b");
    let said = sandbox.ends(&["restore", entry.to_str().unwrap()], 3).1;
    assert!(said.contains("is gone") && said.contains("--to"), "{said}");
    let said = sandbox.ok(&["restore", &path("d/e")]);
    assert_eq!(said.lines().count(), 5, "{said}");
    assert_eq!(fs::read(path("d/e/f/c")).unwrap(), b"d/e/f/c");
    assert_eq!(fs::read(point.join("d/e").join(&long)).unwrap(), b"long", "also with the longest name");
    assert_eq!(kept(&point), [] as [PathBuf; 0]);
    // All of an hour, and a tree removed as one.
    fs::remove_file(path("x")).unwrap();
    sandbox.ok(&["rmr", &path("d")]);
    assert_eq!(kept(&point).len(), 2);
    let hour = kept(&point)[0].parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    sandbox.ok(&["restore", "--hour", &hour, point.to_str().unwrap()]);
    assert_eq!(names(&point), ["d", "found", "x"]);
    assert_eq!(fs::read(path("d/e/f/c")).unwrap(), b"d/e/f/c");
    sandbox.refused(&["restore", &path("never")], 3, &["nothing of that name"]);
    sandbox.refused(&["restore", "--hour", "1999-12-31-23", point.to_str().unwrap()], 3, &["1999-12-31-23"]);
    sandbox.refused(&["restore", sandbox.path("a.db").to_str().unwrap()], 3, &["no volume"]);
    end(&sandbox, &url, &point);
}

#[test]
fn a_running_mount_obeys_config() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let point = sandbox.mount(&url, "mnt", &[]);
    let remove = |name: &str| {
        fs::write(point.join(name), name).unwrap();
        fs::remove_file(point.join(name)).unwrap();
    };
    remove("a");
    assert!(fs::metadata(point.join(".trash")).is_err());
    sandbox.refused(&["restore", point.join("a").to_str().unwrap()], 3, &["no trash"]);
    fs::write(point.join(".trash"), "mine").unwrap();
    sandbox.refused(&["config", &url, "--trash-days", "2"], 4, &[".trash"]);
    fs::rename(point.join(".trash"), point.join("trash")).unwrap();
    sandbox.ok(&["config", point.to_str().unwrap(), "--trash-days", "2"]);
    assert_eq!(sandbox.json(&["config", &url])["trash_days"], 2);
    remove("b");
    assert_eq!(kept(&point).len(), 1);
    assert!(fs::read(kept_as(&point, "b")).unwrap() == b"b");
    sandbox.ok(&["config", &url, "--trash-days", "0"]);
    remove("c");
    wait_until("the trash is empty", || kept(&point).is_empty());
    end(&sandbox, &url, &point);
}

#[test]
fn a_part_of_a_volume_shows_no_trash() {
    let mut sandbox = Sandbox::new();
    let (url, point) = keeping(&mut sandbox, &[]);
    fs::create_dir(point.join("part")).unwrap();
    sandbox.umount(&point);
    let part = sandbox.mount(&url, "part", &["--subdir", "/part"]);
    fs::write(part.join("a"), "a").unwrap();
    fs::remove_file(part.join("a")).unwrap();
    assert!(fs::metadata(part.join(".trash")).is_err());
    fs::write(part.join(".trash"), "an ordinary name here").unwrap();
    sandbox.umount(&part);
    let point = sandbox.mount(&url, "mnt", &[]);
    assert!(fs::read(kept_as(&point, "a")).unwrap() == b"a", "it is kept all the same");
    end(&sandbox, &url, &point);
}

/// Runs a shell as another user.
fn as_somebody(sandbox: &Sandbox, uid: u32, script: &str) -> Output {
    let mut shell = sandbox.command("sh");
    shell.args(["-euc", script]).uid(uid).gid(uid).output().unwrap()
}

#[test]
fn everybody_sees_and_takes_back_what_is_theirs() {
    let mut sandbox = Sandbox::new();
    let (url, point) = keeping(&mut sandbox, &["--allow-other"]);
    open_up(&sandbox, &point);
    let private = point.join("private");
    fs::create_dir(&private).unwrap();
    for (name, owner) in [("mine", SOMEBODY), ("others", SOMEBODY - 1), ("root", 0)] {
        fs::write(private.join(name), name).unwrap();
        std::os::unix::fs::chown(private.join(name), Some(owner), Some(owner)).unwrap();
        fs::set_permissions(private.join(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
    fs::set_permissions(&private, fs::Permissions::from_mode(0o700)).unwrap();
    fs::remove_dir_all(&private).unwrap();
    assert_eq!(kept(&point).len(), 4, "root sees all");
    // Whatever the kernel remembers of root's look is not shown to others.
    let others = kept_as(&point, "others");
    assert_eq!(fs::read(&others).unwrap(), b"others");
    let trash = point.join(".trash").display().to_string();
    let listed = as_somebody(&sandbox, SOMEBODY, &format!("cd {trash}/*; ls"));
    assert!(text(&listed.stdout).trim().ends_with("-mine"), "{listed:?}");
    assert_eq!(text(&listed.stdout).lines().count(), 1, "{listed:?}");
    let looked = as_somebody(&sandbox, SOMEBODY, &format!("cat {}", others.display()));
    assert!(!looked.status.success() && looked.stdout.is_empty(), "{looked:?}");
    let removed = as_somebody(&sandbox, SOMEBODY, &format!("rm -f {trash}/*/*-others; touch {trash}/x"));
    assert!(!removed.status.success(), "{removed:?}");
    assert_eq!(fs::read(&others).unwrap(), b"others");
    fs::create_dir(point.join("home")).unwrap();
    std::os::unix::fs::chown(point.join("home"), Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    let back = as_somebody(&sandbox, SOMEBODY, &format!("mv {trash}/*/*-mine {}/home", point.display()));
    assert!(back.status.success(), "{back:?}");
    assert_eq!((names(&point.join("home")).len(), kept(&point).len()), (1, 3));
    end(&sandbox, &url, &point);
}

/// Others may enter the sandbox.
fn open_up(sandbox: &Sandbox, point: &Path) {
    fs::set_permissions(sandbox.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(point, fs::Permissions::from_mode(0o777)).unwrap();
}

#[test]
fn others_remove_trees_as_far_as_they_could_piece_by_piece() {
    let mut sandbox = Sandbox::new();
    let (url, point) = keeping(&mut sandbox, &["--allow-other"]);
    open_up(&sandbox, &point);
    let rmr = |name: &str| {
        let script = format!("exec {} rmr --skip-trash {}", sandbox::SHOAL, point.join(name).display());
        as_somebody(&sandbox, SOMEBODY, &script)
    };
    let made = as_somebody(
        &sandbox,
        SOMEBODY,
        &format!("cd {}; mkdir -p own/a/b mixed/deep; touch own/a/b/c mixed/deep/file", point.display()),
    );
    assert!(made.status.success(), "{made:?}");
    fs::create_dir_all(point.join("mixed/deep/roots/with")).unwrap();
    fs::write(point.join("mixed/deep/roots/with/file"), "kept").unwrap();
    fs::create_dir(point.join("foreign")).unwrap();
    fs::write(point.join("foreign/file"), "kept").unwrap();
    for name in ["mixed", "foreign"] {
        let output = rmr(name);
        assert_eq!(output.status.code(), Some(5), "{output:?}");
        assert!(text(&output.stderr).contains("may not remove"), "{output:?}");
    }
    let output = rmr("own");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(names(&point), ["foreign", "mixed"]);
    assert_eq!(fs::read(point.join("mixed/deep/roots/with/file")).unwrap(), b"kept");
    end(&sandbox, &url, &point);
}

#[test]
fn rmr_tells_what_it_cannot_remove_and_why() {
    let mut sandbox = Sandbox::new();
    let (url, point) = keeping(&mut sandbox, &[]);
    let at = |name: &str| point.join(name).to_str().unwrap().to_owned();
    let elsewhere = sandbox.folder("elsewhere");
    let refused = |arguments: &[&str], code, words: &[&str]| {
        refusal(arguments, &sandbox.shoal(arguments), code, words);
    };
    refused(&["rmr", elsewhere.to_str().unwrap()], 3, &["not on a mount", "rm -r"]);
    refused(&["rmr", &at("missing")], 3, &["missing"]);
    refused(&["rmr", point.to_str().unwrap()], 4, &["mounted on"]);
    refused(&["rmr", &at("..")], 2, &["names no directory"]);
    fs::write(at("file"), "a").unwrap();
    refused(&["rmr", "--skip-trash", &at("file")], 2, &["directories"]);
    sandbox.ok(&["rmr", &at("file")]);
    kept_as(&point, "file");
    let hour = kept(&point)[0].parent().unwrap().to_str().unwrap().to_owned();
    refused(&["rmr", &hour], 5, &["may not"]);
    fs::create_dir_all(at("d/e")).unwrap();
    std::os::unix::fs::symlink("d", at("link")).unwrap();
    sandbox.ok(&["rmr", &at("link")]);
    assert!(fs::metadata(at("d/e")).is_ok(), "a link is removed, not what it leads to");
    sandbox.ok(&["rmr", &at("d")]);
    let in_trash = kept_as(&point, "d");
    assert_eq!(names(&in_trash), ["e"]);
    sandbox.ok(&["rmr", "--wait", in_trash.to_str().unwrap()]);
    assert_eq!(kept(&point).len(), 2, "there it's removed for good");
    end(&sandbox, &url, &point);
}

#[test]
fn hours_expire_and_gc_knows_them_too() {
    let mut sandbox = Sandbox::new();
    let (url, point) = keeping(&mut sandbox, &[]);
    for name in ["old", "young", "ancient"] {
        fs::write(point.join(name), noise(100_000, 1)).unwrap();
    }
    sandbox.umount(&point);
    let store = Store::open(&sandbox.path("a.db"));
    store.remove("old", 30);
    store.remove("young", 20);
    store.close();
    let point = sandbox.mount(&url, "mnt", &[]);
    wait_until("what is old is gone", || names(&point.join(".trash")).len() == 1);
    assert!(fs::read(kept_as(&point, "young")).unwrap() == noise(100_000, 1));
    sandbox.umount(&point);
    let store = Store::open(&sandbox.path("a.db"));
    store.remove("ancient", 24 * 400);
    store.close();
    sandbox.ends(&["gc", &url, "--delete"], 0);
    assert_eq!(sandbox.objects("a.objects").len(), 1, "that of the young one");
    sandbox.ends(&["fsck", &url, "--data"], 0);
}

/// A hundred thousand entries; a million with SHOAL_LONG.
#[test]
fn a_huge_tree_disappears_at_once_and_another_mount_finishes_what_a_killed_one_has_begun() {
    let files: u64 = if std::env::var_os("SHOAL_LONG").is_some() { 1_000_000 } else { 100_000 };
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let store = Store::open(&sandbox.path("a.db"));
    store.tree("huge", files);
    let all = store.inodes();
    assert!(all > files);
    let point = sandbox.mount(&url, "mnt", &[]);
    fs::write(point.join("kept"), noise(100_000, 1)).unwrap();
    let start = Instant::now();
    sandbox.ok(&["rmr", point.join("huge").to_str().unwrap()]);
    let took = start.elapsed();
    assert_eq!(names(&point), ["kept"]);
    wait_until("some of it is gone", || store.inodes() < all - files / 20);
    assert!(store.inodes() > files / 10, "removing all of it takes longer than one look");
    kill(sandbox.daemon_of(&point), "KILL");
    let left = store.inodes();
    sandbox.ends(&["fsck", &url], 0);
    let start = Instant::now();
    let point = sandbox.mount(&url, "mnt", &[]);
    wait_until("the rest is gone", || store.inodes() == 2);
    println!("{all} inodes: gone for the caller after {took:?}; the last {left} took {:?}", start.elapsed());
    assert!(fs::read(point.join("kept")).unwrap() == noise(100_000, 1));
    store.close();
    end(&sandbox, &url, &point);
}

/// The volume's metadata, changed past all mounts.
struct Store {
    kv: std::sync::Arc<SqliteKv>,
    metadata: Metadata,
    session: SessionId,
}

impl Store {
    fn open(database: &Path) -> Self {
        let kv = SqliteKv::open(database, false).unwrap();
        let metadata = Metadata::new(kv.clone());
        let record = SessionRecord {
            host: "test".into(),
            boot: "test".into(),
            pid: std::process::id(),
            started: now(),
            mount_point: String::new(),
            kind: SessionKind::Command,
            consistency: Consistency::default(),
        };
        let register = MetaOp::RegisterSession(RegisterSession { record, now: now() });
        let session = metadata.run(register, Durability::Visible).unwrap().into_registered().unwrap();
        Store { kv, metadata, session }
    }

    fn close(self) {
        let end = EndSession { session: self.session, if_silent_since: None, now: now() };
        while !self.metadata.run(MetaOp::EndSession(end.clone()), Durability::Visible).unwrap().into_ended().unwrap() {}
        self.kv.close().unwrap();
    }

    fn inodes(&self) -> u64 {
        self.metadata.usage().unwrap().inodes
    }

    /// As if it had been removed so long ago.
    fn remove(&self, name: &str, hours_ago: i64) {
        let then = Timestamp::new(now().seconds - hours_ago * 3600, 0);
        let name = Name::new(name.as_bytes()).unwrap();
        let unlink = Unlink { parent: Ino::ROOT, name, open: Vec::new(), session: self.session, now: then };
        self.metadata.run(MetaOp::Unlink(unlink), Durability::Visible).unwrap();
    }

    /// Directories of a thousand files each, in one another and side by side.
    fn tree(&self, name: &str, files: u64) {
        let lease = MetaOp::LeaseInodes(LeaseInodes { count: files + files / 1000 + 2, session: self.session });
        let mut inodes = self.metadata.run(lease, Durability::Visible).unwrap().into_leased().unwrap().map(Ino);
        let mut next = || inodes.next().unwrap();
        let top = next();
        self.make(vec![(Ino::ROOT, name.to_owned(), top, FileKind::Directory)]);
        let (mut parent, mut directories) = (top, Vec::new());
        for number in 0..files / 1000 {
            let directory = next();
            self.make(vec![(parent, format!("directory {number}"), directory, FileKind::Directory)]);
            directories.push(directory);
            // Ten deep, then from the top again.
            parent = if number % 10 == 9 { top } else { directory };
        }
        for directory in directories {
            let file = |number| (directory, format!("file {number}"), next(), FileKind::Regular);
            self.make((0..1000).map(file).collect());
        }
    }

    /// All at once, so that they are committed together.
    fn make(&self, entries: Vec<(Ino, String, Ino, FileKind)>) {
        let (sender, made) = mpsc::channel();
        let count = entries.len();
        for (parent, name, ino, kind) in entries {
            let create = Create {
                parent,
                name: Name::new(name.as_bytes()).unwrap(),
                ino,
                kind,
                mode: 0o755,
                umask: 0,
                uid: 0,
                gid: 0,
                rdev: 0,
                target: Vec::new(),
                session: self.session,
                now: now(),
            };
            let sender = sender.clone();
            let done = move |result: Result<_, _>| sender.send(result.map(drop)).unwrap();
            self.metadata.submit(MetaOp::Create(create), Durability::Visible, done);
        }
        made.iter().take(count).for_each(|result| result.unwrap());
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::new(since.as_secs().cast_signed(), since.subsec_nanos())
}

#[test]
fn a_file_that_is_being_written_when_it_is_removed_is_kept_with_all_its_bytes() {
    let mut sandbox = Sandbox::new();
    let (url, point) = keeping(&mut sandbox, &[]);
    let mut file = File::create(point.join("log")).unwrap();
    file.write_all(&noise(100_000, 1)).unwrap();
    fs::remove_file(point.join("log")).unwrap();
    file.write_all(&noise(100_000, 2)).unwrap();
    drop(file);
    let expected = [noise(100_000, 1), noise(100_000, 2)].concat();
    assert!(fs::read(kept_as(&point, "log")).unwrap() == expected);
    sandbox.umount(&point);
    let point = sandbox.mount(&url, "mnt", &[]);
    assert!(fs::read(kept_as(&point, "log")).unwrap() == expected);
    end(&sandbox, &url, &point);
}
