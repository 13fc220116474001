//! Quotas as people set them and as programs on a mount meet them.

#![allow(clippy::unwrap_used)]

mod sandbox;

use rustix::fs::statvfs;
use sandbox::{Sandbox, noise, text, wait_until};
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Output;

const MIB: u64 = 1 << 20;
const EDQUOT: i32 = 122;
const ENOSPC: i32 = 28;
const EXDEV: i32 = 18;
const SOMEBODY: u32 = 65_534;

/// What `quota get --json` tells of a directory.
fn usage(sandbox: &Sandbox, place: &str, path: &str) -> (u64, u64) {
    let told = sandbox.json(&["quota", "get", place, "--path", path]);
    (told["bytes_used"].as_u64().unwrap(), told["inodes_used"].as_u64().unwrap())
}

/// Writes pieces at the end of a file until it's refused, and syncs it; what was taken, and the errno.
fn fill(path: &Path, piece: usize) -> (u64, i32) {
    let file = File::create(path).unwrap();
    let (data, mut length) = (noise(piece, 1), 0);
    loop {
        match file.write_at(&data, length) {
            Ok(written) => length += written as u64,
            Err(error) => {
                file.sync_all().unwrap();
                return (length, error.raw_os_error().unwrap());
            }
        }
    }
}

#[test]
fn sixteen_writers_stop_at_the_limit_and_a_recount_finds_what_is_recorded() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let point = sandbox.mount(&url, "mnt", &[]);
    let shown = point.to_str().unwrap().to_owned();
    fs::create_dir(point.join("d")).unwrap();
    let (limit, flush) = (48 * MIB, 4 * MIB);
    sandbox.ok(&["quota", "set", &shown, "--path", "/d", "--capacity", "48M"]);
    let filled: Vec<(u64, i32)> = std::thread::scope(|scope| {
        let fill = |number: usize| fill(&point.join(format!("d/{number}")), 200 << 10);
        let writers: Vec<_> = (0..16).map(|number| scope.spawn(move || fill(number))).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    assert!(filled.iter().all(|(_, errno)| *errno == EDQUOT), "{filled:?}");
    let taken: u64 = filled.iter().map(|(length, _)| length).sum();
    let (bytes, inodes) = usage(&sandbox, &shown, "/d");
    assert_eq!(inodes, 17);
    // Shards that take room side by side may take too much; the last of it is refused at the commit, and an error tells.
    assert!(bytes <= taken && taken - bytes <= flush, "{taken} were acknowledged, {bytes} are charged");
    assert!(bytes <= limit + flush && bytes > limit - flush, "{bytes}");
    fs::write(point.join("outside"), noise(MIB as usize, 2)).unwrap();
    sandbox.umount(&point);
    sandbox.ends(&["quota", "check", &url], 0);
    sandbox.ends(&["fsck", &url], 0);
}

#[test]
fn a_directorys_quota_is_what_df_shows_in_it_and_what_a_mount_of_it_is() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let point = sandbox.mount(&url, "mnt", &[]);
    let shown = point.to_str().unwrap().to_owned();
    fs::create_dir_all(point.join("d/e")).unwrap();
    fs::write(point.join("d/e/f"), noise(MIB as usize, 1)).unwrap();
    sandbox.ok(&["quota", "set", &url, "--path", "d", "--capacity", "10M", "--inodes", "100"]);
    let total = |path: &Path| {
        let stat = statvfs(path).unwrap();
        (stat.f_blocks * stat.f_frsize, stat.f_bavail * stat.f_frsize, stat.f_files, stat.f_ffree)
    };
    assert_eq!(total(&point.join("d/e")), (10 * MIB, 9 * MIB, 100, 97));
    assert!(total(&point).0 > 1 << 40, "the volume itself has no limit");
    sandbox.umount(&point);
    sandbox.mount(&url, "mnt", &["--subdir", "d"]);
    assert_eq!(total(&point), (10 * MIB, 9 * MIB, 100, 97));
    sandbox.ok(&["quota", "set", &shown, "--path", "/d", "--capacity", "3M"]);
    assert_eq!(total(&point), (3 * MIB, 2 * MIB, 100, 97), "limits change under a running mount");
    assert_eq!(fill(&point.join("g"), 100_000).1, EDQUOT);
    sandbox.umount(&point);
    sandbox.ends(&["quota", "check", &url], 0);
}

#[test]
fn a_volume_has_the_capacity_it_was_made_with_until_that_is_changed() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.url("a.db");
    sandbox.ok(&["format", &url, "small", "--capacity", "8M", "--inodes", "5"]);
    let status = sandbox.json(&["status", &url]);
    assert_eq!(status["limits"], serde_json::json!({"bytes": 8 * MIB, "inodes": 5}));
    let said = sandbox.ok(&["status", &url]);
    assert!(said.contains("0 B of 8 MiB in 1 of 5 inodes"), "{said}");
    let point = sandbox.mount(&url, "mnt", &[]);
    let (taken, errno) = fill(&point.join("large"), 300_000);
    assert_eq!((taken, errno), (8 * MIB, ENOSPC));
    assert_eq!(statvfs(&point).unwrap().f_bavail, 0);
    for number in 0..3 {
        File::create(point.join(number.to_string())).unwrap();
    }
    assert_eq!(File::create(point.join("3")).unwrap_err().raw_os_error(), Some(ENOSPC));
    assert_eq!(fs::create_dir(point.join("3")).unwrap_err().raw_os_error(), Some(ENOSPC));
    sandbox.ok(&["quota", "set", &url, "--volume", "--capacity", "none", "--inodes", "6"]);
    File::create(point.join("3")).unwrap().write_all(&[1; 100]).unwrap();
    let more = File::options().append(true).open(point.join("large")).unwrap();
    wait_until("the volume has room again", || (&more).write(&noise(MIB as usize, 2)).is_ok());
    more.sync_all().unwrap();
    drop(more);
    sandbox.ok(&["quota", "delete", &url, "--volume"]);
    File::create(point.join("4")).unwrap();
    sandbox.umount(&point);
    sandbox.ends(&["quota", "check", &url], 0);
}

#[test]
fn users_and_groups_have_limits_and_the_superuser_has_none() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let point = sandbox.mount(&url, "mnt", &["--allow-other"]);
    fs::set_permissions(&point, Permissions::from_mode(0o777)).unwrap();
    let shown = point.to_str().unwrap().to_owned();
    let uid = SOMEBODY.to_string();
    fs::write(point.join("before"), noise(100_000, 1)).unwrap();
    chown(point.join("before"), Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    sandbox.ok(&["quota", "set", &shown, "--user", &uid, "--capacity", "2M", "--inodes", "3"]);
    let user = |sandbox: &Sandbox| {
        let told = sandbox.json(&["quota", "get", &url, "--user", &uid]);
        (told["bytes_used"].as_u64().unwrap(), told["inodes_used"].as_u64().unwrap())
    };
    assert_eq!(user(&sandbox), (100_000, 1), "what was there before");
    let dd = |sandbox: &Sandbox, name: &str, more: &[&str]| -> Output {
        let to = format!("of={}", point.join(name).display());
        let mut dd = sandbox.command("dd");
        dd.args(["if=/dev/zero", "bs=64K", "count=64", &to]).args(more).uid(SOMEBODY).gid(SOMEBODY);
        dd.output().unwrap()
    };
    // A mount learns of a new limit within a second; what is written before that may go beyond.
    wait_until("the mount knows the limit", || {
        let refused = text(&dd(&sandbox, "a", &["conv=fsync"]).stderr).contains("Disk quota exceeded");
        let exact = refused && user(&sandbox) == (2 * MIB, 2);
        if !exact && point.join("a").exists() {
            fs::remove_file(point.join("a")).unwrap();
        }
        exact
    });
    assert!(dd(&sandbox, "b", &["count=0"]).status.success());
    assert!(text(&dd(&sandbox, "c", &["count=0"]).stderr).contains("Disk quota exceeded"));
    let root = File::options().append(true).open(point.join("a")).unwrap();
    root.write_all_at(&noise(MIB as usize, 1), 4 * MIB).unwrap();
    root.sync_all().unwrap();
    drop(root);
    assert_eq!(user(&sandbox), (3 * MIB, 3), "the superuser may, and it's charged to the owner");
    chown(point.join("a"), Some(0), Some(0)).unwrap();
    assert_eq!(user(&sandbox), (100_000, 2));
    sandbox.umount(&point);
    sandbox.ends(&["quota", "check", &url], 0);
    sandbox.ends(&["fsck", &url], 0);
}

#[test]
fn between_quotas_files_move_trees_are_copied_and_nothing_is_linked() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let point = sandbox.mount(&url, "mnt", &[]);
    let shown = point.to_str().unwrap().to_owned();
    fs::create_dir_all(point.join("a/tree/below")).unwrap();
    fs::create_dir(point.join("b")).unwrap();
    fs::write(point.join("a/tree/below/file"), noise(10_000, 1)).unwrap();
    fs::write(point.join("a/file"), noise(20_000, 1)).unwrap();
    sandbox.ok(&["quota", "set", &shown, "--path", "/a", "--inodes", "100"]);
    sandbox.ok(&["quota", "set", &shown, "--path", "/b", "--capacity", "1M"]);
    assert_eq!((usage(&sandbox, &url, "a"), usage(&sandbox, &url, "b")), ((30_000, 5), (0, 1)));
    let link = fs::hard_link(point.join("a/file"), point.join("b/link"));
    assert_eq!(link.unwrap_err().raw_os_error(), Some(EXDEV));
    fs::rename(point.join("a/file"), point.join("b/file")).unwrap();
    let rename = fs::rename(point.join("a/tree"), point.join("b/tree"));
    assert_eq!(rename.unwrap_err().raw_os_error(), Some(EXDEV));
    let mv = sandbox.command("mv").args([point.join("a/tree"), point.join("b")]).output().unwrap();
    assert!(mv.status.success(), "{}", text(&mv.stderr));
    assert!(fs::read(point.join("b/tree/below/file")).unwrap() == noise(10_000, 1));
    wait_until("what was copied is gone from its old place", || usage(&sandbox, &url, "a") == (0, 1));
    assert_eq!(usage(&sandbox, &url, "b"), (30_000, 5));
    sandbox.umount(&point);
    sandbox.ends(&["quota", "check", &url], 0);
}

#[test]
fn the_commands_tell_what_there_is() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let point = sandbox.mount(&url, "mnt", &[]);
    fs::create_dir_all(point.join("d/e")).unwrap();
    sandbox.umount(&point);
    sandbox.ok(&["quota", "set", &url, "--path", "/d", "--capacity", "1G"]);
    sandbox.ok(&["quota", "set", &url, "--path", "/d/e", "--inodes", "10"]);
    sandbox.ok(&["quota", "set", &url, "--user", "root", "--capacity", "5G"]);
    let list = sandbox.json(&["quota", "list", &url]);
    let all = list.as_array().unwrap().iter();
    let all: Vec<_> = all.map(|line| (line["kind"].as_str().unwrap(), line["path"].as_str())).collect();
    let directories = [("directory", Some("/d")), ("directory", Some("/d/e"))];
    assert_eq!(all, [&[("volume", None)], &directories[..], &[("user", None), ("group", None)]].concat());
    assert_eq!((&list[1]["bytes_limit"], &list[1]["inodes_limit"]), (&(1u64 << 30).into(), &serde_json::Value::Null));
    assert_eq!((&list[3]["name"], &list[3]["inodes_used"]), (&"root".into(), &3.into()));
    assert_eq!((&list[0]["state"], &list[1]["state"]), (&"unlimited".into(), &"active".into()));
    let shown = sandbox.ok(&["quota", "list", &url]);
    assert!(shown.contains("/d/e") && shown.contains("1 GiB") && shown.contains("root"), "{shown}");
    // The other limit of an account stays when one is changed.
    sandbox.ok(&["quota", "set", &url, "--path", "/d", "--inodes", "7"]);
    let told = sandbox.json(&["quota", "get", &url, "--path", "/d"]);
    assert_eq!((&told["bytes_limit"], &told["inodes_limit"]), (&(1u64 << 30).into(), &7.into()));
    sandbox.ok(&["quota", "delete", &url, "--path", "/d"]);
    sandbox.refused(&["quota", "delete", &url, "--path", "/d"], 3, &["/d", "no quota"]);
    sandbox.refused(&["quota", "get", &url, "--path", "/x"], 3, &["/x"]);
    sandbox.refused(&["quota", "set", &url, "--path", "/d"], 2, &["--capacity"]);
    sandbox.refused(&["quota", "set", &url, "--user", "no such user", "--inodes", "1"], 3, &["no such user"]);
    sandbox.refused(&["quota", "set", &url, "--path", "/d/../d", "--inodes", "1"], 2, &["'..'"]);
    sandbox.ends(&["quota", "check", &url, "--repair"], 0);
    sandbox.ends(&["fsck", &url], 0);
}

#[test]
fn config_shows_and_changes_what_the_volume_may_take_as_a_whole() {
    let sandbox = Sandbox::new();
    let url = sandbox.format("v");
    sandbox.ok(&["config", &url, "--capacity", "1G", "--inodes", "100", "--trash-days", "3"]);
    let shown = sandbox.json(&["config", &url]);
    assert_eq!((shown["capacity"].as_u64(), shown["inodes"].as_u64()), (Some(1 << 30), Some(100)));
    assert_eq!((shown["trash_days"].as_u64(), shown["credentials"].as_str()), (Some(3), Some("environment")));
    let out = sandbox.ok(&["config", &url, "--capacity", "none"]);
    assert!(out.contains("none") && out.contains("100"), "{out}");
    assert!(sandbox.json(&["config", &url])["capacity"].is_null());
    sandbox.refused(&["config", &url, "--seal-credentials"], 2, &["--seal-credentials", "only an encrypted volume"]);
    sandbox.refused(&["config", &url, "--unseal-credentials"], 2, &["not encrypted"]);
    sandbox.refused(&["config", &url, "--passphrase-env", "HOME"], 2, &["only --seal-credentials"]);
}
