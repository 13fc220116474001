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
