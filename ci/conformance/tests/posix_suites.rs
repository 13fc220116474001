//! Public suites of file-system checks, on a mount: pjdfstest asks for calls and their errnos, fsx writes one file in every
//! way and reads it back.
//!
//! Relies on the suites being where `ci/install` builds them.

use shoal_ci_conformance::{Twins, is_long, run};
use shoal_ci_servers::find_built;
use shoal_ci_testbed::Bed;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Each check of pjdfstest with its outcome in a folder.
fn pjdfstest(folder: &Path, beside: &Path, filter: &[&str]) -> BTreeMap<String, String> {
    let settings = beside.join("pjdfstest.toml");
    let text = "
        [features]
        posix_fallocate = {}
        rename_ctime = {}
        stat_st_birthtime = {}
        utime_now = {}
        utimensat = {}
        [settings]
        naptime = 0.02
        allow_remount = ALLOW
        [dummy_auth]
        entries = [[\"nobody\", \"nogroup\"], [\"daemon\", \"daemon\"]]";
    fs::write(&settings, text.replace("ALLOW", if filter.is_empty() { "false" } else { "true" })).expect("settings");
    // `mount` without its helpers: the suite remounts by what the kernel alone can do.
    let programs = beside.join("programs");
    fs::create_dir_all(&programs).expect("a folder for programs");
    run(Command::new("sh")
        .current_dir(&programs)
        .args(["-c", "printf '#!/bin/sh\\nexec /bin/mount -i \"$@\"\\n' > mount; chmod 755 mount"]));
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").expect("PATH is set"));
    let mut command = Command::new(find_built("pjdfstest"));
    command.args(filter).arg("-c").arg(settings).arg("-p").arg(folder).args(["-s", "/dev/shm"]).env("PATH", path);
    let output = command.output().expect("pjdfstest starts");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let outcome = |line: &str| {
        let (check, outcome) = line.split_once(' ')?;
        let outcome = outcome.trim();
        (check.contains("::") && ["ok", "skipped", "FAILED"].contains(&outcome))
            .then(|| (check.to_owned(), outcome.to_owned()))
    };
    let outcomes: BTreeMap<String, String> = told.lines().filter_map(outcome).collect();
    assert!(!outcomes.is_empty(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    for (check, _) in outcomes.iter().filter(|(_, outcome)| *outcome == "FAILED") {
        println!("{check} failed in {}", folder.display());
    }
    outcomes
}

#[test]
fn no_check_of_pjdfstest_fails_that_passes_in_a_local_folder() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not root: most of pjdfstest becomes one user after the other");
        return;
    }
    let twins = Twins::new(&[]);
    let [local, mounted] = twins.folders();
    let beside = tempfile::tempdir().expect("a temporary folder");
    let wanted = pjdfstest(&local, beside.path(), &[]);
    assert!(wanted.len() > 390, "the suite has its checks: {}", wanted.len());
    let mut found = pjdfstest(&mounted, beside.path(), &[]);
    // The suite runs its checks side by side in one process. A program that one has just written and wants to run is busy
    // (ETXTBSY) while another one forks, because the child has the descriptor until it runs something itself. So what
    // fails has to fail by itself too.
    for (check, outcome) in found.iter_mut().filter(|(_, outcome)| *outcome == "FAILED") {
        let alone = pjdfstest(&mounted, beside.path(), &[check.as_str()]);
        *outcome = alone.get(check).cloned().expect("the suite runs the check it is asked for");
    }
    // The C library knows the limits of some file systems by their type, and so the suite asks less here.
    assert_eq!(found.insert("link::link_count_max".into(), "ok".into()).as_deref(), Some("skipped"));
    let differences: Vec<_> = wanted.iter().filter(|(check, outcome)| found.get(*check) != Some(outcome)).collect();
    assert!(differences.is_empty(), "in a local folder these are {differences:?}");
    // The local folder can't be made read-only. Run by themselves: earlier checks leave files open that refuse it anywhere.
    let read_only = pjdfstest(&mounted, beside.path(), &["erofs"]);
    assert_eq!(read_only.len(), 13, "{read_only:?}");
    assert!(read_only.values().all(|outcome| outcome == "ok"), "{read_only:?}");
    twins.end();
}

/// Length of the file, greatest size and alignment of an operation.
const FSX_FORMS: [(u64, u64, u64); 4] =
    [(256 << 10, 64 << 10, 1), (1_000_003, 120_000, 1), (80 << 20, 3 << 20, 1), (4 << 20, 256 << 10, 4096)];

#[test]
fn fsx_finds_every_byte_where_it_wrote_it() {
    let bed = Bed::new(&[]);
    let options: [&[&str]; 2] = [&[], &["--writeback-cache"]];
    for options in options {
        let daemon = bed.mount(options);
        for (number, (length, operation_max, align)) in FSX_FORMS.into_iter().enumerate() {
            let settings = bed.path("fsx.toml");
            // fsx 0.3.2 aligns the end of an allocation and not its beginning, and so asks for an empty one now and then:
            // it gives up then, in a local folder as well.
            let posix_fallocate = if align == 1 { 3 } else { 0 };
            let text = format!(
                "flen = {length}\nopsize = {{ max = {operation_max}, align = {align} }}\n[weights]\n\
                 close_open = 2\nread = 10\nwrite = 10\nmapread = 10\nmapwrite = 10\ninvalidate = 2\ntruncate = 5\n\
                 fsync = 1\nfdatasync = 1\nposix_fallocate = {posix_fallocate}\npunch_hole = 5\nsendfile = 5\nposix_fadvise = 3\n\
                 copy_file_range = 5\n"
            );
            fs::write(&settings, text).expect("settings");
            let seeds = if is_long() { 10 } else { 1 };
            let operations = if is_long() { "20000" } else { "1000" };
            for seed in 0..seeds {
                let mut fsx = Command::new(find_built("fsx"));
                fsx.args(["-N", operations, "-S", &seed.to_string(), "-P"]).arg(bed.path(".")).arg("-f").arg(&settings);
                run(fsx.arg(bed.mount_point().join(format!("file-{number}"))));
            }
        }
        assert!(daemon.stop().success(), "{}", bed.log());
        bed.check();
    }
}
