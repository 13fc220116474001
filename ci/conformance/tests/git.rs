//! Git: many small files, renames over lock files, mapped pack files, and a checker of its own.

use shoal_ci_conformance::{is_long, run};
use shoal_ci_testbed::Bed;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

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

/// Each worker commits in a worktree and in a clone of its own, pushes to one bare repository and fetches what others pushed,
/// while the repository is packed again and again. Nothing is pruned meanwhile, and no worktree made: on any file system
/// git has races there.
#[test]
fn many_at_work_on_one_repository_lose_no_commit_and_leave_it_in_order() {
    let bed = Bed::new(&[]);
    let origin = bed.path("origin");
    make_repository(&origin);
    let daemon = bed.mount(&[]);
    let bare = bed.mount_point().join("bare.git");
    run(Command::new("git").args(["clone", "--quiet", "--bare", "--no-local"]).args([&origin, &bare]));
    let (workers, rounds) = if is_long() { (16, 60) } else { (4, 6) };
    for number in 0..workers {
        let (tree, branch) = (bed.mount_point().join(format!("tree-{number}")), format!("tree-{number}"));
        git(&bare, &["worktree", "add", "--quiet", "-b", &branch, &tree.display().to_string()]);
    }
    let working = AtomicUsize::new(workers);
    std::thread::scope(|scope| {
        for number in 0..workers {
            let (bare, working) = (&bare, &working);
            scope.spawn(move || {
                let _done = CountDown(working);
                work_on(bare, number, rounds);
            });
        }
        while working.load(Ordering::Acquire) > 0 {
            git(&bare, &["repack", "-a", "--quiet"]);
            git(&bare, &["pack-refs", "--all"]);
        }
    });
    assert_in_order(&bare, workers, rounds);
    git(&bare, &["gc", "--quiet"]);
    assert_in_order(&bare, workers, rounds);
    assert!(daemon.stop().success(), "{}", bed.log());

    let daemon = bed.mount(&[]);
    assert_in_order(&bare, workers, rounds);
    assert!(daemon.stop().success(), "{}", bed.log());
    bed.check();
}

/// Counts a worker as done even where it panics.
struct CountDown<'a>(&'a AtomicUsize);

impl Drop for CountDown<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

fn work_on(bare: &Path, number: usize, rounds: usize) {
    let beside = |name: String| bare.parent().expect("on the mount").join(name);
    let (clone, tree) = (beside(format!("clone-{number}")), beside(format!("tree-{number}")));
    run(Command::new("git").args(["clone", "--quiet", "--no-local"]).args([bare, &clone]));
    let branch = format!("clone-{number}");
    git(&clone, &["checkout", "--quiet", "-b", &branch]);
    for round in 0..rounds {
        for folder in [&clone, &tree] {
            fs::write(folder.join(format!("file-{round}")), format!("{number} {round}\n").repeat(500)).expect("write");
            git(folder, &["add", "."]);
            git(folder, &["commit", "--quiet", "-m", "more"]);
        }
        git(&clone, &["push", "--quiet", "origin", &branch]);
        git(&clone, &["fetch", "--quiet", "origin"]);
    }
    for folder in [&clone, &tree] {
        assert_eq!(git(folder, &["status", "--porcelain"]), "");
    }
    git(&clone, &["fsck", "--strict", "--no-progress"]);
}

#[track_caller]
fn assert_in_order(bare: &Path, workers: usize, rounds: usize) {
    git(bare, &["fsck", "--strict", "--no-progress"]);
    for branch in (0..workers).flat_map(|number| [format!("clone-{number}"), format!("tree-{number}")]) {
        assert_eq!(git(bare, &["rev-list", "--count", &branch]), format!("{}\n", 20 + rounds), "{branch}");
    }
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
    command.arg("-C").arg(folder).args(["-c", "user.name=T", "-c", "user.email=t@example.org"]);
    // Who meets a lock waits for it, and nobody starts to prune by himself.
    command.args(["-c", "core.filesRefLockTimeout=-1", "-c", "core.packedRefsTimeout=-1", "-c", "gc.auto=0"]);
    command.args(["-c", "receive.autoGc=false"]).args(arguments);
    // Root's clone of somebody's repository, or a config of this machine, must not matter.
    run(command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null"))
}
