//! What cannot be done is said in one line that names the thing and the cure, with an exit code for scripts.

#![allow(clippy::unwrap_used)]

mod sandbox;

use sandbox::{SHOAL, Sandbox, refusal};
use shoal_kv::{Durability, Kv, Verdict};
use shoal_kv_sqlite::SqliteKv;
use shoal_metadata::keys::Key;
use std::fs;
use std::process::Command;

#[test]
fn urls_that_are_wrong_or_of_another_engine() {
    let sandbox = Sandbox::new();
    sandbox.refused(&["status", "sqlite://volume.db"], 2, &["sqlite://volume.db", "sqlite:///"]);
    sandbox.refused(&["format", "volume.db", "x"], 2, &["volume.db", "sqlite:///FILE"]);
    let said = sandbox.refused(&["status", "etcd://user:secret@host/1"], 2, &["etcd", "not supported by this build"]);
    assert!(!said.contains("secret"));
    let said = sandbox.refused(&["status", "redis://user:secret@127.0.0.1:1/1"], 6, &["redis://user@127.0.0.1:1/1"]);
    assert!(!said.contains("secret"));
    // The program has come as far as this without the library.
    let missing = "fdb:///etc/foundationdb/fdb.cluster?library=/nonexistent/libfdb_c.so";
    sandbox.refused(&["status", missing], 6, &["/nonexistent/libfdb_c.so", "FDB_CLIENT_LIB_PATH"]);
    sandbox.refused(&["status", "fdb://host/1"], 2, &["fdb:///CLUSTER-FILE"]);
    let url = sandbox.url("x.db");
    sandbox.refused(&["format", &url, "x", "--storage", "nosuch://bucket/x"], 2, &["'nosuch'", "s3://"]);
    sandbox.refused(&["format", &url, "x", "--storage", "objects"], 2, &["objects"]);
    assert!(!sandbox.path("x.db").exists());
}

#[test]
fn a_volume_that_is_not_there() {
    let sandbox = Sandbox::new();
    let url = sandbox.url("none.db");
    let point = sandbox.folder("mnt");
    for arguments in [
        &["status", &url][..],
        &["gc", &url],
        &["fsck", &url],
        &["destroy", &url, "--yes"],
        &["mount", &url, point.to_str().unwrap()],
    ] {
        sandbox.refused(arguments, 3, &[&url, "there is no volume here", "shoal format"]);
    }
    sandbox.refused(&["format", &sandbox.url("no/such/x.db"), "x"], 3, &["there is no folder", "mkdir -p"]);
    assert!(!sandbox.path("none.db").exists());
}

#[test]
fn settings_beyond_their_bounds() {
    let sandbox = Sandbox::new();
    let url = sandbox.url("x.db");
    sandbox.refused(&["format", &url, "x", "--block-size", "1K"], 2, &["--block-size", "64 KiB"]);
    sandbox.refused(&["format", &url, "x", "--inline-max", "1M"], 2, &["--inline-max", "64 KiB"]);
    sandbox.refused(&["format", &url, "a/b"], 2, &["a/b", "no name"]);
    assert!(!sandbox.path("x.db").exists());
}

#[test]
fn a_database_or_a_storage_folder_that_another_volume_uses() {
    let sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    sandbox.refused(&["format", &url, "again"], 4, &[&url, "test", "shoal destroy"]);
    let storage = format!("file://{}", sandbox.path("a.objects").display());
    let second = sandbox.url("b.db");
    sandbox.refused(&["format", &second, "b", "--storage", &storage], 4, &["a.objects"]);
    sandbox.refused(&["status", &second], 3, &["there is no volume here"]);
}

#[test]
fn a_file_that_is_no_database_stays_as_it_is() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("letter"), [b'x'; 4096]).unwrap();
    sandbox.refused(&["format", &sandbox.url("letter"), "x"], 8, &["letter"]);
    sandbox.refused(&["status", &sandbox.url("letter")], 8, &["letter"]);
    assert_eq!(fs::read(sandbox.path("letter")).unwrap(), [b'x'; 4096]);
}

#[test]
fn a_volume_of_a_newer_format() {
    let sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let point = sandbox.folder("mnt");
    let kv = SqliteKv::open(&sandbox.path("a.db"), false).unwrap();
    let newer = move |transaction: &mut dyn shoal_kv::Transaction, _| {
        transaction.put(&Key::Settings.encode(), &[200, 1, 2, 3]);
        Ok(((), Verdict::Commit))
    };
    (kv.clone() as std::sync::Arc<dyn Kv>).transact(Durability::Visible, newer).unwrap();
    kv.close().unwrap();
    for arguments in [&["status", &url][..], &["mount", &url, point.to_str().unwrap()], &["format", &url, "x"]] {
        sandbox.refused(arguments, 8, &[&url, "newer"]);
    }
}

#[test]
fn mount_points_that_cannot_be() {
    let sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let missing = sandbox.path("missing");
    sandbox.refused(&["mount", &url, missing.to_str().unwrap()], 3, &["missing", "does not exist", "mkdir -p"]);
    fs::write(sandbox.path("file"), b"").unwrap();
    sandbox.refused(&["mount", &url, sandbox.path("file").to_str().unwrap()], 3, &["file", "not a directory"]);
    let plain = sandbox.folder("plain");
    sandbox.refused(&["umount", plain.to_str().unwrap()], 3, &["plain", "nothing is mounted here"]);
    sandbox.refused(&["status", plain.to_str().unwrap()], 3, &["plain", "no volume is mounted"]);
    sandbox.refused(&["info", plain.to_str().unwrap()], 3, &["plain", "not in a mounted volume"]);
}

#[test]
fn a_mount_point_that_is_taken() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let point = sandbox.mount(&url, "mnt", &[]);
    sandbox.refused(&["mount", &url, point.to_str().unwrap()], 4, &["already the mount point of test", "shoal umount"]);
    sandbox.umount(&point);
}

#[test]
fn a_subdirectory_that_is_not_there() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let point = sandbox.mount_point("mnt");
    sandbox.refused(&["mount", &url, point.to_str().unwrap(), "--subdir", "a/b"], 3, &["a/b"]);
}

#[test]
fn options_that_nobody_knows() {
    let sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let point = sandbox.folder("mnt");
    let arguments = ["mount", &url, point.to_str().unwrap(), "-o", "rw,frobnicate"];
    sandbox.refused(&arguments, 2, &["frobnicate", "known are"]);
    // mount(8) has codes of its own.
    let arguments = ["mount-helper", &url, point.to_str().unwrap(), "-o", "rw,frobnicate"];
    sandbox.refused(&arguments, 1, &["frobnicate"]);
    let missing = sandbox.path("missing");
    sandbox.refused(&["mount-helper", &url, missing.to_str().unwrap()], 32, &["missing"]);
}

#[test]
fn folders_without_permission() {
    let sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    fs::create_dir(sandbox.path("locked")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode;
    fs::set_permissions(sandbox.path("locked"), mode(0o500)).unwrap();
    fs::set_permissions(sandbox.path("a.db"), mode(0o000)).unwrap();
    let inside = sandbox.url("locked/x.db");
    for arguments in [&["format", &inside, "x"][..], &["status", &url]] {
        // Root may write anywhere; without this capability it is like everyone else.
        let mut command = sandbox.command("setpriv");
        if is_root() {
            command.arg("--bounding-set=-dac_override,-dac_read_search");
        }
        let output = command.arg(SHOAL).args(arguments).output().unwrap();
        refusal(arguments, &output, 5, &[arguments[1]]);
    }
}

#[test]
fn a_disk_that_is_full() {
    let sandbox = Sandbox::new();
    let disk = sandbox.folder("disk");
    let url = sandbox.url("disk/a.db");
    let script = "mount -t tmpfs -o size=32k none \"$1\" && exec \"$2\" format \"$3\" full";
    let mut command = sandbox.command("unshare");
    command.args(if is_root() { &["-m"][..] } else { &["-r", "-m"] });
    let output = command.args(["sh", "-c", script, "sh"]).arg(disk).args([SHOAL, &url]).output().unwrap();
    refusal(&["format", &url, "full"], &output, 7, &[&url, "make room"]);
}

#[test]
fn a_volume_is_destroyed_only_when_told_so() {
    let sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    sandbox.refused(&["destroy", &url], 9, &["test", "--yes"]);
    sandbox.ok(&["status", &url]);
}

#[test]
fn a_level_that_is_none() {
    let sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    sandbox.refused(&["--log-level", "lo=ud=er", "status", &url], 2, &["--log-level"]);
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout == b"0\n"
}
