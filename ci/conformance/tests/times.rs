//! Which call moves which time of which object: the same calls on a mount and in a plain folder of this machine.
//!
//! Before each call the access and modification times of all objects are set to a moment in the past, and the clock has
//! ticked since; afterwards each of them, and the change time, has moved or not. Access times are looked at only where the
//! call reads something.

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, StatxFlags, Timespec, Timestamps};
use shoal_ci_conformance::Twins;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;

type Call = fn(&Path);

/// What is there before each call: a file with content and two names, a directory with something in it, a symlink.
fn prepare(folder: &Path) {
    fs::create_dir_all(folder.join("d/sub")).expect("mkdir");
    fs::create_dir(folder.join("e")).expect("mkdir");
    fs::write(folder.join("f"), b"some content").expect("write");
    fs::hard_link(folder.join("f"), folder.join("g")).expect("link");
    fs::write(folder.join("d/x"), b"x").expect("write");
    std::os::unix::fs::symlink("f", folder.join("s")).expect("symlink");
}

/// All of them, and names that calls make.
const OBJECTS: [&str; 12] = [".", "d", "d/sub", "d/x", "e", "f", "s", "new", "d/new", "e/x", "e/new", "e/sub"];

const CHANGES: &[(&str, Call)] = &[
    ("create", |at| drop(File::create(at.join("d/new")).expect("create"))),
    ("mkdir", |at| fs::create_dir(at.join("d/new")).expect("mkdir")),
    ("symlink", |at| std::os::unix::fs::symlink("t", at.join("d/new")).expect("symlink")),
    ("mkfifo", |at| {
        let (kind, mode) = (rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o600));
        rustix::fs::mknodat(CWD, at.join("d/new"), kind, mode, 0).expect("mkfifo")
    }),
    ("link", |at| fs::hard_link(at.join("f"), at.join("d/new")).expect("link")),
    ("unlink one of two names", |at| fs::remove_file(at.join("g")).expect("unlink")),
    ("unlink the last name", |at| fs::remove_file(at.join("d/x")).expect("unlink")),
    ("rmdir", |at| fs::remove_dir(at.join("d/sub")).expect("rmdir")),
    ("rename within a directory", |at| fs::rename(at.join("d/x"), at.join("d/new")).expect("rename")),
    ("rename to another directory", |at| fs::rename(at.join("d/x"), at.join("e/x")).expect("rename")),
    ("rename of a directory to another", |at| fs::rename(at.join("d/sub"), at.join("e/sub")).expect("rename")),
    ("rename over a file", |at| fs::rename(at.join("d/x"), at.join("f")).expect("rename")),
    ("rename to the same file", |at| fs::rename(at.join("f"), at.join("g")).expect("rename")),
    ("exchange", |at| {
        let flags = RenameFlags::EXCHANGE;
        rustix::fs::renameat_with(CWD, at.join("d/x"), CWD, at.join("e"), flags).expect("exchange");
    }),
    ("chmod", |at| fs::set_permissions(at.join("f"), fs::Permissions::from_mode(0o600)).expect("chmod")),
    ("chmod to the same mode", |at| {
        let mode = fs::metadata(at.join("f")).expect("stat").permissions();
        fs::set_permissions(at.join("f"), mode).expect("chmod");
    }),
    ("chown to the same owner", |at| {
        let found = fs::metadata(at.join("f")).expect("stat");
        std::os::unix::fs::chown(at.join("f"), Some(found.uid()), Some(found.gid())).expect("chown");
    }),
    ("write", |at| File::options().write(true).open(at.join("f")).expect("open").write_all_at(b"x", 3).expect("write")),
    ("append", |at| {
        use std::io::Write;
        File::options().append(true).open(at.join("f")).expect("open").write_all(b"x").expect("write");
    }),
    ("write nothing", |at| {
        File::options().write(true).open(at.join("f")).expect("open").write_all_at(b"", 3).expect("write");
    }),
    ("truncate shorter", |at| truncate(&at.join("f"), 3)),
    ("truncate longer", |at| truncate(&at.join("f"), 300)),
    ("truncate to the same length", |at| truncate(&at.join("f"), 12)),
    ("open to truncate", |at| drop(File::create(at.join("f")).expect("open"))),
    ("open an empty file to truncate", |at| {
        let empty = at.join("d/x");
        truncate(&empty, 0);
        age(at);
        drop(File::create(empty).expect("open"));
    }),
    ("set both times", |at| utimes(&at.join("f"), 77, 78)),
    ("set the access time alone", |at| utimes(&at.join("f"), 77, rustix::fs::UTIME_OMIT)),
    ("set the modification time to now", |at| utimes(&at.join("f"), rustix::fs::UTIME_OMIT, rustix::fs::UTIME_NOW)),
    ("set no time at all", |at| utimes(&at.join("f"), rustix::fs::UTIME_OMIT, rustix::fs::UTIME_OMIT)),
    ("set both to now", |at| utimes(&at.join("f"), rustix::fs::UTIME_NOW, rustix::fs::UTIME_NOW)),
    ("set the times of a symlink", |at| utimes(&at.join("s"), 77, 78)),
    ("set an extended attribute", |at| {
        rustix::fs::setxattr(at.join("f"), "user.a", b"1", rustix::fs::XattrFlags::empty()).expect("setxattr");
    }),
    ("stat", |at| assert!(fs::metadata(at.join("f")).expect("stat").is_file())),
    ("look a name up that is missing", |at| assert!(fs::metadata(at.join("d/missing")).is_err())),
    ("open to write and close", |at| drop(File::options().write(true).open(at.join("f")).expect("open"))),
];

const READS: &[(&str, Call)] = &[
    ("read a file", |at| drop(fs::read(at.join("f")).expect("read"))),
    ("read it without a trace", |at| {
        let flags = OFlags::RDONLY | OFlags::NOATIME;
        let file = File::from(rustix::fs::open(at.join("f"), flags, Mode::empty()).expect("open"));
        assert_eq!(file.read_at(&mut [0; 12], 0).expect("read"), 12);
    }),
    ("list a directory", |at| assert_eq!(fs::read_dir(at.join("d")).expect("list").count(), 2)),
    ("read a link", |at| drop(fs::read_link(at.join("s")).expect("readlink"))),
    ("read it twice", |at| {
        fs::read(at.join("f")).expect("read");
        let first = fs::metadata(at.join("f")).expect("stat").atime_nsec();
        tick();
        fs::read(at.join("f")).expect("read");
        if fs::metadata(at.join("f")).expect("stat").atime_nsec() != first {
            fs::create_dir(at.join("new")).expect("a trace of the second access");
        }
    }),
    ("read an old access time of today", |at| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
        utimes(&at.join("f"), now as i64 - 5, 1000);
        tick();
        // Its change time is later than that, so this one counts, and only the next does not.
        fs::read(at.join("f")).expect("read");
    }),
];

fn truncate(path: &Path, length: u64) {
    File::options().write(true).open(path).expect("open").set_len(length).expect("truncate");
}

/// Seconds, or one of the special values in their place.
fn utimes(path: &Path, accessed: i64, modified: i64) {
    let special = [rustix::fs::UTIME_NOW, rustix::fs::UTIME_OMIT];
    let time = |value| match special.contains(&value) {
        true => Timespec { tv_sec: 0, tv_nsec: value },
        false => Timespec { tv_sec: value, tv_nsec: 5 },
    };
    let times = Timestamps { last_access: time(accessed), last_modification: time(modified) };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("utimensat");
}

const PAST: i64 = 1_000_000_000;

fn age(folder: &Path) {
    for object in OBJECTS.iter().map(|name| folder.join(name)).filter(|path| path.symlink_metadata().is_ok()) {
        utimes(&object, PAST, PAST);
    }
    tick();
}

/// Until the clock that files are stamped with has moved: a few milliseconds at most.
fn tick() {
    let clock = || rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    let before = clock();
    for _ in 0..2 {
        let at = clock();
        while clock() == at {
            std::thread::yield_now();
        }
    }
    assert_ne!(before, clock());
}

/// Which times of which objects a call has moved.
fn moved(folder: &Path, call: Call, with_access: bool) -> String {
    fs::create_dir(folder).expect("a new folder for each call");
    prepare(folder);
    age(folder);
    let times = |name: &str| {
        let found = fs::symlink_metadata(folder.join(name)).ok()?;
        let inode = found.ino();
        Some((
            inode,
            [
                (found.atime(), found.atime_nsec()),
                (found.mtime(), found.mtime_nsec()),
                (found.ctime(), found.ctime_nsec()),
            ],
        ))
    };
    let before: Vec<_> = OBJECTS.iter().filter_map(|name| times(name)).collect();
    call(folder);
    let mut told = String::new();
    for name in OBJECTS {
        let Some((inode, after)) = times(name) else { continue };
        let Some((_, before)) = before.iter().find(|(known, _)| *known == inode) else {
            let new = fs::symlink_metadata(folder.join(name)).expect("it is there");
            let same = after[1] == after[2] && after[0] == after[1];
            told += &format!("{name} is new{}; ", if same || !new.is_file() { "" } else { " and has several times" });
            continue;
        };
        let moved: String = "amc"
            .chars()
            .zip(before.iter().zip(after))
            .filter(|(_, (before, after))| **before != *after)
            .map(|(which, _)| which)
            .collect();
        let moved = if with_access { moved } else { moved.replace('a', "") };
        if !moved.is_empty() {
            told += &format!("{name}: {moved}; ");
        }
    }
    told
}

fn compare(twins: &Twins, calls: &[(&str, Call)], with_access: bool) {
    let mut differences = String::new();
    for (number, (name, call)) in calls.iter().enumerate() {
        let [local, mounted] =
            twins.folders().map(|folder| moved(&folder.join(number.to_string()), *call, with_access));
        if local != mounted {
            differences += &format!("{name}\n    plain folder: {local}\n    mount:        {mounted}\n");
        }
    }
    assert_eq!(differences, "");
}

#[test]
fn every_call_moves_the_times_that_it_moves_in_a_local_folder() {
    let twins = Twins::new(&[]);
    compare(&twins, CHANGES, false);
    twins.end();
}

#[test]
fn reading_moves_access_times_as_relatime_says() {
    // What the kernel remembers of attributes could be from before a read that it answers from its own cache.
    let twins = Twins::new(&["--attr-timeout", "0"]);
    compare(&twins, READS, true);
    twins.end();
}

#[test]
fn access_times_move_always_or_never_where_that_is_asked_for() {
    let read = |options: &str| {
        let twins = Twins::new(&["--attr-timeout", "0", "-o", options]);
        let [_, folder] = twins.folders();
        fs::write(folder.join("f"), b"content").expect("write");
        fs::create_dir(folder.join("d")).expect("mkdir");
        let atime = |name: &str| fs::metadata(folder.join(name)).expect("stat").accessed().expect("a time");
        let moves = ["f", "d"].map(|name| {
            let look = || {
                if name == "f" {
                    drop(fs::read(folder.join("f")).expect("read"))
                } else {
                    assert_eq!(fs::read_dir(folder.join("d")).expect("list").count(), 0)
                }
            };
            [(); 2].map(|()| {
                let before = atime(name);
                tick();
                look();
                atime(name) != before
            })
        });
        twins.end();
        moves
    };
    assert_eq!(read("strictatime"), [[true, true], [true, true]]);
    assert_eq!(read("noatime"), [[false, false], [false, false]]);
    assert_eq!(read("strictatime,nodiratime"), [[true, true], [false, false]]);
}

#[test]
fn access_times_are_stored_and_those_set_by_hand_stay() {
    let bed = shoal_ci_testbed::Bed::new(&[]);
    let daemon = bed.mount(&["--attr-timeout", "0"]);
    let path = |name: &str| bed.mount_point().join(name);
    let accessed = |name: &str| fs::metadata(path(name)).expect("stat").atime();
    for name in ["read", "set"] {
        fs::write(path(name), b"content").expect("write");
        utimes(&path(name), PAST, PAST);
        fs::read(path(name)).expect("read");
        assert!(accessed(name) > PAST);
    }
    utimes(&path("set"), PAST, PAST);
    assert_eq!(accessed("set"), PAST);
    assert!(daemon.stop().success(), "{}", bed.log());
    let daemon = bed.mount(&[]);
    assert!(accessed("read") > PAST);
    assert_eq!(accessed("set"), PAST);
    assert!(daemon.stop().success(), "{}", bed.log());
    bed.check();
}

#[test]
fn times_of_every_century_are_kept_to_the_nanosecond() {
    let bed = shoal_ci_testbed::Bed::new(&[]);
    let daemon = bed.mount(&[]);
    // 1901 and before, the last second before 1970, after 2038, after 2554 where 64 bits of nanoseconds end.
    let seconds = [-5_000_000_000, -2_147_483_649, -1, 0, 4_294_967_296, 15_032_385_535, 20_000_000_000];
    let file = |index: usize| bed.mount_point().join(index.to_string());
    for (index, second) in seconds.into_iter().enumerate() {
        fs::write(file(index), b"").expect("write");
        utimes(&file(index), second, second);
    }
    let check = || {
        for (index, second) in seconds.into_iter().enumerate() {
            let found = fs::metadata(file(index)).expect("stat");
            assert_eq!((found.atime(), found.atime_nsec(), found.mtime(), found.mtime_nsec()), (second, 5, second, 5));
        }
    };
    check();
    assert!(daemon.stop().success(), "{}", bed.log());
    let daemon = bed.mount(&[]);
    check();
    let born = rustix::fs::statx(CWD, file(0), AtFlags::empty(), StatxFlags::BTIME).expect("statx");
    assert!(born.stx_mask & StatxFlags::BTIME.bits() != 0 && born.stx_btime.tv_sec > PAST, "{born:?}");
    assert!(daemon.stop().success(), "{}", bed.log());
    bed.check();
}
