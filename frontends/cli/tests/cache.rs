//! The local cache as a person meets it: warmed, pinned, dropped.

#![allow(clippy::unwrap_used)]

mod sandbox;

use sandbox::{Sandbox, noise};
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
