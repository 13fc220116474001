//! The local cache as a person meets it: warmed, pinned, dropped.

#![allow(clippy::unwrap_used)]

mod sandbox;

use sandbox::{Sandbox, kill, noise};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

const MIB: usize = 1 << 20;

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
