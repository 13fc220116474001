//! Appending writers on two mounts: no record is lost, torn or written over.

use rustix::fs::{CWD, Mode, OFlags};
use shoal_ci_conformance::is_long;
use shoal_ci_testbed::Bed;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::thread;

const WRITERS_PER_MOUNT: usize = 2;

#[test]
fn appends_from_two_mounts_all_stand_in_the_file_once_and_whole() {
    let bed = Bed::new(&["--delete-grace", "0s"]);
    let first = bed.mount(&[]);
    let path = first.mount_point().join("log");
    // What was appended while the first was alone is still in its buffer.
    let mut early = open(&path, OFlags::WRONLY);
    append(&mut early, b'-', 0..20);
    let second = bed.mount_second(&[]);
    let records = if is_long() { 2000 } else { 150 };
    let mounts = [first.mount_point(), second.mount_point()];
    thread::scope(|scope| {
        // Opened while the kernel knew where the end of the file was.
        scope.spawn(|| append(&mut early, b'-', 20..40));
        for (number, writer) in (0u8..).zip(mounts.iter().cycle().take(mounts.len() * WRITERS_PER_MOUNT)) {
            let path = writer.join("log");
            scope.spawn(move || append(&mut open(&path, OFlags::RDWR), b'a' + number, 0..records));
        }
    });
    drop(early);
    for mount in mounts {
        let bytes = std::fs::read(mount.join("log")).expect("read");
        let mut next: BTreeMap<u8, usize> = BTreeMap::new();
        let mut rest = &bytes[..];
        while let Some(&writer) = rest.first() {
            let number = next.entry(writer).or_default();
            let expected = record(writer, *number);
            assert!(rest.starts_with(&expected), "record {number} of writer {} is whole", writer as char);
            rest = &rest[expected.len()..];
            *number += 1;
        }
        let writers = (0..mounts.len() * WRITERS_PER_MOUNT).map(|number| (b'a' + number as u8, records));
        assert_eq!(next, writers.chain([(b'-', 40)]).collect(), "every record is there");
    }
    assert!(second.stop().success(), "{}", bed.log());
    assert!(first.stop().success(), "{}", bed.log());
    bed.check();
}

fn open(path: &Path, access: OFlags) -> File {
    let flags = access | OFlags::CREATE | OFlags::APPEND;
    rustix::fs::openat(CWD, path, flags, Mode::RUSR | Mode::WUSR).expect("open").into()
}

fn append(file: &mut File, writer: u8, records: Range<usize>) {
    for number in records {
        let record = record(writer, number);
        assert_eq!(file.write(&record).expect("append"), record.len());
    }
}

/// Of many lengths, now and then longer than what lies inline.
fn record(writer: u8, number: usize) -> Vec<u8> {
    let length = if number % 50 == 49 { 150_000 } else { 10 + number * 37 % 300 };
    let mut record = vec![writer];
    record.extend((0..length).map(|at| b'0' + ((number + at) % 10) as u8));
    record.push(b'\n');
    record
}
