//! Files that are replaced by rename, as editors, git and package managers do it, while others open them all the time.

use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};
use shoal_ci_conformance::{is_long, wait_until};
use shoal_ci_testbed::Bed;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const LINES: usize = 500;

/// Puts a new file of one number, many times over, in the place of another one.
fn replace(folder: &Path, writer: usize, number: usize) {
    let new = folder.join(format!("new-{writer}"));
    fs::write(&new, format!("{number:010}\n").repeat(LINES)).expect("written");
    fs::rename(new, folder.join("file")).expect("renamed");
}

/// The number in the file, which must be there, and whole.
fn read(folder: &Path) -> usize {
    let text = fs::read_to_string(folder.join("file")).expect("there is always a file");
    let mut lines = text.lines();
    let first = lines.next().expect("a file is never empty");
    assert_eq!(text.lines().count(), LINES, "{first}");
    assert!(lines.all(|line| line == first), "{text}");
    first.parse().expect("a number")
}

/// One writer in the first folder; in each of `readers` one that reads, and one that asks and changes attributes.
fn race(writer: &Path, readers: &[PathBuf]) {
    let done = AtomicBool::new(false);
    replace(writer, 0, 0);
    std::thread::scope(|scope| {
        for folder in readers {
            scope.spawn(|| {
                let mut last = 0;
                while !done.load(Ordering::Acquire) {
                    let number = read(folder);
                    assert!(number >= last, "{number} after {last}");
                    last = number;
                }
            });
            scope.spawn(|| {
                let file = folder.join("file");
                while !done.load(Ordering::Acquire) {
                    assert_eq!(fs::metadata(&file).expect("there is always a file").len(), LINES as u64 * 11);
                    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("chmod finds a file");
                    fs::OpenOptions::new().write(true).open(&file).expect("there is always a file");
                }
            });
        }
        for number in 1..=if is_long() { 5_000 } else { 200 } {
            replace(writer, 0, number);
        }
        done.store(true, Ordering::Release);
    });
}

#[test]
fn a_file_that_is_being_replaced_is_found_whole_by_all_on_the_mount() {
    let bed = Bed::new(&[]);
    let daemon = bed.mount(&[]);
    race(&bed.mount_point(), &[bed.mount_point(), bed.mount_point()]);
    assert!(daemon.stop().success(), "{}", bed.log());
    bed.check();
}

#[test]
fn a_file_that_is_being_replaced_is_found_whole_on_another_mount() {
    let bed = Bed::new(&[]);
    let daemons = [bed.mount(&[]), bed.mount_second(&[])];
    race(&bed.mount_point(), &[bed.mount_point(), bed.path("second")]);
    for daemon in daemons {
        assert!(daemon.stop().success(), "{}", bed.log());
    }
    bed.check();
}

/// The daemon does not learn of O_PATH and working directories, only when the kernel forgets an inode.
#[test]
fn what_is_removed_is_served_to_who_has_walked_there_until_he_leaves() {
    let bed = Bed::new(&["--delete-grace", "0s", "--inline-max", "0"]);
    let daemon = bed.mount(&[]);
    let store = || files_below(&bed.path("volume.objects"));
    let empty = store();
    let objects = || store() - empty;
    let (folder, held, other) =
        (bed.mount_point().join("folder"), bed.mount_point().join("held"), bed.mount_point().join("other"));
    fs::create_dir(&folder).expect("mkdir");
    fs::write(&held, "held").expect("written");
    fs::write(&other, "not held").expect("written");
    assert_eq!(objects(), 2);
    let walk = |path: &Path| rustix::fs::open(path, OFlags::PATH, Mode::empty()).expect("it is there");
    let (walked, file) = (walk(&folder), walk(&held));
    fs::remove_dir(&folder).expect("rmdir");
    fs::remove_file(&held).expect("unlink");
    fs::remove_file(&other).expect("unlink");
    let rounds_pass = || wait_until(Duration::from_secs(60), "the other file's object to go", || objects() == 1);
    rounds_pass();

    let through = |descriptor: &OwnedFd| PathBuf::from(format!("/proc/self/fd/{}", descriptor.as_raw_fd()));
    let asked = AtFlags::EMPTY_PATH | AtFlags::STATX_FORCE_SYNC;
    let links =
        |descriptor| rustix::fs::statx(descriptor, "", asked, StatxFlags::BASIC_STATS).map(|stat| stat.stx_nlink);
    assert_eq!((links(&walked), links(&file)), (Ok(0), Ok(0)));
    fs::set_permissions(through(&walked), fs::Permissions::from_mode(0o700)).expect("chmod");
    assert_eq!(fs::read_to_string(through(&file)).expect("it can still be opened"), "held");
    fs::write(through(&file), "written to").expect("and written");
    assert_eq!(fs::read_to_string(through(&file)).expect("and opened again"), "written to");

    drop((walked, file));
    wait_until(Duration::from_secs(60), "the last object to go", || objects() == 0);
    assert!(daemon.stop().success(), "{}", bed.log());
    bed.check();
}

fn files_below(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).map(|entries| entries.flatten().collect::<Vec<_>>()).unwrap_or_default();
    entries.iter().map(|entry| if entry.path().is_dir() { files_below(&entry.path()) } else { 1 }).sum()
}
