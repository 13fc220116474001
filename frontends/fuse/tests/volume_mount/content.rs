//! File content: whatever way it's written, it reads back the same, also after a remount.

use crate::harness::{Disk, pattern};
use rustix::fs::OFlags;
use shoal_runtime::AlignedBuffer;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};

const MIB: usize = 1 << 20;

fn read_write() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options
}

#[test]
fn files_of_every_size_survive_a_remount() {
    let disk = Disk::new();
    // Around the inline limit, the page, the frame, the request and the object.
    let sizes = [0, 1, 4095, 4096, 4097, 131_072, 131_073, MIB, 4 * MIB - 1, 4 * MIB + 5, 9 * MIB + 77];
    let mount = disk.mount();
    for size in sizes {
        fs::write(mount.path(&format!("f{size}")), pattern(size as u32, size)).unwrap();
    }
    for _ in 0..2 {
        for size in sizes {
            assert!(fs::read(mount.path(&format!("f{size}"))).unwrap() == pattern(size as u32, size), "{size} bytes");
        }
    }
    mount.unmount();
    let mount = disk.mount();
    for size in sizes {
        let path = mount.path(&format!("f{size}"));
        assert_eq!(fs::metadata(&path).unwrap().len(), size as u64);
        assert!(fs::read(&path).unwrap() == pattern(size as u32, size), "{size} bytes after the remount");
    }
    mount.unmount();
}

#[test]
fn overwrites_holes_and_truncation_leave_what_they_should() {
    let disk = Disk::new();
    let mount = disk.mount();
    let file = read_write().open(mount.path("f")).unwrap();
    let mut expected = pattern(1, 2 * MIB);
    file.write_all_at(&expected, 0).unwrap();
    let check = |expected: &[u8]| {
        assert_eq!(file.metadata().unwrap().len(), expected.len() as u64);
        let mut read = vec![1; expected.len()];
        file.read_exact_at(&mut read, 0).unwrap();
        assert!(read == expected);
    };
    for (seed, at, length) in [(2, 5, 100), (3, MIB - 50, 100), (4, 4096, 8192), (5, 2 * MIB - 3, 3)] {
        let bytes = pattern(seed, length);
        file.write_all_at(&bytes, at as u64).unwrap();
        expected[at..at + length].copy_from_slice(&bytes);
        check(&expected);
    }
    file.set_len(MIB as u64 + 10).unwrap();
    expected.truncate(MIB + 10);
    check(&expected);
    file.set_len(3 * MIB as u64).unwrap();
    expected.resize(3 * MIB, 0);
    check(&expected);
    file.write_all_at(b"far", 5 * MIB as u64).unwrap();
    expected.resize(5 * MIB, 0);
    expected.extend_from_slice(b"far");
    check(&expected);
    file.sync_all().unwrap();
    check(&expected);
    drop(file);
    mount.unmount();
    let mount = disk.mount();
    assert!(fs::read(mount.path("f")).unwrap() == expected);
    mount.unmount();
}

#[test]
fn opening_with_truncation_empties_a_file() {
    let disk = Disk::new();
    let mount = disk.mount();
    for size in [100, MIB] {
        fs::write(mount.path("f"), pattern(1, size)).unwrap();
        let file = OpenOptions::new().write(true).truncate(true).open(mount.path("f")).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 0);
        file.write_all_at(b"x", 3).unwrap();
        drop(file);
        assert_eq!(fs::read(mount.path("f")).unwrap(), b"\0\0\0x");
    }
    mount.unmount();
}

#[test]
fn appenders_do_not_overwrite_each_other() {
    const WRITERS: u8 = 4;
    const LINES: usize = 200;
    let disk = Disk::new();
    let mount = disk.mount();
    let path = mount.path("log");
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let path = &path;
            scope.spawn(move || {
                let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
                for _ in 0..LINES {
                    file.write_all(&[b'a' + writer; 7]).unwrap();
                }
            });
        }
    });
    let content = fs::read(&path).unwrap();
    assert_eq!(content.len(), usize::from(WRITERS) * LINES * 7);
    for line in content.chunks(7) {
        assert!(line.iter().all(|byte| *byte == line[0]), "no line is torn");
    }
    mount.unmount();
}

#[test]
fn direct_reads_and_writes_agree_with_buffered_ones() {
    let disk = Disk::new();
    let mount = disk.mount();
    fs::write(mount.path("f"), pattern(1, 3 * MIB + 10)).unwrap();
    let direct = read_write().custom_flags(OFlags::DIRECT.bits() as i32).open(mount.path("f")).unwrap();
    let mut buffer = AlignedBuffer::with_capacity(MIB);
    buffer.set_len(MIB);
    for at in [0, 4096, 2 * MIB] {
        direct.read_exact_at(&mut buffer, at as u64).unwrap();
        assert!(buffer[..] == pattern(1, 3 * MIB + 10)[at..at + MIB]);
    }
    assert_eq!(direct.read_at(&mut buffer, 3 * MIB as u64).unwrap(), 10);
    assert_eq!(direct.read_at(&mut buffer, 4 * MIB as u64).unwrap(), 0);
    buffer.copy_from_slice(&pattern(2, MIB));
    direct.write_all_at(&buffer, MIB as u64).unwrap();
    drop(direct);
    let mut expected = pattern(1, 3 * MIB + 10);
    expected[MIB..2 * MIB].copy_from_slice(&pattern(2, MIB));
    assert!(fs::read(mount.path("f")).unwrap() == expected);

    let synchronous = OFlags::DIRECT | OFlags::DSYNC;
    let file = read_write().custom_flags(synchronous.bits() as i32).open(mount.path("f")).unwrap();
    file.write_all_at(&buffer, 0).unwrap();
    drop(file);
    expected[..MIB].copy_from_slice(&pattern(2, MIB));
    assert!(fs::read(mount.path("f")).unwrap() == expected);
    mount.unmount();
}

#[test]
fn a_memory_map_reads_the_file_and_msync_writes_it() {
    use rustix::mm::{MapFlags, MsyncFlags, ProtFlags, mmap, msync, munmap};
    const BYTES: usize = 64 << 10;
    let disk = Disk::new();
    let mount = disk.mount();
    fs::write(mount.path("f"), pattern(1, BYTES)).unwrap();
    let file = read_write().open(mount.path("f")).unwrap();
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice; nobody shortens the file while it's mapped.
    let address = unsafe { mmap(std::ptr::null_mut(), BYTES, protection, MapFlags::SHARED, &file, 0) }.unwrap();
    // SAFETY: BYTES are mapped for reading and writing until the munmap below, and nothing else refers to them.
    let mapped = unsafe { std::slice::from_raw_parts_mut(address.cast::<u8>(), BYTES) };
    assert!(mapped == pattern(1, BYTES));
    mapped[5000..5005].copy_from_slice(b"hello");
    // SAFETY: the mapping made above.
    unsafe { msync(address, BYTES, MsyncFlags::SYNC) }.unwrap();
    // SAFETY: the mapping made above, and `mapped` isn't used any more.
    unsafe { munmap(address, BYTES) }.unwrap();
    drop(file);
    mount.unmount();
    let mount = disk.mount();
    let mut expected = pattern(1, BYTES);
    expected[5000..5005].copy_from_slice(b"hello");
    assert!(fs::read(mount.path("f")).unwrap() == expected);
    mount.unmount();
}

#[test]
fn an_open_file_outlives_its_last_name() {
    let disk = Disk::new();
    let mount = disk.mount();
    for size in [100, 2 * MIB] {
        fs::write(mount.path("f"), pattern(1, size)).unwrap();
        let file = read_write().open(mount.path("f")).unwrap();
        fs::remove_file(mount.path("f")).unwrap();
        assert!(!mount.path("f").exists());
        let mut read = vec![0; size];
        file.read_exact_at(&mut read, 0).unwrap();
        assert!(read == pattern(1, size));
        file.write_all_at(b"more", size as u64).unwrap();
        file.sync_all().unwrap();
        let metadata = file.metadata().unwrap();
        assert_eq!((metadata.nlink(), metadata.len()), (0, size as u64 + 4));
    }
    mount.unmount();
}

#[test]
fn writers_of_one_file_see_each_other_at_once() {
    let disk = Disk::new();
    let mount = disk.mount();
    let one = read_write().open(mount.path("f")).unwrap();
    let other = File::open(mount.path("f")).unwrap();
    let mut read = [0; 4];
    for round in 0..50u64 {
        one.write_all_at(&round.to_le_bytes()[..4], round * 1000).unwrap();
        other.read_exact_at(&mut read, round * 1000).unwrap();
        assert_eq!(read, round.to_le_bytes()[..4]);
        assert_eq!(fs::metadata(mount.path("f")).unwrap().len(), round * 1000 + 4);
    }
    drop((one, other));
    mount.unmount();
}

#[test]
fn a_copy_between_files_goes_through_although_the_request_is_not_served() {
    let disk = Disk::new();
    let mount = disk.mount();
    fs::write(mount.path("from"), pattern(1, MIB + 3)).unwrap();
    assert_eq!(fs::copy(mount.path("from"), mount.path("to")).unwrap(), MIB as u64 + 3);
    assert!(fs::read(mount.path("to")).unwrap() == pattern(1, MIB + 3));
    mount.unmount();
}

#[test]
fn data_and_holes_are_found_to_the_byte() {
    let disk = Disk::new();
    let mount = disk.mount();
    let file = File::create(mount.path("sparse")).unwrap();
    let far = 5 * 64 * MIB as u64;
    let written = [(3 * MIB as u64, 5000), (64 * MIB as u64 - 10, 20), (far + 1, MIB)];
    for (offset, length) in written {
        file.write_all_at(&pattern(length as u32, length), offset).unwrap();
    }
    let end = far + 20 * MIB as u64;
    file.set_len(end).unwrap();
    let seek = |whence, offset| {
        // SAFETY: lseek takes no pointers.
        let found = unsafe { libc::lseek64(file.as_raw_fd(), offset as i64, whence) };
        if found < 0 { Err(std::io::Error::last_os_error().raw_os_error().unwrap()) } else { Ok(found as u64) }
    };
    let mut at = 0;
    for (offset, length) in written {
        assert_eq!(seek(libc::SEEK_HOLE, at), Ok(at));
        assert_eq!(seek(libc::SEEK_DATA, at), Ok(offset));
        assert_eq!(seek(libc::SEEK_DATA, offset + 1), Ok(offset + 1));
        at = offset + length as u64;
        assert_eq!(seek(libc::SEEK_HOLE, offset), Ok(at));
    }
    assert_eq!(seek(libc::SEEK_DATA, at), Err(libc::ENXIO));
    assert_eq!(seek(libc::SEEK_HOLE, end - 1), Ok(end - 1));
    assert_eq!(seek(libc::SEEK_HOLE, end), Err(libc::ENXIO));
    file.set_len(3 * MIB as u64 + 100).unwrap();
    assert_eq!(seek(libc::SEEK_HOLE, 3 * MIB as u64), Ok(3 * MIB as u64 + 100), "the end is a hole");
    drop(file);

    let small = File::create(mount.path("small")).unwrap();
    small.write_all_at(b"inline", 0).unwrap();
    small.set_len(MIB as u64).unwrap();
    // SAFETY: as above.
    assert_eq!(unsafe { libc::lseek64(small.as_raw_fd(), 0, libc::SEEK_HOLE) }, 6);
    drop(small);
    mount.unmount();
}
