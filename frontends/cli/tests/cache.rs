//! The local cache as a person meets it: warmed, pinned, dropped.

#![allow(clippy::unwrap_used)]

mod sandbox;

use sandbox::{SHOAL, Sandbox, in_namespace, kill, noise, text};
use std::collections::HashMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const MIB: usize = 1 << 20;
/// `nobody`.
const SOMEBODY: u32 = 65_534;

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A volume with `d/large`, `d/small`, `d/inline` and a second name of the large one.
fn filled(sandbox: &mut Sandbox) -> String {
    let url = sandbox.format("a.db");
    let point = sandbox.mount(&url, "mnt", &["--no-cache"]);
    fs::create_dir(point.join("d")).unwrap();
    fs::write(point.join("d/large"), noise(70 * MIB, 1)).unwrap();
    fs::write(point.join("d/small"), noise(100_000, 2)).unwrap();
    fs::write(point.join("d/inline"), noise(100, 3)).unwrap();
    fs::hard_link(point.join("d/large"), point.join("d/again")).unwrap();
    sandbox.umount(&point);
    url
}

/// The columns of one path that `--check` prints.
fn check(sandbox: &Sandbox, of: &Path) -> Vec<String> {
    let out = sandbox.ok(&["warmup", "--check", path(of)]);
    assert_eq!(out.lines().count(), 1, "{out}");
    out.split("  ").map(|cell| cell.trim().to_owned()).filter(|cell| !cell.is_empty()).collect()
}

#[test]
fn warmed_files_are_read_without_the_store_and_pins_outlive_a_remount() {
    let mut sandbox = Sandbox::new();
    let url = filled(&mut sandbox);
    // One shard, whose part of the cache is all of it.
    let options = ["--shards", "1", "--cache-size", "100M"];
    let point = sandbox.mount(&url, "mnt", &options);
    let folder = point.join("d");
    assert_eq!(check(&sandbox, &folder)[..4], ["0 %", "0 B of 70.1 MiB", "3 files", "0 pinned"]);
    let (_, err) = sandbox.ends(&["warmup", "--threads", "3", path(&folder)], 0);
    assert!(err.contains("3 files: 70.1 MiB of 70.1 MiB in the cache"), "{err}");
    sandbox.ends(&["warmup", "--pin", path(&folder)], 0);
    assert_eq!(check(&sandbox, &folder)[..4], ["100 %", "70.1 MiB of 70.1 MiB", "3 files", "3 pinned"]);
    let found = &sandbox.json(&["warmup", "--check", path(&folder)])[0];
    let bytes = 70 * MIB + 100_000;
    assert_eq!((&found["cached"], &found["bytes"], &found["pinned"]), (&bytes.into(), &bytes.into(), &3.into()));
    fs::write(point.join("other"), noise(60 * MIB, 4)).unwrap();
    let (_, err) = sandbox.ends(&["warmup", path(&point.join("other"))], 0);
    assert!(err.contains("1 file: 60 MiB of 60 MiB"), "its end took the place of its beginning: {err}");
    sandbox.umount(&point);
    // Nothing can be fetched any more.
    fs::rename(sandbox.path("a.objects"), sandbox.path("elsewhere")).unwrap();
    fs::create_dir(sandbox.path("a.objects")).unwrap();
    copy_claim(&sandbox);
    sandbox.mount(&url, "mnt", &options);
    assert_eq!(check(&sandbox, &folder)[..4], ["100 %", "70.1 MiB of 70.1 MiB", "3 files", "3 pinned"]);
    assert!(fs::read(folder.join("again")).unwrap() == noise(70 * MIB, 1));
    assert!(fs::read(folder.join("small")).unwrap() == noise(100_000, 2));
    sandbox.ends(&["warmup", "--unpin", path(&folder)], 0);
    assert_eq!(check(&sandbox, &folder)[3], "0 pinned");
    sandbox.ends(&["warmup", "--evict", path(&folder.join("again"))], 0);
    assert_eq!(check(&sandbox, &folder.join("large"))[..2], ["0 %", "0 B of 70 MiB"]);
    assert_eq!(check(&sandbox, &folder.join("small"))[0], "100 %");
    let (_, err) = sandbox.ends(&["warmup", path(&folder)], 10);
    assert!(err.contains("large: warming it up"), "{err}");
    sandbox.umount(&point);
}

/// Makes a new folder of objects pass for the volume's own.
fn copy_claim(sandbox: &Sandbox) {
    for volume in fs::read_dir(sandbox.path("elsewhere")).unwrap() {
        let volume = volume.unwrap();
        let to = sandbox.path("a.objects").join(volume.file_name());
        fs::create_dir(&to).unwrap();
        fs::copy(volume.path().join("volume"), to.join("volume")).unwrap();
    }
}

/// Bytes that the daemon has had read from a disk for itself.
fn read_from_disk(daemon: u32) -> usize {
    let told = fs::read_to_string(format!("/proc/{daemon}/io")).unwrap();
    let line = told.lines().find_map(|line| line.strip_prefix("read_bytes: ")).unwrap();
    line.parse().unwrap()
}

#[test]
fn what_is_fetched_for_a_reader_in_order_is_cached_and_not_read_back_from_the_caches_disk() {
    let mut sandbox = Sandbox::new();
    let url = filled(&mut sandbox);
    let point = sandbox.mount(&url, "mnt", &[]);
    let daemon = sandbox.daemon_of(&point);
    let before = read_from_disk(daemon);
    assert!(fs::read(point.join("d/large")).unwrap() == noise(70 * MIB, 1));
    let read = read_from_disk(daemon) - before;
    // On its way to the disk it's read from memory. What a reader has passed leaves it, and others find it on the disk.
    assert!(read < 7 * MIB, "{read} of {} bytes", 70 * MIB);
    sandbox.ends(&["warmup", path(&point.join("d/large"))], 0);
    assert_eq!(check(&sandbox, &point.join("d/large"))[0], "100 %");
    sandbox.umount(&point);
}

#[test]
fn pinned_files_that_have_no_room_are_told_of() {
    let mut sandbox = Sandbox::new();
    let url = filled(&mut sandbox);
    let point = sandbox.mount(&url, "mnt", &["--shards", "1", "--cache-size", "64M"]);
    let (_, err) = sandbox.ends(&["warmup", "--pin", path(&point.join("d/large"))], 7);
    assert!(err.contains("no room for") && err.contains("--cache-size"), "{err}");
    assert!(fs::read(point.join("d/large")).unwrap() == noise(70 * MIB, 1));
    // What fits depends on which pieces came first.
    let kept = check(&sandbox, &point.join("d/large"))[1].clone();
    let mebibytes: f64 = kept.split(' ').next().unwrap().parse().unwrap();
    assert!((58.0..=64.0).contains(&mebibytes) && kept.ends_with("MiB of 70 MiB"), "{kept}");
    sandbox.umount(&point);
}

/// What the kernel reads by itself is dropped when it's closed; our own command has it open, too.
#[test]
fn files_that_the_kernel_reads_by_itself_are_dropped_once_they_are_closed() {
    let mut sandbox = Sandbox::new();
    let url = filled(&mut sandbox);
    let point = sandbox.mount(&url, "mnt", &["--read-only"]);
    let large = point.join("d/large");
    sandbox.ends(&["warmup", path(&large)], 0);
    let held = File::open(&large).unwrap();
    sandbox.ends(&["warmup", "--evict", path(&large)], 0);
    let mut end = [0; 100];
    held.read_exact_at(&mut end, 70 * MIB as u64 - 100).unwrap();
    assert_eq!(end, noise(70 * MIB, 1)[70 * MIB - 100..]);
    drop(held);
    let start = Instant::now();
    while check(&sandbox, &large)[0] != "0 %" {
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", check(&sandbox, &large));
        std::thread::sleep(Duration::from_millis(20));
    }
    sandbox.umount(&point);
}

/// The files that `folder` has cached.
fn cached_files(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let of_entry = |entry: fs::DirEntry| match entry.path() {
        path if path.is_dir() => cached_files(&path),
        path => usize::from(path.extension().is_some_and(|extension| extension == "data")),
    };
    entries.flatten().map(of_entry).sum()
}

#[test]
fn files_are_spread_over_several_folders_and_one_that_vanishes_harms_nobody() {
    let mut sandbox = Sandbox::new();
    let url = filled(&mut sandbox);
    let writer = sandbox.mount(&url, "writer", &["--no-cache"]);
    for number in 0..40 {
        fs::write(writer.join(format!("d/{number}")), noise(20_000, number)).unwrap();
    }
    sandbox.umount(&writer);
    let (first, second) = (sandbox.path("first"), sandbox.path("second"));
    let list = format!("cache_dir={}:{},cache_size=400M:600M,verify_cache=always", path(&first), path(&second));
    let point = sandbox.mount(&url, "mnt", &["-o", &list, "--cache-free-ratio", "0.01"]);
    sandbox.ends(&["warmup", path(&point)], 0);
    let counts = [cached_files(&first), cached_files(&second)];
    assert!(counts[0] + counts[1] == 42 && counts.iter().all(|count| *count > 5), "{counts:?}");
    fs::remove_dir_all(&second).unwrap();
    // What is new to the cache finds the folder gone.
    for number in 0..40 {
        fs::write(point.join(format!("d/new-{number}")), noise(30_000, 100 + number)).unwrap();
        assert!(fs::read(point.join(format!("d/new-{number}"))).unwrap() == noise(30_000, 100 + number));
    }
    let (_, err) = sandbox.ends(&["warmup", path(&point)], 10);
    assert!(err.contains("cache folder") && err.lines().count() == 2, "told once: {err}");
    for number in 0..40 {
        assert!(fs::read(point.join(format!("d/{number}"))).unwrap() == noise(20_000, number));
    }
    sandbox.umount(&point);
    // A folder that can't be made is as good as none.
    fs::write(&second, "").unwrap();
    sandbox.mount(&url, "mnt", &["-o", &list]);
    assert!(fs::read(point.join("d/large")).unwrap() == noise(70 * MIB, 1));
    assert!(fs::read(point.join("d/7")).unwrap() == noise(20_000, 7));
    sandbox.umount(&point);
}

/// Each mount has a place of its own in the folder, and finds it again; another one takes over what a dead one left.
#[test]
fn two_mounts_share_a_cache_folder_and_neither_harms_the_other() {
    let mut sandbox = Sandbox::new();
    let url = filled(&mut sandbox);
    let cache = sandbox.path("both");
    let options = ["--cache-dir", path(&cache), "--attr-timeout", "0", "--entry-timeout", "0"];
    let (a, b) = (sandbox.mount(&url, "a", &options), sandbox.mount(&url, "b", &options));
    for point in [&a, &b] {
        sandbox.ends(&["warmup", "--pin", path(&point.join("d/large"))], 0);
    }
    assert_eq!(cached_files(&cache), 2);
    File::options()
        .write(true)
        .open(a.join("d/large"))
        .unwrap()
        .write_all_at(&noise(5 * MIB, 9), 3 * MIB as u64)
        .unwrap();
    let mut expected = noise(70 * MIB, 1);
    expected[3 * MIB..8 * MIB].copy_from_slice(&noise(5 * MIB, 9));
    for point in [&b, &a] {
        assert!(fs::read(point.join("d/large")).unwrap() == expected);
    }
    kill(sandbox.daemon_of(&a), "KILL");
    sandbox.umount(&b);
    sandbox.ends(&["umount", path(&a)], 0);
    // In the other order: each finds what it had, and the pins.
    for point in ["b", "a"] {
        let point = sandbox.mount(&url, point, &options);
        assert_eq!(check(&sandbox, &point.join("d/large"))[3], "1 pinned");
        assert!(fs::read(point.join("d/large")).unwrap() == expected);
    }
    assert_eq!(cached_files(&cache), 2);
    sandbox.umount(&a);
    sandbox.umount(&b);
}

/// The files in a folder and below.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        match entry.unwrap().path() {
            path if path.is_dir() => found.extend(files_in(&path)),
            path => found.push(path),
        }
    }
    found
}

/// As if the machine had lost its power: nothing was synced there, so each part of a cache file may be as it was before, or
/// never written. `before` is what the files held then.
fn tear(cache: &Path, before: &HashMap<PathBuf, Vec<u8>>, seed: u64) {
    let mut dice = noise(1 << 20, seed).into_iter().cycle();
    for path in files_in(cache).into_iter().filter(|path| path.extension().is_some()) {
        let mut bytes = fs::read(&path).unwrap();
        let old = before.get(&path).map_or(&[][..], |old| old);
        let mut damaged = false;
        for (number, sector) in bytes.chunks_mut(512).enumerate() {
            if number.is_multiple_of(128) {
                damaged = dice.next() < Some(100);
            }
            match dice.next() {
                Some(0..60) if damaged => sector.fill(0),
                Some(60..160) if damaged => {
                    let from = (number * 512).min(old.len())..(number * 512 + sector.len()).min(old.len());
                    sector[..from.len()].copy_from_slice(&old[from]);
                }
                _ => {}
            }
        }
        let length = bytes.len();
        bytes.truncate(if dice.next() < Some(20) { length / 2 } else { length });
        fs::write(&path, bytes).unwrap();
    }
}

/// With `SHOAL_LONG=1`, 60 rounds of it.
#[test]
fn a_killed_daemon_and_a_torn_cache_give_nobody_wrong_bytes() {
    const FILES: u64 = 12;
    let rounds = if std::env::var_os("SHOAL_LONG").is_some_and(|value| value == "1") { 60 } else { 3 };
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let cache = sandbox.path("torn");
    let mut expected: Vec<Vec<u8>> = (0..FILES).map(|number| noise(1 << (14 + number % 9), number)).collect();
    for round in 0..rounds {
        let point = sandbox.mount(&url, "mnt", &["--cache-dir", path(&cache), "--cache-size", "64M"]);
        for (number, content) in expected.iter_mut().enumerate() {
            let file = point.join(number.to_string());
            if round > 0 {
                assert!(fs::read(&file).unwrap() == *content, "round {round}, file {number}\n{}", sandbox.logs());
            }
            if round == 0 || number % 3 == round as usize % 3 {
                let at = content.len() / 3;
                let patch = noise(content.len() / 4, 1000 * round + number as u64);
                content[at..at + patch.len()].copy_from_slice(&patch);
                let open = File::options().create(true).truncate(false).write(true).open(&file).unwrap();
                open.write_all_at(content, 0).unwrap();
                open.sync_all().unwrap();
            }
        }
        let before: HashMap<_, _> =
            files_in(&cache).into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
        sandbox.ends(&["warmup", path(&point)], 0);
        kill(sandbox.daemon_of(&point), "KILL");
        sandbox.ends(&["umount", path(&point)], 0);
        tear(&cache, &before, round);
    }
    let point = sandbox.mount(&url, "mnt", &["--cache-dir", path(&cache)]);
    for (number, content) in expected.iter().enumerate() {
        assert!(fs::read(point.join(number.to_string())).unwrap() == *content, "at the end, file {number}");
    }
    sandbox.umount(&point);
}

#[test]
fn a_full_cache_disk_takes_what_it_can_and_more_when_there_is_room() {
    let mut sandbox = Sandbox::new();
    let url = filled(&mut sandbox);
    let (disk, point) = (sandbox.folder("disk"), sandbox.mount_point("mnt"));
    let script = r#"
        set -eu
        mount -t tmpfs -o size=20m none "$disk"
        "$shoal" mount "$url" "$point" --shards 1 --cache-dir "$disk" --cache-free-ratio 0 --log-file "$disk.log"
        sum=$(sha256sum < "$point/d/large")
        code=0; "$shoal" warmup --pin "$point/d/large" 2> said || code=$?
        cat said
        test "$code" = 7
        "$shoal" warmup --check "$point/d/large"
        test "$("$shoal" warmup --check "$point/d/large" | cut -c1-3)" -gt 10
        mount -o remount,size=200m "$disk"
        "$shoal" warmup --pin "$point/d/large"
        "$shoal" warmup --check "$point/d/large" | grep "^100 %"
        test "$(sha256sum < "$point/d/large")" = "$sum"
        "$shoal" umount "$point"
        ! grep "cache disk fails" "$disk.log"
    "#;
    in_namespace(&sandbox, script, &[("url", &url), ("disk", path(&disk)), ("point", path(&point))]);
}

#[test]
fn others_may_warm_what_they_may_read_and_pin_only_what_is_theirs() {
    let mut sandbox = Sandbox::new();
    fs::set_permissions(sandbox.path(""), Permissions::from_mode(0o755)).unwrap();
    let url = filled(&mut sandbox);
    let point = sandbox.mount(&url, "mnt", &["--allow-other"]);
    fs::set_permissions(point.join("d/large"), Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(point.join("d/small"), Permissions::from_mode(0o644)).unwrap();
    fs::write(point.join("d/own"), noise(200_000, 5)).unwrap();
    chown(point.join("d/own"), Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    let folder = sandbox.folder("somebody");
    fs::copy(SHOAL, folder.join("shoal")).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
    let somebody = |what: &str, name: &str| {
        let mut command = sandbox.command(path(&folder.join("shoal")));
        command.current_dir("/").args(["warmup", what, path(&point.join("d").join(name))]);
        let output = command.uid(SOMEBODY).gid(SOMEBODY).output().unwrap();
        (output.status.code().unwrap(), text(&output.stderr))
    };
    let codes = |name| ["--threads=2", "--check", "--pin", "--unpin", "--evict"].map(|what| somebody(what, name).0);
    assert_eq!(codes("small"), [0, 0, 5, 5, 5]);
    assert_eq!(codes("own"), [0; 5]);
    assert_eq!(codes("large"), [5; 5]);
    assert!(somebody("--evict", "small").1.contains("its owner"));
    assert_eq!(check(&sandbox, &point.join("d/small"))[0], "100 %");
    assert_eq!(check(&sandbox, &point.join("d/own"))[0], "0 %");
    sandbox.umount(&point);
}

#[test]
fn warmup_is_refused_where_it_means_nothing() {
    let mut sandbox = Sandbox::new();
    let url = filled(&mut sandbox);
    let point = sandbox.mount(&url, "mnt", &["--no-cache"]);
    let (_, err) = sandbox.ends(&["warmup", path(&point)], 10);
    assert!(err.contains("no cache") && err.lines().count() == 2, "told once: {err}");
    fs::write(sandbox.path("foreign"), "x").unwrap();
    let (_, err) = sandbox.ends(&["warmup", "--check", path(&sandbox.path("foreign"))], 3);
    assert!(err.contains("not on a mount"), "{err}");
    sandbox.ends(&["warmup", "--pin", "--evict", path(&point)], 2);
    sandbox.ends(&["warmup", path(&point.join("missing"))], 3);
    sandbox.umount(&point);
}
