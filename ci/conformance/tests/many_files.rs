//! A great many files: made, listed, looked at and removed, in bounded memory.
//!
//! The long form (`SHOAL_LONG=1`) takes a million, the short one some thousands.

use shoal_ci_conformance::is_long;
use shoal_ci_testbed::Bed;
use std::fs::{self, File};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

const FOLDERS: u64 = 8;
/// The writer's page cache of the embedded engine (64 MiB), which fills with the first 100,000 names, and half of that for
/// all else.
const GROWTH_KIB_MAX: u64 = 96 << 10;

#[test]
fn many_files_are_made_listed_and_removed_in_bounded_memory() {
    let per_folder = if is_long() { 125_000 } else { 2_500 };
    let bed = Bed::new(&["--delete-grace", "0s"]);
    let daemon = bed.mount(&[]);
    let empty_kb = daemon.resident_kb();
    let folders: Vec<_> = (0..FOLDERS).map(|number| bed.mount_point().join(format!("folder-{number}"))).collect();
    in_parallel(&folders, |folder| {
        fs::create_dir(folder).expect("mkdir");
        (0..per_folder).for_each(|number| drop(File::create(folder.join(format!("file-{number}"))).expect("create")));
    });
    in_parallel(&folders, |folder| {
        assert_eq!(fs::read_dir(folder).expect("list").count() as u64, per_folder);
        for number in 0..per_folder {
            assert_eq!(fs::metadata(folder.join(format!("file-{number}"))).expect("stat").len(), 0);
        }
    });
    let full_kb = daemon.resident_kb();
    in_parallel(&folders, |folder| fs::remove_dir_all(folder).expect("remove"));
    assert_eq!(fs::read_dir(bed.mount_point()).expect("list").count(), 0);
    let grown = full_kb.saturating_sub(empty_kb);
    let files = FOLDERS * per_folder;
    println!(
        "{files} files: {empty_kb} KiB at the start, {full_kb} KiB with all of them seen, {} bytes a file",
        grown * 1024 / files
    );
    assert!(full_kb < 1 << 20, "{full_kb} KiB of memory for {files} files");
    assert!(daemon.stop().success(), "{}", bed.log());
    bed.check();
}

#[test]
fn a_tree_of_many_names_is_cloned_in_bounded_memory() {
    let doublings = if is_long() { 10 } else { 4 };
    let bed = Bed::new(&["--delete-grace", "0s"]);
    let daemon = bed.mount(&[]);
    let (tree, copy) = (bed.mount_point().join("tree"), bed.mount_point().join("copy"));
    fs::create_dir_all(tree.join("0")).expect("mkdir");
    (0..1000).for_each(|number| fs::write(tree.join(format!("0/{number}")), b"small").expect("write"));
    let empty_kb = daemon.resident_kb();
    for number in 1..=doublings {
        let begin = Instant::now();
        bed.shoal(&["clone".as_ref(), tree.as_os_str(), copy.as_os_str()]).expect_code(0);
        println!("{} names in {:?}", 1000 << (number - 1), begin.elapsed());
        fs::rename(&copy, tree.join(number.to_string())).expect("rename");
    }
    let full_kb = daemon.resident_kb();
    println!("{empty_kb} KiB before, {full_kb} KiB afterwards");
    assert!(full_kb < empty_kb + GROWTH_KIB_MAX, "{full_kb} KiB of memory, {empty_kb} KiB before");
    let innermost = (1..=doublings).rev().fold(tree.clone(), |path, number| path.join(number.to_string())).join("0");
    assert_eq!(fs::read_dir(innermost).expect("list").count(), 1000);
    let find = std::process::Command::new("find").arg(&tree).args(["-type", "f", "-size", "5c"]).output();
    let found = find.expect("there is find").stdout.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(found, 1000 << doublings);
    assert!(daemon.stop().success(), "{}", bed.log());
    bed.check();
}

#[test]
fn an_idle_mount_uses_no_processor_time() {
    let bed = Bed::new(&[]);
    let daemon = bed.mount(&[]);
    fs::write(bed.mount_point().join("file"), b"once").expect("write");
    let (before, begin) = (daemon.cpu_seconds(), Instant::now());
    // Idleness is a length of time; there is no state to wait for.
    thread::sleep(Duration::from_secs(12));
    let share = (daemon.cpu_seconds() - before) / begin.elapsed().as_secs_f64();
    assert!(share < 0.01, "{:.2} % of a core", share * 100.0);
    assert!(daemon.stop().success(), "{}", bed.log());
}

fn in_parallel(folders: &[std::path::PathBuf], work: impl Fn(&Path) + Sync) {
    thread::scope(|scope| folders.iter().for_each(|folder| drop(scope.spawn(|| work(folder)))));
}
