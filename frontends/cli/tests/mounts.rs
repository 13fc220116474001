//! Mounts as a person uses them: up, down, killed, read-only, by another user, on a full disk.

#![allow(clippy::unwrap_used)]

mod sandbox;

use sandbox::{SHOAL, Sandbox, await_end, in_namespace, kill, noise, text};
use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const MIB: usize = 1 << 20;
/// `nobody`: fusermount3 wants a user who has a name.
const SOMEBODY: u32 = 65_534;

#[test]
fn up_makes_a_volume_once_and_brings_it_back() {
    let mut sandbox = Sandbox::new();
    let point = sandbox.path("home/files");
    sandbox.folder("home");
    let up = |sandbox: &Sandbox| {
        let output = sandbox.shoal(&["up", point.to_str().unwrap()]);
        assert!(output.status.success(), "{}{}", text(&output.stderr), sandbox.logs());
        text(&output.stderr)
    };
    let said = up(&sandbox);
    sandbox.mount_point("home/files");
    for word in
        ["made the volume 'default'", "made the directory", "metadata", "objects", "cache", "log", "shoal umount"]
    {
        assert!(said.contains(word), "{word} in\n{said}");
    }
    fs::write(point.join("a"), noise(5 * MIB, 1)).unwrap();
    sandbox.umount(&point);
    assert!(fs::read_dir(&point).unwrap().next().is_none());
    let said = up(&sandbox);
    assert!(!said.contains("made the"), "{said}");
    assert_eq!(fs::read(point.join("a")).unwrap(), noise(5 * MIB, 1));
    sandbox.umount(&point);
}

#[test]
fn a_tree_is_the_same_after_a_remount() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let point = sandbox.mount(&url, "mnt", &[]);
    let sizes = [0, 1, 4096, 4097, 128 << 10, 4 * MIB, 4 * MIB + 1, 9 * MIB];
    fs::create_dir_all(point.join("a/b")).unwrap();
    for (number, size) in sizes.into_iter().enumerate() {
        fs::write(point.join(format!("a/b/{size}")), noise(size, number as u64)).unwrap();
    }
    fs::hard_link(point.join("a/b/1"), point.join("hard")).unwrap();
    symlink("a/b/4096", point.join("soft")).unwrap();
    fs::set_permissions(point.join("hard"), Permissions::from_mode(0o4711)).unwrap();
    let stat = |name: &str| {
        let metadata = fs::symlink_metadata(point.join(name)).unwrap();
        (metadata.ino(), metadata.mode(), metadata.nlink(), metadata.size(), metadata.mtime(), metadata.mtime_nsec())
    };
    let before = ["a", "a/b", "a/b/1", "a/b/9437184", "soft"].map(stat);
    sandbox.umount(&point);
    sandbox.mount(&url, "mnt", &[]);
    assert_eq!(["a", "a/b", "a/b/1", "a/b/9437184", "soft"].map(stat), before);
    for (number, size) in sizes.into_iter().enumerate() {
        assert!(fs::read(point.join(format!("a/b/{size}"))).unwrap() == noise(size, number as u64), "{size}");
    }
    assert_eq!(fs::metadata(point.join("hard")).unwrap().nlink(), 2);
    assert_eq!(fs::read(point.join("soft")).unwrap(), noise(4096, 2));
    sandbox.umount(&point);
    assert_eq!(sandbox.json(&["status", &url])["sessions"], serde_json::json!([]));
    sandbox.ends(&["fsck", &url, "--data"], 0);
    sandbox.ends(&["gc", &url], 0);
}

#[test]
fn status_of_a_mount_tells_what_it_has_asked_its_store() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let point = sandbox.mount(&url, "mnt", &["--no-cache"]);
    let place = point.to_str().unwrap();
    for name in ["a", "b"] {
        let mut file = File::create(point.join(name)).unwrap();
        file.write_all(&noise(MIB, 1)).unwrap();
        file.sync_all().unwrap();
    }
    let put = &sandbox.json(&["status", place])["requests"]["put"];
    assert_eq!((&put["requests"], &put["failed"]), (&2.into(), &0.into()), "{put}");
    assert!(put["bytes"].as_u64().unwrap() >= 2 * MIB as u64, "{put}");
    assert!(put["half_within_us"].as_u64() <= put["most_within_us"].as_u64(), "{put}");
    let shown = sandbox.ok(&["status", place]);
    for word in ["REQUESTS", "put", "get", "delete", "99 % WITHIN"] {
        assert!(shown.contains(word), "{word} in\n{shown}");
    }
    assert!(sandbox.json(&["status", &url])["requests"].is_null(), "nobody was named who could be asked");
    sandbox.umount(&point);
}

/// With the daemon dead, only the kernel itself can read the cache file: that is how the test knows that it does.
#[test]
fn the_kernel_reads_cached_files_of_a_read_only_mount_by_itself() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let content = noise(5 * MIB + 777, 1);
    let point = sandbox.mount(&url, "mnt", &[]);
    fs::write(point.join("a"), &content).unwrap();
    sandbox.umount(&point);
    let cache = sandbox.path("cached");
    let point = sandbox.mount(&url, "mnt", &["--read-only", "--cache-dir", cache.to_str().unwrap()]);
    let mut opened = open_lent(&point.join("a"), &cache, &content);
    let mut second = File::open(point.join("a")).unwrap();
    let daemon = sandbox.daemon(&url);
    kill(daemon, "KILL");
    await_end(daemon);
    for file in [&mut opened, &mut second] {
        let mut seen = Vec::new();
        file.read_to_end(&mut seen).unwrap();
        assert!(seen == content, "{} bytes", seen.len());
    }
    drop((opened, second));
    sandbox.mount(&url, "mnt", &["--read-only", "--cache-dir", cache.to_str().unwrap()]);
    assert!(fs::read(point.join("a")).unwrap() == content, "the cache survives");
    sandbox.umount(&point);
}

/// What one mount closes, another sees when it opens the file, although somebody there still has the old content open.
#[test]
fn a_changed_file_is_read_anew_beside_those_who_read_its_old_content_from_the_cache() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let writer = sandbox.mount(&url, "writer", &[]);
    let (old, new) = (noise(2 * MIB + 5, 1), noise(3 * MIB, 2));
    fs::write(writer.join("a"), &old).unwrap();
    let cache = sandbox.path("cached");
    let reader = sandbox.mount(&url, "reader", &["--read-only", "--cache-dir", cache.to_str().unwrap()]);
    let mut held = open_lent(&reader.join("a"), &cache, &old);
    fs::write(writer.join("a"), &new).unwrap();
    assert!(fs::read(reader.join("a")).unwrap() == new);
    let mut seen = Vec::new();
    held.read_to_end(&mut seen).unwrap();
    assert!(seen == old, "an open descriptor goes on with what it was given");
    drop(held);
    assert!(fs::read(reader.join("a")).unwrap() == new);
    sandbox.umount(&reader);
    sandbox.umount(&writer);
}

/// Reads the file until it's cached as a whole and opened with the cache's data file behind it.
fn open_lent(path: &Path, cache: &Path, content: &[u8]) -> File {
    // A lent file ends where its content does; before, it's whole units.
    let is_lent = || files_below(cache).iter().any(|file| fs::metadata(file).unwrap().len() == content.len() as u64);
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let mut read = File::open(path).unwrap();
        // What the kernel holds of the file would not be read from us, and so not be cached.
        rustix::fs::fadvise(&read, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        let mut seen = Vec::new();
        read.read_to_end(&mut seen).unwrap();
        assert!(seen == content);
        drop(read);
        let opened = File::open(path).unwrap();
        if is_lent() {
            return opened;
        }
        assert!(Instant::now() < deadline, "the file is never lent");
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[test]
fn sigterm_stores_every_acknowledged_write_of_files_that_are_still_open() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let point = sandbox.mount(&url, "mnt", &[]);
    let daemon = sandbox.daemon(&url);
    let mut file = File::create(point.join("log")).unwrap();
    let (sender, started) = std::sync::mpsc::channel();
    let writer = std::thread::spawn(move || {
        let piece = noise(100_000, 7);
        let mut written = 0;
        while file.write_all(&piece).is_ok() {
            written += piece.len();
            // Only the first is waited for.
            let _ = sender.send(());
        }
        written
    });
    started.recv().unwrap();
    kill(daemon, "TERM");
    let written = writer.join().unwrap();
    sandbox.mount(&url, "mnt", &[]);
    let found = fs::read(point.join("log")).unwrap();
    // The last write may have been stored and its answer lost.
    assert!(found.len() >= written && written > 0, "{} of {written}\n{}", found.len(), sandbox.logs());
    assert!(found.chunks(100_000).all(|piece| *piece == noise(100_000, 7)[..piece.len()]));
    sandbox.umount(&point);
    sandbox.ends(&["fsck", &url, "--data"], 0);
}

#[test]
fn a_daemon_that_is_told_to_end_leaves_nothing_behind() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let point = sandbox.mount(&url, "mnt", &[]);
    fs::write(point.join("a"), noise(MIB, 1)).unwrap();
    kill(sandbox.daemon(&url), "TERM");
    assert!(fs::read_dir(&point).unwrap().next().is_none(), "{}", sandbox.logs());
    sandbox.refused(&["umount", point.to_str().unwrap()], 3, &["nothing is mounted"]);
    assert!(fs::read_dir(sandbox.path("runtime/shoal")).unwrap().next().is_none());
    assert_eq!(sandbox.json(&["status", &url])["sessions"], serde_json::json!([]));
    assert!(!sandbox.path("a.db-wal").exists());
}

#[test]
fn after_a_kill_what_was_closed_is_there_and_mounting_again_cleans_up() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let point = sandbox.mount(&url, "mnt", &[]);
    fs::write(point.join("a"), noise(5 * MIB, 1)).unwrap();
    kill(sandbox.daemon(&url), "KILL");
    assert!(fs::metadata(point.join("a")).is_err());
    sandbox.mount(&url, "mnt", &[]);
    assert!(fs::read(point.join("a")).unwrap() == noise(5 * MIB, 1));
    fs::write(point.join("b"), noise(10, 2)).unwrap();
    kill(sandbox.daemon_of(&point), "KILL");
    let output = sandbox.shoal(&["umount", point.to_str().unwrap()]);
    assert!(output.status.success() && text(&output.stderr).contains("its daemon had died"), "{output:?}");
    assert!(fs::read_dir(&point).unwrap().next().is_none());
    sandbox.ends(&["gc", &url, "--delete", "--grace", "0"], 0);
    assert_eq!(sandbox.json(&["status", &url])["sessions"], serde_json::json!([]));
    sandbox.ends(&["fsck", &url, "--data"], 0);
}

#[test]
fn in_the_foreground_it_serves_until_it_is_interrupted() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let point = sandbox.mount_point("mnt");
    let mut command = sandbox.command(SHOAL);
    command.args(["mount", "--foreground", &url, point.to_str().unwrap()]).stderr(Stdio::piped());
    let mut shoal = command.spawn().unwrap();
    // It says so once it serves; what is in the way is the log.
    let mut said = String::new();
    let mut byte = [0];
    let mut stderr = shoal.stderr.take().unwrap();
    while !said.contains("is mounted on") {
        assert_eq!(stderr.read(&mut byte).unwrap(), 1, "{said}");
        said.push(byte[0].into());
    }
    let rest = std::thread::spawn(move || stderr.read_to_end(&mut Vec::new()));
    fs::write(point.join("a"), b"kept").unwrap();
    assert!(Command::new("kill").args(["-s", "INT", &shoal.id().to_string()]).status().unwrap().success());
    assert!(shoal.wait().unwrap().success());
    rest.join().unwrap().unwrap();
    sandbox.mount(&url, "mnt", &[]);
    assert_eq!(fs::read(point.join("a")).unwrap(), b"kept");
    sandbox.umount(&point);
}

#[test]
fn a_mount_in_use_is_unmounted_only_lazily() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let point = sandbox.mount(&url, "mnt", &[]);
    let daemon = sandbox.daemon(&url);
    let mut file = File::create(point.join("a")).unwrap();
    sandbox.refused(&["umount", point.to_str().unwrap()], 4, &["in use", "--lazy"]);
    sandbox.ok(&["umount", "--lazy", point.to_str().unwrap()]);
    assert!(fs::read_dir(&point).unwrap().next().is_none());
    file.write_all(b"still served").unwrap();
    drop(file);
    await_end(daemon);
    sandbox.mount(&url, "mnt", &[]);
    assert_eq!(fs::read(point.join("a")).unwrap(), b"still served");
    sandbox.umount(&point);
}

#[test]
fn the_helper_of_mount_takes_what_fstab_passes() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let point = sandbox.mount(&url, "mnt", &[]);
    fs::write(point.join("program"), b"#!/bin/sh\necho ran\n").unwrap();
    fs::set_permissions(point.join("program"), Permissions::from_mode(0o755)).unwrap();
    sandbox.umount(&point);
    let helper = sandbox.path("mount.fuse.shoal");
    symlink(SHOAL, &helper).unwrap();
    let run = |options: &str| {
        let mut command = sandbox.command(helper.to_str().unwrap());
        let output = command.args([&url, point.to_str().unwrap(), "-t", "fuse.shoal", "-o", options]).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}{}", sandbox.logs());
    };
    run("rw,nosuid,nodev,noexec,relatime,_netdev,x-systemd.automount");
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    let line = mounts.lines().find(|line| line.contains(point.to_str().unwrap())).unwrap();
    for word in ["shoal:test", "fuse.shoal", "nosuid", "nodev", "noexec", "rw"] {
        assert!(line.contains(word), "{word} in {line}");
    }
    assert!(Command::new(point.join("program")).output().is_err());
    fs::write(point.join("a"), b"a").unwrap();
    sandbox.umount(&point);
    run("ro");
    assert_eq!(Command::new(point.join("program")).output().unwrap().stdout, b"ran\n");
    assert!(fs::write(point.join("b"), b"b").is_err());
    sandbox.umount(&point);
}

#[test]
fn a_read_only_mount_shows_everything_and_changes_nothing() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let point = sandbox.mount(&url, "mnt", &[]);
    fs::write(point.join("a"), noise(5 * MIB, 1)).unwrap();
    sandbox.umount(&point);
    sandbox.mount(&url, "mnt", &["--read-only"]);
    assert!(fs::read(point.join("a")).unwrap() == noise(5 * MIB, 1));
    let refused =
        |result: std::io::Result<()>| assert_eq!(result.unwrap_err().kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    refused(fs::write(point.join("a"), b"x"));
    refused(fs::create_dir(point.join("b")));
    refused(fs::remove_file(point.join("a")));
    refused(fs::rename(point.join("a"), point.join("b")));
    refused(fs::set_permissions(point.join("a"), Permissions::from_mode(0o600)));
    sandbox.umount(&point);
}

#[test]
fn a_subdirectory_is_shown_as_the_root() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let point = sandbox.mount(&url, "mnt", &[]);
    fs::create_dir_all(point.join("a/b/c")).unwrap();
    fs::write(point.join("a/b/x"), noise(5 * MIB, 1)).unwrap();
    let number = fs::metadata(point.join("a/b")).unwrap().ino();
    sandbox.umount(&point);
    sandbox.mount(&url, "mnt", &["--subdir", "a/b"]);
    let mut names: Vec<_> = fs::read_dir(&point).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["c", "x"]);
    assert_eq!(fs::canonicalize(point.join("c/../..")).unwrap(), *point.parent().unwrap());
    fs::write(point.join("c/new"), b"new").unwrap();
    let info = sandbox.json(&["info", point.to_str().unwrap()]);
    assert_eq!((info["path"].as_str(), info["inode"].as_u64()), (Some("/a/b"), Some(number)));
    let info = sandbox.json(&["info", point.join("c/new").to_str().unwrap()]);
    assert_eq!(info["path"], "/a/b/c/new");
    sandbox.umount(&point);
    sandbox.mount(&url, "mnt", &[]);
    assert_eq!(fs::read(point.join("a/b/c/new")).unwrap(), b"new");
    sandbox.umount(&point);
}

#[test]
fn a_second_mount_that_is_strict_sees_each_change_at_once() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let strict = ["--consistency", "strict"];
    let first = sandbox.mount(&url, "first", &strict);
    fs::write(first.join("before"), b"1").unwrap();
    let second = sandbox.mount(&url, "second", &strict);
    let names = |point: &Path| {
        let mut names: Vec<_> = fs::read_dir(point).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(fs::read(second.join("before")).unwrap(), b"1");
    for round in 0..20_u64 {
        let (from, to) = if round % 2 == 0 { (&first, &second) } else { (&second, &first) };
        let name = format!("file{round}");
        assert!(fs::metadata(to.join(&name)).is_err());
        fs::write(from.join(&name), noise(300_000, round)).unwrap();
        assert!(fs::read(to.join(&name)).unwrap() == noise(300_000, round), "{round}");
        fs::write(from.join("before"), format!("{round}")).unwrap();
        assert_eq!(fs::read_to_string(to.join("before")).unwrap(), format!("{round}"));
        fs::rename(from.join(&name), from.join("moved")).unwrap();
        assert!(fs::metadata(to.join(&name)).is_err());
        assert_eq!(names(from), names(to));
        fs::remove_file(to.join("moved")).unwrap();
        assert!(fs::metadata(from.join("moved")).is_err());
    }
    assert_eq!(sandbox.json(&["status", &url])["sessions"].as_array().unwrap().len(), 2);
    sandbox.umount(&first);
    fs::write(second.join("alone"), b"still there").unwrap();
    sandbox.umount(&second);
    sandbox.ends(&["fsck", &url, "--data"], 0);
}

#[test]
fn a_store_that_fails_now_and_then_costs_time_and_no_bytes() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let faults = ["--storage-fault-rate", "0.2", "--storage-fault-seed", "7", "--no-cache"];
    let point = sandbox.mount(&url, "mnt", &faults);
    for number in 0..10 {
        fs::write(point.join(format!("{number}")), noise(5 * MIB, number)).unwrap();
        assert!(fs::read(point.join(format!("{number}"))).unwrap() == noise(5 * MIB, number));
    }
    sandbox.umount(&point);
    sandbox.mount(&url, "mnt", &faults);
    for number in 0..10 {
        assert!(fs::read(point.join(format!("{number}"))).unwrap() == noise(5 * MIB, number), "{number}");
    }
    sandbox.umount(&point);
    sandbox.ends(&["fsck", &url, "--data"], 0);
}

#[test]
fn a_mount_whose_last_bytes_cannot_be_stored_says_so_at_its_end() {
    let mut sandbox = Sandbox::new();
    let (disk, url) = (sandbox.folder("disk"), sandbox.url("a.db"));
    let point = sandbox.mount_point("mnt");
    let script = r#"
        set -eu
        mount -t tmpfs -o size=8m none "$disk"
        "$shoal" format "$url" full --storage "file://$disk/objects"
        "$shoal" mount "$url" "$point" --no-cache
        echo small > "$point/small"
        ! dd if=/dev/urandom of="$point/large" bs=1M count=16 status=none 2> said
        code=0; "$shoal" umount "$point" 2> said || code=$?
        cat said
        test "$code" = 10
        grep -q "$point: .*is lost.*; look at .*\.log" said
        "$shoal" mount "$url" "$point" --no-cache
        test "$(cat "$point/small")" = small
        rm "$point/large"
        "$shoal" umount "$point"
        "$shoal" fsck "$url" --data
    "#;
    in_namespace(
        &sandbox,
        script,
        &[("url", &url), ("disk", disk.to_str().unwrap()), ("point", point.to_str().unwrap())],
    );
}

#[test]
fn a_full_storage_disk_refuses_more_and_loses_nothing() {
    let mut sandbox = Sandbox::new();
    let (disk, url) = (sandbox.folder("disk"), sandbox.url("a.db"));
    let point = sandbox.mount_point("mnt");
    let script = r#"
        set -eu
        mount -t tmpfs -o size=24m none "$disk"
        "$shoal" format "$url" full --storage "file://$disk/objects" --delete-grace 0
        "$shoal" mount "$url" "$point" --no-cache
        dd if=/dev/urandom of="$point/kept" bs=1M count=12 conv=fsync status=none
        sum=$(sha256sum < "$point/kept")
        if dd if=/dev/urandom of="$point/refused" bs=1M count=24 conv=fsync status=none 2> said; then
            echo "24 MiB fit into what is left of 24"; exit 1
        fi
        grep -q "No space left on device" said || { cat said; exit 1; }
        echo small > "$point/small"
        test "$(sha256sum < "$point/kept")" = "$sum"
        rm "$point/refused"
        "$shoal" umount "$point"
        "$shoal" fsck "$url" --data
        "$shoal" gc "$url" --delete --grace 0
        "$shoal" mount "$url" "$point" --no-cache
        test "$(sha256sum < "$point/kept")" = "$sum"
        test "$(cat "$point/small")" = small
        dd if=/dev/urandom of="$point/again" bs=1M count=8 conv=fsync status=none
        "$shoal" umount "$point"
    "#;
    in_namespace(
        &sandbox,
        script,
        &[("url", &url), ("disk", disk.to_str().unwrap()), ("point", point.to_str().unwrap())],
    );
}

#[test]
fn other_users_are_let_in_only_if_they_are_asked_in() {
    let mut sandbox = Sandbox::new();
    open_to_others(&sandbox);
    let url = sandbox.format("a.db");
    let point = sandbox.mount(&url, "mnt", &[]);
    fs::write(point.join("public"), b"public").unwrap();
    fs::write(point.join("private"), b"private").unwrap();
    fs::set_permissions(point.join("private"), Permissions::from_mode(0o600)).unwrap();
    assert!(!somebody_runs(&sandbox, &point, "cat public"));
    sandbox.umount(&point);
    sandbox.mount(&url, "mnt", &["-o", "allow_other"]);
    assert!(somebody_runs(&sandbox, &point, "cat public"));
    assert!(!somebody_runs(&sandbox, &point, "cat private"));
    assert!(!somebody_runs(&sandbox, &point, "echo x > own"));
    fs::set_permissions(&point, Permissions::from_mode(0o1777)).unwrap();
    assert!(somebody_runs(&sandbox, &point, "echo x > own"));
    assert_eq!(fs::metadata(point.join("own")).unwrap().uid(), SOMEBODY);
    sandbox.umount(&point);
}

#[test]
fn a_user_without_rights_mounts_through_fusermount3() {
    let sandbox = Sandbox::new();
    open_to_others(&sandbox);
    let home = sandbox.folder("somebody");
    chown(&home, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    // In a namespace of its own /dev/fuse is for everybody, as on most machines, whatever it is here.
    let script = r#"
        set -eu
        mount -t tmpfs -o mode=755 none "$devices"
        mknod -m 666 "$devices/fuse" c 10 229
        mount --bind "$devices/fuse" /dev/fuse
        exec setpriv --reuid "$user" --regid "$user" --clear-groups sh -euc '
            "$shoal" up "$HOME/files"
            echo mine > "$HOME/files/a"
            dd if=/dev/urandom of="$HOME/files/large" bs=1M count=5 status=none
            "$shoal" status "$HOME/files"
            "$shoal" info "$HOME/files/large"
            "$shoal" umount "$HOME/files"
            test -z "$(ls "$HOME/files")"
            "$shoal" up "$HOME/files"
            test "$(cat "$HOME/files/a")" = mine
            "$shoal" umount "$HOME/files"
        '
    "#;
    let mut command = sandbox.command("unshare");
    command.args(["-m", "sh", "-c", script]).env("shoal", SHOAL).env("user", SOMEBODY.to_string());
    command.env("HOME", &home).env("devices", sandbox.folder("devices")).current_dir(&home);
    for variable in ["XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"] {
        command.env_remove(variable);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

/// Test folders are for their owner only; here others have to get through.
fn open_to_others(sandbox: &Sandbox) {
    fs::set_permissions(sandbox.path(""), Permissions::from_mode(0o755)).unwrap();
}

fn somebody_runs(sandbox: &Sandbox, point: &Path, script: &str) -> bool {
    let mut command = sandbox.command("setpriv");
    let user = SOMEBODY.to_string();
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "sh", "-c"]);
    // Entered by the shell, so that a mount that lets nobody in is refused there.
    command.arg(format!("cd '{}' && {script}", point.display())).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().unwrap().success()
}

#[test]
fn compact_rewrites_files_in_pieces_and_leaves_others() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.url("a.db");
    sandbox.ok(&["format", &url, "a", "--inline-max", "0", "--delete-grace", "0"]);
    let point = sandbox.mount(&url, "mnt", &["--no-cache"]);
    fs::create_dir(point.join("d")).unwrap();
    let pieces = File::create(point.join("d/pieces")).unwrap();
    for number in 0..30u8 {
        pieces.write_all_at(&[number; 5000], u64::from(number) * 4000).unwrap();
        pieces.sync_all().unwrap();
    }
    let expected = fs::read(point.join("d/pieces")).unwrap();
    fs::write(point.join("d/whole"), noise(100_000, 1)).unwrap();
    drop(pieces);
    let (_, err) = sandbox.ends(&["compact", point.join("d").to_str().unwrap()], 0);
    assert!(err.contains("1 of 2 files rewritten: 31 pieces now 2"), "{err}");
    assert!(fs::read(point.join("d/pieces")).unwrap() == expected);
    sandbox.umount(&point);
    sandbox.ends(&["fsck", &url, "--data"], 0);
    fs::write(sandbox.path("foreign"), "x").unwrap();
    let (_, err) = sandbox.ends(&["compact", sandbox.path("foreign").to_str().unwrap()], 3);
    assert!(err.contains("not on a mount"), "{err}");
}
