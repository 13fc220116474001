//! Files that are replaced by rename, as editors, git and package managers do it, while others open them all the time.

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use shoal_ci_conformance::{is_long, wait_until};
use shoal_ci_testbed::Bed;
use std::fs;
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

/// O_PATH holds a directory as being somebody's working directory does: the daemon does not learn of it.
#[test]
fn a_removed_directory_is_served_to_who_has_it_open_and_stale_for_who_has_only_walked_there() {
    let bed = Bed::new(&[]);
    let daemon = bed.mount(&[]);
    let folder = bed.mount_point().join("folder");
    fs::create_dir(&folder).expect("mkdir");
    let open = |flags| rustix::fs::open(&folder, OFlags::DIRECTORY | flags, Mode::empty()).expect("it is there");
    let walked = open(OFlags::PATH);
    fs::remove_dir(&folder).expect("rmdir");
    // Until then the kernel answers from memory.
    wait_until(Duration::from_secs(30), "the kernel to ask", || {
        rustix::fs::fstat(&walked).is_err_and(|error| error == Errno::STALE)
    });

    fs::create_dir(&folder).expect("mkdir");
    let opened = open(OFlags::RDONLY);
    fs::remove_dir(&folder).expect("rmdir");
    assert_eq!(rustix::fs::fstat(&opened).expect("it is open").st_nlink, 0);
    drop((walked, opened));
    assert!(daemon.stop().success(), "{}", bed.log());
    bed.check();
}
