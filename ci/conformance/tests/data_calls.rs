//! Calls on names and data, told as stories: the same on a mount and on a plain folder must read the same, errno by errno.

use rustix::fs::{self, AtFlags, CWD, FallocateFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use shoal_ci_conformance::{Listing, Mapping, run};
use shoal_ci_testbed::Bed;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

/// What happened, in order.
#[derive(Default)]
struct Story(Vec<String>);

impl Story {
    fn tell(&mut self, what: &str, outcome: impl Debug) {
        self.0.push(format!("{what}: {outcome:?}"));
    }
}

/// Tells a story on a mount and beside it, and compares. Afterwards the volume is sound.
#[track_caller]
fn compare(story: impl Fn(&Path, &mut Story)) {
    let bed = Bed::new(&["--delete-grace", "0s"]);
    let daemon = bed.mount(&[]);
    let (mut expected, mut found) = (Story::default(), Story::default());
    let plain = bed.path("plain");
    std::fs::create_dir(&plain).expect("mkdir");
    story(&plain, &mut expected);
    story(&bed.mount_point(), &mut found);
    for (expected, found) in expected.0.iter().zip(&found.0) {
        assert_eq!(found, expected, "left: the mount, right: a plain folder");
    }
    assert_eq!(found.0.len(), expected.0.len());
    assert!(daemon.stop().success(), "{}", bed.log());
    bed.check();
}

fn open(path: &Path, flags: OFlags) -> Result<File, Errno> {
    fs::openat(CWD, path, flags | OFlags::CLOEXEC, Mode::from_raw_mode(0o640)).map(File::from)
}

const READ_WRITE: OFlags = OFlags::RDWR.union(OFlags::CREATE);

fn content(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("read")
}

fn nlink(path: &Path) -> u64 {
    std::fs::symlink_metadata(path).expect("lstat").nlink()
}

#[test]
fn fallocate_and_copies_are_refused_and_granted_as_on_a_local_disk() {
    compare(|folder, story| {
        let (path, other) = (folder.join("f"), folder.join("g"));
        let file = open(&path, READ_WRITE).expect("open");
        file.write_all_at(&[7; 100_000], 0).expect("write");
        let reader = open(&path, OFlags::RDONLY).expect("open");
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        story.tell("no bytes", fs::fallocate(&file, FallocateFlags::empty(), 0, 0));
        story.tell("a hole with a new length", fs::fallocate(&file, FallocateFlags::PUNCH_HOLE, 0, 10));
        story.tell("of a reader", fs::fallocate(&reader, FallocateFlags::empty(), 0, 10));
        story.tell("beyond off_t", fs::fallocate(&file, punch, i64::MAX as u64, 10));
        story.tell("a hole", fs::fallocate(&file, punch, 1000, 50_000));
        story.tell("zeros", fs::fallocate(&file, FallocateFlags::ZERO_RANGE, 99_000, 10_000));
        story.tell("room", fs::fallocate(&file, FallocateFlags::empty(), 120_000, 10));
        story.tell("room without length", fs::fallocate(&file, FallocateFlags::KEEP_SIZE, 0, 1 << 20));
        story.tell("length", file.metadata().expect("fstat").len());
        story.tell("bytes", content(&path));
        let emptied = open(&folder.join("emptied"), READ_WRITE).expect("open");
        emptied.write_all_at(&[7; 100_000], 0).expect("write");
        story.tell("all of it a hole", fs::fallocate(&emptied, punch, 0, 1 << 21));
        emptied.sync_all().expect("fsync");
        let attributes = emptied.metadata().expect("fstat");
        story.tell("what is left of it", (attributes.len(), attributes.blocks()));

        file.write_all_at(b"0123456789", 0).expect("write");
        file.set_len(10).expect("truncate");
        let target = open(&other, READ_WRITE).expect("open");
        let copy = |from: &File, at: u64, to: &File, to_at: u64, length: usize| {
            let (mut at, mut to_at) = (at, to_at);
            fs::copy_file_range(from, Some(&mut at), to, Some(&mut to_at), length)
        };
        story.tell("a copy", copy(&file, 2, &target, 5, 100));
        story.tell("of nothing", copy(&file, 10, &target, 0, 5));
        story.tell("within", copy(&file, 0, &file, 20, 10));
        story.tell("overlapping", copy(&file, 0, &file, 5, 10));
        story.tell("to a reader", copy(&file, 0, &reader, 40, 10));
        story.tell("to an appender", copy(&file, 0, &open(&other, OFlags::RDWR | OFlags::APPEND).expect("open"), 0, 5));
        story.tell("of a directory", copy(&open(folder, OFlags::RDONLY).expect("open"), 0, &target, 0, 5));
        story.tell("what came of it", (content(&path), content(&other)));
    });
}

#[test]
fn what_the_kernel_does_not_pass_on_is_not_supported() {
    let bed = Bed::new(&[]);
    let daemon = bed.mount(&[]);
    let path = bed.mount_point().join("f");
    let file = open(&path, READ_WRITE).expect("open");
    file.write_all_at(&[1; 1 << 20], 0).expect("write");
    for flags in [FallocateFlags::COLLAPSE_RANGE, FallocateFlags::INSERT_RANGE, FallocateFlags::UNSHARE_RANGE] {
        assert_eq!(fs::fallocate(&file, flags, 0, 4096), Err(Errno::OPNOTSUPP), "{flags:?}");
    }
    let clone = open(&bed.mount_point().join("g"), READ_WRITE).expect("open");
    assert_eq!(fs::ioctl_ficlone(&clone, &file), Err(Errno::OPNOTSUPP));
    // And cp finds its way without it.
    run(Command::new("cp").arg("--reflink=auto").arg(&path).arg(bed.mount_point().join("h")));
    assert!(content(&bed.mount_point().join("h")) == content(&path));
    assert!(daemon.stop().success(), "{}", bed.log());
}

#[test]
fn a_large_copy_moves_no_bytes() {
    let bed = Bed::new(&["--delete-grace", "0s"]);
    let daemon = bed.mount(&[]);
    let (source, target) = (bed.mount_point().join("source"), bed.mount_point().join("target"));
    let bytes: Vec<u8> = (0..100u32 << 20).map(|at| (at >> 9) as u8 ^ at as u8).collect();
    std::fs::write(&source, &bytes).expect("write");
    let objects =
        || run(Command::new("find").arg(bed.path("")).args(["-type", "f", "-path", "*objects*"])).lines().count();
    let before = objects();
    run(Command::new("cp").arg(&source).arg(&target));
    assert_eq!(objects(), before, "cp shares what is stored");
    std::fs::remove_file(&source).expect("remove");
    assert!(content(&target) == bytes);
    assert!(daemon.stop().success(), "{}", bed.log());
    bed.check();
}

#[test]
fn files_reach_to_the_end_of_off_t_and_not_beyond() {
    let bed = Bed::new(&["--delete-grace", "0s"]);
    let daemon = bed.mount(&[]);
    let path = bed.mount_point().join("f");
    let file = open(&path, READ_WRITE).expect("open");
    let last = i64::MAX as u64 - 1;
    assert_eq!(rustix::io::pwrite(&file, b"z", last), Ok(1));
    for (bytes, at) in [(&b"yz"[..], last), (b"z", i64::MAX as u64)] {
        assert_eq!(rustix::io::pwrite(&file, bytes, at), Err(Errno::INVAL), "there are no such offsets");
    }
    file.sync_all().expect("fsync");
    let attributes = file.metadata().expect("fstat");
    assert_eq!((attributes.len(), attributes.blocks()), (i64::MAX as u64, 1));
    let mut byte = [0; 1];
    file.read_exact_at(&mut byte, last).expect("read");
    assert_eq!(byte, *b"z");
    assert_eq!(fs::seek(&file, fs::SeekFrom::Data(0)), Ok(last));
    assert_eq!(fs::ftruncate(&file, i64::MAX as u64), Ok(()));
    assert_eq!(fs::ftruncate(&file, 0), Ok(()));
    assert!(daemon.stop().success(), "{}", bed.log());
    bed.check();
}

#[test]
fn a_limit_on_file_sizes_holds() {
    compare(|folder, story| {
        let path = folder.join("f");
        let dd = format!("ulimit -f 8; exec dd if=/dev/zero of={} bs=4096 count=9 status=none", path.display());
        let status = Command::new("sh").args(["-c", &dd]).status().expect("sh");
        story.tell("the signal that ends it", status.signal());
        story.tell("what it has written", std::fs::metadata(&path).expect("stat").len());
    });
}

#[test]
fn files_without_a_name_get_one_or_go() {
    compare(|folder, story| {
        let nameless = |flags: OFlags| open(folder, OFlags::TMPFILE | flags);
        let link = |file: &File, name: &str| {
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            fs::linkat(CWD, path, CWD, folder.join(name), AtFlags::SYMLINK_FOLLOW)
        };
        story.tell("for reading", nameless(OFlags::RDONLY).map(drop));
        let file = nameless(OFlags::RDWR).expect("open");
        file.write_all_at(b"kept", 0).expect("write");
        let attributes = file.metadata().expect("fstat");
        story.tell("made", (attributes.nlink(), attributes.len(), attributes.mode()));
        story.tell("listed", std::fs::read_dir(folder).expect("list").count());
        story.tell("linked", link(&file, "first"));
        story.tell("linked again", link(&file, "second"));
        story.tell("to a taken name", link(&file, "second"));
        story.tell("names", (nlink(&folder.join("first")), file.metadata().expect("fstat").nlink()));
        drop(file);
        story.tell("after the close", content(&folder.join("second")));

        let file = nameless(OFlags::RDWR | OFlags::EXCL).expect("open");
        story.tell("linked in spite of O_EXCL", link(&file, "third"));
        let file = nameless(OFlags::WRONLY).expect("open");
        link(&file, "third").expect("link");
        std::fs::remove_file(folder.join("third")).expect("remove");
        story.tell("linked after its last name went", link(&file, "fourth"));
        story.tell("names at the end", file.metadata().expect("fstat").nlink());
    });
}

#[test]
fn every_byte_makes_a_name_and_255_of_them_are_the_longest() {
    compare(|folder, story| {
        let path = |name: &[u8]| folder.join(std::ffi::OsStr::from_bytes(name));
        for byte in (1..=255u8).filter(|byte| *byte != b'/') {
            let name = [b'n', byte];
            File::create_new(path(&name)).expect("create");
            assert_eq!(std::fs::metadata(path(&name)).expect("stat").len(), 0);
        }
        story.tell("names", std::fs::read_dir(folder).expect("list").count());
        let (longest, longer) = ([0xff; 255], [b'x'; 256]);
        story.tell("the longest", open(&path(&longest), READ_WRITE).map(drop));
        story.tell("a longer one", open(&path(&longer), READ_WRITE).map(drop));
        story.tell("mkdir", fs::mkdir(path(&longer), Mode::RWXU));
        story.tell("symlink", fs::symlink("target", path(&longer)));
        story.tell("link", fs::link(path(&longest), path(&longer)));
        story.tell("rename to", fs::rename(path(&longest), path(&longer)));
        story.tell("rename from", fs::rename(path(&longer), path(&longest)));
        story.tell("unlink", fs::unlink(path(&longer)));
        story.tell("stat", fs::stat(path(&longer)).map(drop));
        story.tell("the longest symlink", fs::symlink([b't'; 4095].as_slice(), path(b"longest")));
        story.tell("a longer one", fs::symlink([b't'; 4096].as_slice(), path(b"longer")));
        let deep = "d/".repeat(2048);
        story.tell("a path too long", fs::stat(folder.join(deep)).map(drop));
    });
}

#[test]
fn renames_move_exchange_and_refuse_as_on_a_local_disk() {
    compare(|folder, story| {
        let at = |name: &str| folder.join(name);
        for name in ["a", "a/b", "a/b/c", "d", "full", "full/one", "empty"] {
            std::fs::create_dir(at(name)).expect("mkdir");
        }
        std::fs::write(at("file"), b"file").expect("write");
        std::fs::write(at("d/other"), b"other").expect("write");
        let rename = |from: &str, to: &str, flags| fs::renameat_with(CWD, at(from), CWD, at(to), flags);
        let plainly = |from: &str, to: &str| fs::rename(at(from), at(to));
        story.tell("below itself", plainly("a", "a/b/c/a"));
        story.tell("onto itself", plainly("a", "a"));
        story.tell("onto what holds it", plainly("a/b/c", "a"));
        story.tell("a directory onto a full one", plainly("d", "full"));
        story.tell("a directory onto a file", plainly("empty", "file"));
        story.tell("a file onto a directory", plainly("file", "empty"));
        story.tell("nothing", plainly("missing", "file"));
        story.tell("without replacing", rename("file", "d/other", RenameFlags::NOREPLACE));
        story.tell("exchange with nothing", rename("file", "missing", RenameFlags::EXCHANGE));
        story.tell("exchange below itself", rename("a", "a/b", RenameFlags::EXCHANGE));
        story.tell("contradiction", rename("file", "d/other", RenameFlags::EXCHANGE | RenameFlags::NOREPLACE));
        story.tell("links before", [folder, &at("a"), &at("d"), &at("full")].map(nlink));
        story.tell("a directory to another parent", plainly("a/b", "d/b"));
        story.tell("a directory onto an empty one", plainly("empty", "full/one"));
        story.tell("links after", [folder, &at("a"), &at("d"), &at("d/b"), &at("full")].map(nlink));
        let up = std::fs::metadata(at("d/b/..")).expect("stat").ino();
        story.tell("the way up leads to the new parent", up == std::fs::metadata(at("d")).expect("stat").ino());
        story.tell("a directory and a file change places", rename("a", "d/other", RenameFlags::EXCHANGE));
        story.tell("what they are now", (content(&at("a")), std::fs::metadata(at("d/other")).expect("stat").is_dir()));
        story.tell("links at last", [folder, &at("d"), &at("d/other")].map(nlink));

        std::fs::write(at("new"), b"new").expect("write");
        let mut old = open(&at("file"), OFlags::RDWR).expect("open");
        story.tell("over an open file", plainly("new", "file"));
        let mut bytes = Vec::new();
        old.read_to_end(&mut bytes).expect("read");
        story.tell("what is read of it", (bytes, old.metadata().expect("fstat").nlink()));
        old.write_all_at(b"more", 4).expect("write");
        story.tell("and of the new one", content(&at("file")));
        let directory = open(&at("d"), OFlags::RDONLY).expect("open");
        plainly("d", "moved").expect("rename");
        story.tell("by its open handle", fs::mkdirat(&directory, "below", Mode::RWXU));
        story.tell("is where it has gone", at("moved/below").is_dir());
        story.tell("leaving a whiteout", rename("file", "elsewhere", RenameFlags::WHITEOUT));
        let whiteout = std::fs::symlink_metadata(at("file")).expect("lstat");
        story.tell("which is a device", (whiteout.mode(), whiteout.rdev(), whiteout.nlink()));
    });
}

#[test]
fn whoever_has_a_file_open_sees_what_others_do_to_it() {
    compare(|folder, story| {
        let path = folder.join("f");
        let writer = open(&path, READ_WRITE).expect("open");
        writer.write_all_at(&[1; 10_000], 0).expect("write");
        let reader = open(&path, OFlags::RDONLY).expect("open");
        let read = |at: u64, length: usize| {
            let mut bytes = vec![9; length];
            let count = reader.read_at(&mut bytes, at).expect("read");
            bytes.truncate(count);
            bytes
        };
        let mapping = Mapping::new(&writer, 0, 4096, true).expect("mmap");
        story.tell("before", (read(9_990, 100), mapping.read(4090, 6)));
        fs::ftruncate(&writer, 5000).expect("truncate");
        story.tell("cut", (read(4_990, 100), reader.metadata().expect("fstat").len()));
        fs::ftruncate(&writer, 20_000).expect("truncate");
        story.tell("grown", (read(4_990, 20), read(19_999, 20)));
        writer.write_all_at(b"through the file", 100).expect("write");
        story.tell("through the mapping", mapping.read(100, 16));
        let appender = open(&path, OFlags::WRONLY | OFlags::APPEND).expect("open");
        appender.write_all_at(b"behind", 5).expect("an appender's place does not count");
        story.tell("appended", (read(20_000, 20), reader.metadata().expect("fstat").len()));
        drop(open(&path, OFlags::WRONLY | OFlags::TRUNC).expect("open"));
        story.tell("emptied", (read(0, 20), reader.metadata().expect("fstat").len()));
        (&appender).write_all(b"anew").expect("append");
        story.tell("begun anew", (read(0, 20), content(&path)));
    });
}

#[test]
fn every_way_to_sync_is_open_and_synchronous_writes_are_written() {
    compare(|folder, story| {
        let path = folder.join("f");
        let file = open(&path, READ_WRITE).expect("open");
        file.write_all_at(b"some bytes", 0).expect("write");
        story.tell("fsync", fs::fsync(&file));
        story.tell("fdatasync", fs::fdatasync(&file));
        story.tell("syncfs", fs::syncfs(&file));
        story.tell("of a reader", fs::fsync(open(&path, OFlags::RDONLY).expect("open")));
        let directory: OwnedFd = open(folder, OFlags::RDONLY).expect("open").into();
        story.tell("of a directory", (fs::fsync(&directory), fs::fdatasync(&directory)));
        for flags in [OFlags::SYNC, OFlags::DSYNC] {
            let file = open(&path, OFlags::WRONLY | flags).expect("open");
            story.tell("synchronously", rustix::io::pwrite(&file, b"other", 3));
        }
        story.tell("bytes", content(&path));
        for advice in [fs::Advice::Sequential, fs::Advice::Random, fs::Advice::WillNeed, fs::Advice::DontNeed] {
            story.tell("advice", fs::fadvise(&file, 0, None, advice));
        }
    });
}

#[test]
fn a_place_in_a_directory_stays_while_entries_come_and_go() {
    const ENTRIES: usize = 3000;
    let bed = Bed::new(&[]);
    let daemon = bed.mount(&[]);
    let folder = bed.mount_point().join("folder");
    std::fs::create_dir(&folder).expect("mkdir");
    let name = |number: usize| format!("entry-{number}");
    let make = |number: usize| drop(File::create_new(folder.join(name(number))).expect("create"));
    (0..ENTRIES).for_each(make);

    let mut listing = Listing::open(&folder);
    let mut seen: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    let mut places = Vec::new();
    while let Some(found) = listing.next() {
        *seen.entry(found.clone()).or_default() += 1;
        places.push((listing.tell(), found));
        // Some that were there go, some new ones come.
        let number = places.len();
        if number % 10 == 0 {
            let old = name(number * 7 % ENTRIES);
            // It may be gone already.
            let _ = std::fs::remove_file(folder.join(&old));
            make(ENTRIES + number);
        }
    }
    let stayed = |number: &usize| folder.join(name(*number)).exists();
    let stayed: Vec<String> = (0..ENTRIES).filter(stayed).map(name).collect();
    assert!(stayed.len() < ENTRIES);
    for name in &stayed {
        assert_eq!(seen.get(name.as_bytes()), Some(&1), "{name} was there throughout");
    }
    assert!(seen.values().all(|count| *count == 1), "nothing is listed twice");

    // Every place leads to what came behind it, if that is still there.
    for pair in places.windows(2).step_by(97) {
        let (place, next) = (pair[0].0, &pair[1].1);
        if folder.join(std::ffi::OsStr::from_bytes(next)).exists() {
            listing.seek(place);
            let found = listing.find(|found| seen.contains_key(found));
            assert_eq!(found.as_ref(), Some(next), "behind the place {place}");
        }
    }
    drop(listing);
    assert!(daemon.stop().success(), "{}", bed.log());
}
