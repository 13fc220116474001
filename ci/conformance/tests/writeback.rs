//! `shoal mount --writeback`: what is acknowledged is on the local disk, and gets to the store whatever happens.
//!
//! A store that can't be reached is one all of whose requests fail, some of them after they took effect. `SHOAL_LONG=1`: 60
//! kills.

use shoal_ci_conformance::{is_long, wait_until};
use shoal_ci_testbed::{Bed, Daemon};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
const UNREACHABLE: [&str; 2] = ["--storage-fault-rate", "1"];
const UPLOADED_SLOWLY: [&str; 2] = ["--upload-limit", "1M"];
/// After the first object the next one takes a minute.
const HARDLY_UPLOADED: [&str; 2] = ["--upload-limit", "64K"];

fn content(number: u64, bytes: usize) -> Vec<u8> {
    let mut random = shoal_kv::Random::new(number);
    (0..bytes.div_ceil(8)).flat_map(|_| random.next_u64().to_le_bytes()).take(bytes).collect()
}

fn write_synced(path: &Path, bytes: &[u8]) {
    let mut file = File::create(path).expect("made");
    file.write_all(bytes).expect("written");
    file.sync_all().expect("synced");
}

fn mount(bed: &Bed, options: &[&str]) -> Daemon {
    bed.mount(&[&["--writeback", "--no-cache"], options].concat())
}

/// Objects and bytes that wait, as `shoal status` tells.
fn waiting(bed: &Bed) -> (u64, u64) {
    let status = bed.shoal(&["status", "--json", &bed.url()]).expect_code(0);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).expect("JSON");
    let folders = status["writeback"].as_array().expect("a list").clone();
    let sum = |name: &str| folders.iter().map(|folder| folder[name].as_u64().expect("a number")).sum();
    (sum("objects"), sum("bytes"))
}

/// The store has everything, and nothing else.
fn check(bed: &Bed) {
    assert_eq!(waiting(bed), (0, 0));
    bed.shoal(&["fsck", "--data", &bed.url()]).expect_code(0);
    bed.shoal(&["gc", "--delete", "--grace", "0", &bed.url()]).expect_code(0);
}

#[test]
fn what_is_not_uploaded_survives_a_kill_and_is_uploaded_by_the_next_mount() {
    let bed = Bed::new(&[]);
    let bytes = content(1, 9 << 20);
    let daemon = mount(&bed, &HARDLY_UPLOADED);
    write_synced(&daemon.mount_point().join("file"), &bytes);
    assert!(fs::read(daemon.mount_point().join("file")).expect("read") == bytes);
    let (objects, staged) = waiting(&bed);
    assert!(objects >= 2 && staged >= 5 << 20, "{objects} objects, {staged} bytes");
    let told = bed.shoal(&["status", &bed.url()]).expect_code(0).stdout;
    assert!(told.contains("NOT UPLOADED") && told.contains(&bed.mount_point().display().to_string()), "{told}");
    let checked = bed.shoal(&["fsck", &bed.url()]).expect_code(0);
    assert!(checked.stderr.contains("not uploaded yet"), "{checked:?}");
    daemon.kill();
    // The next one needs no option for it.
    let daemon = bed.mount(&["--no-cache"]);
    assert!(fs::read(daemon.mount_point().join("file")).expect("read") == bytes);
    wait_until(PATIENCE, "everything is uploaded", || waiting(&bed) == (0, 0));
    assert!(daemon.stop().success(), "{}", bed.log());
    check(&bed);
    let daemon = bed.mount(&["--no-cache"]);
    assert!(fs::read(daemon.mount_point().join("file")).expect("read") == bytes);
    assert!(daemon.stop().success(), "{}", bed.log());
}

#[test]
fn another_mount_waits_for_bytes_that_are_on_their_way() {
    let bed = Bed::new(&["--delete-grace", "0s"]);
    let bytes = content(2, 6 << 20);
    let daemon = mount(&bed, &UPLOADED_SLOWLY);
    let second = bed.mount_second(&["--no-cache"]);
    write_synced(&daemon.mount_point().join("file"), &bytes);
    assert_ne!(waiting(&bed).0, 0, "it's not uploaded yet");
    assert!(fs::read(second.mount_point().join("file")).expect("read") == bytes);
    // What it deletes before it is uploaded is in the store neither then nor later.
    write_synced(&daemon.mount_point().join("other"), &bytes);
    fs::remove_file(second.mount_point().join("other")).expect("removed");
    assert!(second.stop().success());
    assert!(daemon.stop().success(), "{}", bed.log());
    check(&bed);
}

#[test]
fn an_unmount_uploads_everything_or_tells_what_is_left_and_where() {
    let bed = Bed::new(&[]);
    let bytes = content(3, 12 << 20);
    let url = bed.url();
    let mount_point = bed.mount_point();
    let place = mount_point.to_str().expect("UTF-8");
    bed.shoal(&["mount", &url, place, "--writeback", "--no-cache", "--upload-limit", "1M"]).expect_code(0);
    write_synced(&mount_point.join("file"), &bytes);
    let told = bed.shoal(&["umount", place]).expect_code(0).stderr;
    assert!(told.contains("still to be uploaded"), "{told}");
    check(&bed);
    bed.shoal(&["mount", &url, place, "--writeback", "--no-cache", UNREACHABLE[0], UNREACHABLE[1]]).expect_code(0);
    write_synced(&mount_point.join("second"), &bytes);
    let ended = bed.shoal(&["umount", place]);
    assert_ne!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("not uploaded yet") && ended.stderr.contains("writeback"), "{ended:?}");
    assert_ne!(waiting(&bed), (0, 0));
    bed.shoal(&["mount", &url, place, "--no-cache"]).expect_code(0);
    bed.shoal(&["umount", place]).expect_code(0);
    check(&bed);
}

#[test]
fn of_two_killed_mounts_one_that_comes_back_uploads_what_both_have_left() {
    let bed = Bed::new(&[]);
    let daemon = mount(&bed, &UNREACHABLE);
    let second = bed.mount_second(&["--writeback", "--no-cache", UNREACHABLE[0], UNREACHABLE[1]]);
    write_synced(&daemon.mount_point().join("a"), &content(4, 1 << 20));
    write_synced(&second.mount_point().join("b"), &content(5, 1 << 20));
    daemon.kill();
    second.kill();
    let daemon = mount(&bed, &[]);
    assert!(fs::read(daemon.mount_point().join("a")).expect("read") == content(4, 1 << 20));
    assert!(fs::read(daemon.mount_point().join("b")).expect("read") == content(5, 1 << 20));
    assert!(daemon.stop().success(), "{}", bed.log());
    check(&bed);
}

#[test]
fn killed_again_and_again_it_loses_nothing_that_was_synced() {
    let rounds = if is_long() { 60 } else { 5 };
    let bed = Bed::new(&[]);
    let mut random = shoal_kv::Random::new(6);
    let mut written = Vec::new();
    for round in 0..rounds {
        let daemon = mount(&bed, &["--storage-fault-rate", "0.3", "--storage-fault-seed", &round.to_string()]);
        for _ in 0..random.below(12) + 1 {
            let (number, bytes) = (written.len() as u64, 200_000 + random.below(3 << 20) as usize);
            write_synced(&daemon.mount_point().join(format!("{number}")), &content(number, bytes));
            written.push(Some(bytes));
            let victim = random.below(written.len() as u64) as usize;
            if random.below(4) == 0 && written[victim].take().is_some() {
                fs::remove_file(daemon.mount_point().join(format!("{victim}"))).expect("removed");
            }
        }
        daemon.kill();
    }
    let daemon = mount(&bed, &[]);
    for (number, bytes) in written.iter().enumerate() {
        let found = fs::read(daemon.mount_point().join(format!("{number}")));
        match bytes {
            Some(bytes) => assert!(found.expect("read") == content(number as u64, *bytes), "{number}"),
            None => assert!(found.is_err(), "{number} was removed"),
        }
    }
    assert!(daemon.stop().success(), "{}", bed.log());
    assert_eq!(waiting(&bed), (0, 0));
    bed.shoal(&["fsck", "--data", &bed.url()]).expect_code(0);
    println!("{rounds} kills, {} files of {} are left", written.iter().flatten().count(), written.len());
}
