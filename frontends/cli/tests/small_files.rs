//! Volumes that pack small files, on real mounts.

#![allow(clippy::unwrap_used)]

mod sandbox;

use sandbox::{Sandbox, noise, wait_until};
use shoal_metadata::keys::Key;
use shoal_metadata::records::SparseNote;
use shoal_types::{ObjectId, Timestamp};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const SECRET: &[u8] = b"the anchor lies where the two reefs meet";

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn staged(sandbox: &Sandbox, url: &str) -> u64 {
    sandbox.json(&["status", url])["staged_bytes"].as_u64().unwrap()
}

fn await_packed(sandbox: &Sandbox, url: &str) {
    let start = Instant::now();
    while staged(sandbox, url) > 0 {
        assert!(start.elapsed() < Duration::from_secs(60), "still staged\n{}", sandbox.logs());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn files_and_their_clones_wait_in_the_metadata_and_come_into_packs() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.url("a.db");
    sandbox.ok(&["format", &url, "a", "--stage-max", "64K", "--delete-grace", "0"]);
    let point = sandbox.mount(&url, "mnt", &["--no-cache"]);
    fs::create_dir(point.join("d")).unwrap();
    for number in 0..50 {
        fs::write(point.join(format!("d/{number}")), noise(9000, number)).unwrap();
    }
    sandbox.ok(&["clone", path(&point.join("d")), path(&point.join("e"))]);
    assert!(staged(&sandbox, &url) > 0 && sandbox.ok(&["status", &url]).contains("wait to be"));
    sandbox.umount(&point);
    sandbox.mount(&url, "mnt", &["--no-cache"]);
    await_packed(&sandbox, &url);
    let objects = sandbox.objects("a.objects").len();
    assert!((1..=10).contains(&objects), "{objects} objects");
    for number in 0..50 {
        for folder in ["d", "e"] {
            assert!(fs::read(point.join(format!("{folder}/{number}"))).unwrap() == noise(9000, number));
        }
    }
    sandbox.ends(&["verify", path(&point)], 0);
    fs::remove_dir_all(point.join("d")).unwrap();
    fs::remove_dir_all(point.join("e")).unwrap();
    sandbox.umount(&point);
    sandbox.ends(&["gc", &url, "--delete", "--grace", "0"], 0);
    assert!(sandbox.objects("a.objects").is_empty());
    sandbox.ends(&["fsck", &url, "--data"], 0);
}

#[test]
fn what_waits_in_the_metadata_of_an_encrypted_volume_is_sealed() {
    let mut sandbox = Sandbox::new();
    let (url, key) = (sandbox.url("a.db"), sandbox.path("a.key"));
    let key = path(&key);
    sandbox.ok(&["key", "new", key]);
    let fixed = ["format", &url, "a", "--encrypt", "aes-256-gcm", "--key-file", key];
    sandbox.ok(&[&fixed[..], &["--stage-max", "64K"]].concat());
    let point = sandbox.mount(&url, "mnt", &["--key-file", key, "--no-cache"]);
    fs::write(point.join("f"), SECRET.repeat(1000)).unwrap();
    sandbox.umount(&point);
    assert_eq!((staged(&sandbox, &url), sandbox.objects("a.objects").len()), (40_000, 0));
    let in_the_clear = |path: &Path| fs::read(path).unwrap().windows(SECRET.len()).any(|window| window == SECRET);
    assert!(!in_the_clear(&sandbox.path("a.db")));
    sandbox.ends(&["verify", "--all", &url, "--key-file", key], 0);
    let point = sandbox.mount(&url, "mnt", &["--key-file", key, "--no-cache"]);
    await_packed(&sandbox, &url);
    assert!(fs::read(point.join("f")).unwrap() == SECRET.repeat(1000));
    sandbox.umount(&point);
    let objects = sandbox.objects("a.objects");
    assert!(objects.len() == 1 && !in_the_clear(&objects[0]));
    sandbox.ends(&["fsck", &url, "--data", "--key-file", key], 0);
}

fn sparse_packs(sandbox: &Sandbox, url: &str) -> Vec<ObjectId> {
    let records = sandbox.records(url);
    let packs = records.iter().filter_map(|(key, _)| match Key::parse(key) {
        Some(Key::SparsePack(object)) => Some(object),
        _ => None,
    });
    packs.collect()
}

/// A pack may be deleted while it's looked at.
fn room(sandbox: &Sandbox) -> u64 {
    let objects = sandbox.objects("a.objects");
    objects.iter().filter_map(|object| fs::metadata(object).ok()).map(|object| object.len()).sum()
}

#[test]
fn a_pack_that_is_mostly_dead_gives_its_room_back_on_an_encrypted_volume() {
    let mut sandbox = Sandbox::new();
    let (url, key) = (sandbox.url("a.db"), sandbox.path("a.key"));
    let key = path(&key);
    sandbox.ok(&["key", "new", key]);
    let fixed = ["format", &url, "a", "--encrypt", "aes-256-gcm", "--key-file", key, "--compress", "zstd"];
    sandbox.ok(&[&fixed[..], &["--stage-max", "64K", "--delete-grace", "0"]].concat());
    let options = ["--key-file", key, "--no-cache"];
    let point = sandbox.mount(&url, "mnt", &options);
    let files = || (0..60u64).map(|number| (number, point.join(number.to_string())));
    files().for_each(|(number, file)| fs::write(file, noise(20_000, number)).unwrap());
    sandbox.umount(&point);
    sandbox.mount(&url, "mnt", &options);
    await_packed(&sandbox, &url);
    assert_eq!(sandbox.objects("a.objects").len(), 1);
    assert!(room(&sandbox) > 60 * 20_000);
    files().filter(|(number, _)| number % 10 > 0).for_each(|(_, file)| fs::remove_file(file).unwrap());
    wait_until("they are removed", || sandbox.json(&["status", &url])["queues"]["removals"] == 0);
    sandbox.umount(&point);
    assert_eq!(sparse_packs(&sandbox, &url).len(), 1);
    // Time passes.
    for pack in sparse_packs(&sandbox, &url) {
        let note = SparseNote::new(Timestamp::ZERO, 60 * 20_000).encode();
        sandbox.change(&url, move |transaction| transaction.put(&Key::SparsePack(pack).encode(), &note));
    }
    sandbox.mount(&url, "mnt", &options);
    wait_until("the room is given back", || sandbox.objects("a.objects").len() == 1 && room(&sandbox) < 7 * 20_000);
    for (number, file) in files().filter(|(number, _)| number % 10 == 0) {
        assert!(fs::read(file).unwrap() == noise(20_000, number));
    }
    sandbox.umount(&point);
    assert_eq!(sparse_packs(&sandbox, &url), []);
    sandbox.ends(&["fsck", &url, "--data", "--key-file", key], 0);
}
