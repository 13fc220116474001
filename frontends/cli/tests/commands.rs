//! What the commands tell about real volumes, and what they do to them. Mounts are used to fill volumes.

#![allow(clippy::unwrap_used)]

mod sandbox;

use sandbox::{Sandbox, kill, noise};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

const MIB: usize = 1 << 20;

/// A volume that a mount has filled, unmounted again: a file of objects, an inline one, a folder and a link.
fn filled(sandbox: &mut Sandbox) -> String {
    let url = sandbox.url("a.db");
    sandbox.ok(&["format", &url, "test", "--delete-grace", "0"]);
    let point = sandbox.mount(&url, "mnt", &[]);
    fs::create_dir(point.join("folder")).unwrap();
    fs::write(point.join("folder/large"), noise(9 * MIB, 1)).unwrap();
    fs::write(point.join("folder/small"), noise(1000, 2)).unwrap();
    symlink("large", point.join("folder/link")).unwrap();
    sandbox.umount(&point);
    url
}

/// Where an object of this volume would lie.
fn place(objects: &[PathBuf], number: u64) -> PathBuf {
    let folder = objects[0].parent().unwrap().parent().unwrap();
    let uuid = folder.parent().unwrap().file_name().unwrap().to_str().unwrap();
    folder
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join(shoal_object_store::naming::object_key(uuid, shoal_types::ObjectId(number)))
}

#[test]
fn a_new_volume_has_the_settings_it_was_made_with_and_nothing_else() {
    let sandbox = Sandbox::new();
    let url = sandbox.url("a.db");
    let storage = format!("file://{}", sandbox.path("bytes").display());
    let wishes = ["--block-size", "1M", "--inline-max", "0", "--delete-grace", "2h"];
    sandbox.ok(&[&["format", &url, "new", "--storage", &storage][..], &wishes].concat());
    let status = sandbox.json(&["status", &url]);
    assert_eq!(status["meta_url"], *url);
    let volume = &status["volume"];
    assert_eq!((volume["name"].as_str(), volume["storage"].as_str()), (Some("new"), Some(&*storage)));
    let numbers =
        ["block_bytes", "inline_bytes_max", "delete_grace_seconds"].map(|field| volume[field].as_u64().unwrap());
    assert_eq!(numbers, [1 << 20, 0, 7200]);
    assert_eq!(status["usage"]["bytes"], 0);
    assert_eq!(status["queues"], serde_json::json!({"removals": 0, "deletions": 0}));
    assert_eq!(status["sessions"], serde_json::json!([]));
    let shown = sandbox.ok(&["status", &url]);
    for word in ["new", "1 MiB", "never", "2h", "nothing", &storage, "sessions      none"] {
        assert!(shown.contains(word), "{word} in\n{shown}");
    }
    // Neither names nor bytes are for other users.
    assert_eq!(fs::metadata(sandbox.path("a.db")).unwrap().mode() & 0o077, 0);
    assert_eq!(fs::metadata(sandbox.path("bytes")).unwrap().mode() & 0o077, 0);
    sandbox.ok(&["fsck", &url]);
    sandbox.ok(&["gc", &url]);
}

#[test]
fn a_format_that_was_interrupted_can_be_repeated() {
    let sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    // As if it had been killed between the claim and the volume.
    for file in ["a.db", "a.db-wal", "a.db-shm", "a.db-epoch"] {
        let _ = fs::remove_file(sandbox.path(file));
    }
    sandbox.format("a.db");
    sandbox.ok(&["fsck", &url]);
    // Or between the database and what is in it.
    fs::write(sandbox.path("b.db"), b"").unwrap();
    sandbox.refused(&["status", &sandbox.url("b.db")], 3, &["there is no volume here"]);
    sandbox.format("b.db");
}

#[test]
fn a_volume_whose_objects_are_not_there_is_refused_and_not_taken_for_empty() {
    let mut sandbox = Sandbox::new();
    let url = filled(&mut sandbox);
    fs::rename(sandbox.path("a.objects"), sandbox.path("elsewhere")).unwrap();
    fs::create_dir(sandbox.path("a.objects")).unwrap();
    let point = sandbox.mount_point("mnt");
    for arguments in [&["gc", &url, "--delete"][..], &["fsck", &url], &["mount", &url, point.to_str().unwrap()]] {
        sandbox.refused(arguments, 3, &["a.objects", "not here", "mount the disk"]);
    }
    sandbox.ok(&["status", &url]);
}

#[test]
fn status_tells_who_uses_the_volume_and_how_full_it_is() {
    let mut sandbox = Sandbox::new();
    let url = filled(&mut sandbox);
    let point = sandbox.mount(&url, "mnt", &[]);
    let status = sandbox.json(&["status", point.join("folder").to_str().unwrap()]);
    assert_eq!(status["meta_url"], *url);
    assert_eq!(status["usage"]["bytes"], 9 * MIB + 1000);
    let session = &status["sessions"][0];
    assert_eq!((session["kind"].as_str(), session["state"].as_str()), (Some("mount"), Some("alive")));
    assert_eq!(session["mount_point"], *point.to_str().unwrap());
    let shown = sandbox.ok(&["status", &url]);
    for word in ["alive", point.to_str().unwrap(), "9.0 MiB"] {
        assert!(shown.contains(word), "{word} in\n{shown}");
    }
    let daemon = sandbox.daemon(&url);
    assert_eq!(fs::read_to_string(format!("/proc/{daemon}/comm")).unwrap(), "shoal\n");
    kill(daemon, "KILL");
    let status = sandbox.json(&["status", &url]);
    assert_eq!(status["sessions"][0]["state"], "gone");
    sandbox.refused(&["status", point.to_str().unwrap()], 3, &["has died", "shoal umount"]);
}

#[test]
fn info_tells_where_the_bytes_of_a_file_are() {
    let mut sandbox = Sandbox::new();
    let url = filled(&mut sandbox);
    let point = sandbox.mount(&url, "mnt", &[]);
    let info = |name: &str| sandbox.json(&["info", point.join(name).to_str().unwrap()]);

    let large = info("folder/large");
    assert_eq!((large["path"].as_str(), large["kind"].as_str()), (Some("/folder/large"), Some("file")));
    assert_eq!(large["inode"].as_u64().unwrap(), fs::metadata(point.join("folder/large")).unwrap().ino());
    assert_eq!(large["length"], 9 * MIB);
    let chunks = large["chunks"].as_array().unwrap();
    let slices: Vec<_> = chunks.iter().flat_map(|chunk| chunk["slices"].as_array().unwrap()).collect();
    assert_eq!(slices.iter().map(|slice| slice["length"].as_u64().unwrap()).sum::<u64>(), 9 * MIB as u64);
    for slice in &slices {
        assert_eq!(slice["stored"], true);
        assert!(sandbox.path("a.objects").join(slice["key"].as_str().unwrap()).is_file(), "{slice}");
    }

    let small = info("folder/small");
    assert_eq!((&small["inline"], &small["chunks"]), (&1000.into(), &serde_json::json!([])));
    assert_eq!(info("folder/link")["target"], "large");
    assert_eq!(info("folder")["entries"], 3);
    let root = info("");
    assert_eq!(
        (root["inode"].as_u64(), root["path"].as_str(), root["kind"].as_str()),
        (Some(1), Some("/"), Some("directory"))
    );

    let shown = sandbox.ok(&["info", point.join("folder/large").to_str().unwrap()]);
    assert!(shown.contains("9 MiB") && shown.contains("OFFSET") && !shown.contains("MISSING"), "{shown}");
    fs::remove_file(sandbox.objects("a.objects").remove(0)).unwrap();
    let shown = sandbox.ok(&["info", point.join("folder/large").to_str().unwrap()]);
    assert!(shown.contains("MISSING"), "{shown}");
    sandbox.refused(&["info", point.join("none").to_str().unwrap()], 3, &["none"]);
}

#[test]
fn leaked_objects_are_told_and_removed_when_they_are_old_enough() {
    let mut sandbox = Sandbox::new();
    let url = filled(&mut sandbox);
    let (out, _) = sandbox.ends(&["gc", &url], 0);
    assert!(out.contains("leaked          0 objects"), "{out}");
    // A number that the mount had leased and did not use: what a crash between put and commit leaves.
    let objects = sandbox.objects("a.objects");
    let leaked = place(&objects, 1000);
    fs::create_dir_all(leaked.parent().unwrap()).unwrap();
    fs::copy(&objects[0], &leaked).unwrap();
    let (out, err) = sandbox.ends(&["gc", &url], 1);
    assert!(out.contains("leaked          1 object ") && err.contains("--delete"), "{out}{err}");
    let (_, err) = sandbox.ends(&["gc", &url, "--delete"], 1);
    assert!(err.contains("younger than 1h") && leaked.exists(), "{err}");
    sandbox.ends(&["gc", &url, "--delete", "--grace", "0"], 0);
    assert_eq!(sandbox.objects("a.objects"), objects);
    let (out, _) = sandbox.ends(&["gc", &url], 0);
    assert!(out.contains("leaked          0 objects"), "{out}");
}

#[test]
fn objects_that_the_metadata_never_made_are_told_and_left_alone() {
    let mut sandbox = Sandbox::new();
    let url = filled(&mut sandbox);
    let objects = sandbox.objects("a.objects");
    let unborn = place(&objects, u64::MAX / 2);
    fs::create_dir_all(unborn.parent().unwrap()).unwrap();
    fs::copy(&objects[0], &unborn).unwrap();
    let (out, err) = sandbox.ends(&["gc", &url, "--delete", "--grace", "0"], 1);
    assert!(out.contains("of no known number") && err.contains("older than the store"), "{out}{err}");
    assert!(unborn.exists());
}

#[test]
fn missing_and_cut_objects_are_told_with_the_files_that_lost_them() {
    let mut sandbox = Sandbox::new();
    let url = filled(&mut sandbox);
    sandbox.ends(&["fsck", &url, "--data"], 0);
    let objects = sandbox.objects("a.objects");
    fs::remove_file(&objects[0]).unwrap();
    let cut = fs::File::options().write(true).open(&objects[1]).unwrap();
    cut.set_len(100).unwrap();
    for command in ["fsck", "gc"] {
        let (out, _) = sandbox.ends(&[command, &url], 1);
        let lines: Vec<&str> = out.lines().filter(|line| line.starts_with("/folder/large: object ")).collect();
        assert_eq!(lines.len(), 2, "{out}");
        assert!(out.contains("is missing in the store") && out.contains("has 100 stored bytes"), "{out}");
    }
}

#[test]
fn a_flipped_bit_is_found_when_the_data_is_read() {
    let mut sandbox = Sandbox::new();
    let url = filled(&mut sandbox);
    let object = sandbox.objects("a.objects").remove(0);
    let mut bytes = fs::read(&object).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&object, bytes).unwrap();
    sandbox.ends(&["fsck", &url], 0);
    let (out, err) = sandbox.ends(&["fsck", &url, "--data"], 1);
    assert!(out.starts_with("/folder/large: object ") && out.contains("damaged"), "{out}");
    assert!(err.contains("1 finding"), "{err}");
}

#[test]
fn gc_removes_deleted_files_when_no_mount_does() {
    let mut sandbox = Sandbox::new();
    let url = filled(&mut sandbox);
    let point = sandbox.mount(&url, "mnt", &[]);
    fs::remove_file(point.join("folder/large")).unwrap();
    kill(sandbox.daemon(&url), "KILL");
    sandbox.umount(&point);
    sandbox.ends(&["gc", &url, "--delete", "--grace", "0"], 0);
    assert!(sandbox.objects("a.objects").is_empty());
    let status = sandbox.json(&["status", &url]);
    assert_eq!((&status["sessions"], &status["usage"]["bytes"]), (&serde_json::json!([]), &1000.into()));
    assert_eq!(status["queues"], serde_json::json!({"removals": 0, "deletions": 0}));
    sandbox.ends(&["fsck", &url, "--data"], 0);
}

#[test]
fn a_volume_is_destroyed_without_a_trace_and_never_while_it_is_mounted() {
    let mut sandbox = Sandbox::new();
    let url = filled(&mut sandbox);
    let point = sandbox.mount(&url, "mnt", &[]);
    sandbox.refused(&["destroy", &url, "--yes"], 4, &["in use", point.to_str().unwrap(), "shoal umount"]);
    // A daemon that was killed uses nothing any more.
    kill(sandbox.daemon(&url), "KILL");
    sandbox.umount(&point);
    sandbox.refused(&["destroy", &url], 9, &["test", "9.0 MiB", "--yes"]);
    sandbox.ok(&["destroy", &url, "--yes"]);
    for left in ["a.db", "a.db-wal", "a.db-shm", "a.db-epoch", "a.objects"] {
        assert!(!sandbox.path(left).exists(), "{left}");
    }
    assert!(fs::read_dir(sandbox.path("cache/shoal")).unwrap().next().is_none());
    sandbox.format("a.db");
}

#[test]
fn a_destruction_that_was_interrupted_goes_on() {
    let mut sandbox = Sandbox::new();
    let url = filled(&mut sandbox);
    // As if it had been killed before it removed the metadata.
    fs::remove_dir_all(sandbox.path("a.objects")).unwrap();
    sandbox.ok(&["destroy", &url, "--yes"]);
    assert!(!sandbox.path("a.db").exists());
}

#[test]
fn foreign_files_beside_the_objects_survive_the_volume() {
    let sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let letter = sandbox.path("a.objects/letter");
    fs::write(&letter, b"mine").unwrap();
    sandbox.ok(&["destroy", &url, "--yes"]);
    assert_eq!(fs::read(Path::new(&letter)).unwrap(), b"mine");
}
