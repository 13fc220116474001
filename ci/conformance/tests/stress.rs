//! Load generators of others: stress-ng calls everything that its file-system class knows, dbench plays an office's day.

use shoal_ci_conformance::{Twins, is_long, run};
use shoal_ci_testbed::Bed;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

/// One after the other: stress-ng takes whatever the system has, semaphores and processes included.
static SYSTEM: Mutex<()> = Mutex::new(());

/// What stress-ng complains of in a folder, without numbers, which differ from run to run.
fn complaints(folder: &Path, options: &[&str]) -> BTreeSet<String> {
    let folder = folder.join("stress");
    fs::create_dir_all(&folder).expect("mkdir");
    let mut command = Command::new("stress-ng");
    command.args(["--class", "filesystem", "--verify", "--temp-path"]).arg(&folder).args(options);
    let output = command.current_dir(&folder).output().expect("stress-ng starts");
    let told = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(told.contains("run completed in"), "it came to its end: {told}");
    // Stressors clean up after themselves.
    let left: Vec<_> = fs::read_dir(&folder).expect("listed").map(|entry| entry.expect("listed").path()).collect();
    assert!(left.is_empty(), "{left:?} is left: {told}");
    let complaint = |line: &str| {
        let (_, said) = line.split_once("fail:").or_else(|| line.split_once("error:"))?;
        // That an event is late says how busy the machine is.
        let told = !said.contains("timed waiting for event");
        told.then(|| said.chars().filter(|letter| !letter.is_ascii_digit()).collect())
    };
    told.lines().filter_map(complaint).collect()
}

#[test]
fn stress_ng_complains_of_nothing_that_it_does_not_find_in_a_local_folder() {
    let forms: &[&[&str]] = match is_long() {
        // Everything at once, and one after the other.
        true => &[&["--all", "2", "--timeout", "60"], &["--seq", "2", "--timeout", "3"]],
        false => &[&["--all", "1", "--timeout", "10"]],
    };
    let _alone = SYSTEM.lock();
    let twins = Twins::new(&[]);
    let [local, mounted] = twins.folders();
    for form in forms {
        let found = complaints(&mounted, form);
        // A local folder is asked only if there is something to excuse.
        let excused = if found.is_empty() { BTreeSet::new() } else { complaints(&local, form) };
        let new: Vec<_> = found.difference(&excused).collect();
        assert!(new.is_empty(), "{form:?}: {new:#?}");
    }
    twins.end();
}

#[test]
fn dbench_gets_through_its_day() {
    let _alone = SYSTEM.lock();
    let bed = Bed::new(&[]);
    let daemon = bed.mount(&[]);
    let (seconds, clients) = if is_long() { ("60", "48") } else { ("5", "12") };
    let mut dbench = Command::new("dbench");
    dbench.arg("-D").arg(bed.mount_point()).args(["-t", seconds, clients]);
    let told = run(&mut dbench);
    let summary = told.lines().find(|line| line.starts_with("Throughput ")).unwrap_or_else(|| panic!("{told}"));
    println!("{summary}");
    // Without the semaphore its clients start a little apart.
    let failed = |line: &str| line.contains("failed") && !line.contains("failed to create barrier semaphore");
    assert!(!told.lines().any(failed) && !told.contains("ERROR"), "{told}");
    assert!(daemon.stop().success(), "{}", bed.log());
    bed.check();
}
