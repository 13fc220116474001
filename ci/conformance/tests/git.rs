//! Git: many small files, renames over lock files, mapped pack files, and a checker of its own.

use shoal_ci_conformance::run;
use shoal_ci_testbed::Bed;
use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn a_clone_takes_commits_and_git_finds_nothing_wrong_with_it() {
    let bed = Bed::new(&[]);
    let origin = bed.path("origin");
    make_repository(&origin);
    let daemon = bed.mount(&[]);
    let clone = bed.mount_point().join("clone");
    run(Command::new("git").args(["clone", "--quiet", "--no-local"]).args([&origin, &clone]));
    for number in 0..5 {
        fs::write(clone.join(format!("new-{number}")), format!("{number}\n").repeat(number * 1000)).expect("write");
        git(&clone, &["add", "."]);
        git(&clone, &["commit", "--quiet", "-m", "more"]);
    }
    git(&clone, &["gc", "--quiet"]);
    git(&clone, &["fsck", "--strict", "--no-progress"]);
    assert_eq!(git(&clone, &["status", "--porcelain"]), "");
    assert!(daemon.stop().success(), "{}", bed.log());

    let daemon = bed.mount(&[]);
    git(&clone, &["fsck", "--strict", "--no-progress"]);
    assert_eq!(git(&clone, &["status", "--porcelain"]), "");
    assert_eq!(git(&clone, &["rev-list", "--count", "HEAD"]), "25\n");
    assert!(daemon.stop().success(), "{}", bed.log());
    bed.check();
}

fn make_repository(folder: &Path) {
    fs::create_dir(folder).expect("mkdir");
    git(folder, &["init", "--quiet"]);
    for commit in 0..20 {
        for file in 0..30 {
            let path = folder.join(format!("folder-{}/file-{file}", commit % 4));
            fs::create_dir_all(path.parent().expect("inside the folder")).expect("mkdir");
            fs::write(path, format!("commit {commit} file {file}\n").repeat(1 + commit * file)).expect("write");
        }
        git(folder, &["add", "."]);
        git(folder, &["commit", "--quiet", "-m", "some"]);
    }
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(["-c", "user.name=T", "-c", "user.email=t@example.org"]).args(arguments);
    // Root's clone of somebody's repository, or a config of this machine, must not matter.
    run(command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null"))
}
