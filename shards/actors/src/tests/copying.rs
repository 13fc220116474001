//! Copies by reference, and holes: what they cost, and what they leave.

use super::*;
use shoal_metadata::check;
use shoal_types::{CHUNK_BYTES, FILE_BYTES_MAX};

fn attributes(volume: &Shards, ino: Ino) -> Attributes {
    on(volume, 0, move |local| async move { local.get_attributes(ino).await }).unwrap()
}

#[test]
fn a_copy_stores_no_object_and_outlives_its_source() {
    let (store, kv) = (Arc::new(TestStore::new(0.0)), MemoryKv::new());
    format(&*kv);
    let volume = Shards::start(config(kv.clone(), &store, 2)).unwrap();
    let (source, target) = (create_open(&volume, 0, "source"), create_open(&volume, 1, "target"));
    let bytes = pattern(1, 300_000);
    write(&volume, 0, source, 0, bytes.clone()).unwrap();
    flush(&volume, 0, source).unwrap();
    let stored = store.count();
    assert_eq!(copy_range(&volume, 0, (source, 1234), (target, CHUNK_BYTES - 77_777), 1 << 40), Ok(300_000 - 1234));
    assert_eq!(store.count(), stored, "no byte moves");
    assert_eq!(attributes(&volume, target).length, CHUNK_BYTES - 77_777 + 300_000 - 1234);
    assert_eq!(attributes(&volume, target).allocated, 300_000 - 1234);
    unlink(&volume, 0, "source");
    close(&volume, 0, source);
    let found = read(&volume, 1, target, CHUNK_BYTES - 77_777, 400_000).unwrap();
    assert!(found == bytes[1234..]);
    assert_eq!(read(&volume, 1, target, 0, 1000), Ok(vec![0; 1000]));
    volume.stop().unwrap();
    assert_eq!(check::run(&Metadata::new(kv), &mut |_| {}).unwrap().findings, []);
}

#[test]
fn small_and_buffered_bytes_are_copied_too() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = volume(&store, 2);
    let (source, target) = (create_open(&volume, 0, "source"), create_open(&volume, 1, "target"));
    write(&volume, 1, source, 0, b"hello".to_vec()).unwrap();
    write(&volume, 1, target, 0, b"0123456789".to_vec()).unwrap();
    assert_eq!(copy_range(&volume, 1, (source, 1), (target, 3), 100), Ok(4));
    assert_eq!(read(&volume, 0, target, 0, 100), Ok(b"012ello789".to_vec()));
    // The source grows out of metadata; its first bytes stay there, below the slices.
    write(&volume, 0, source, 10_000, pattern(3, 100_000)).unwrap();
    assert_eq!(copy_range(&volume, 1, (source, 0), (target, 5), 200_000), Ok(110_000));
    let copied = read(&volume, 0, target, 5, 200_000).unwrap();
    assert_eq!(copied, read(&volume, 0, source, 0, 200_000).unwrap());
    assert_eq!(copy_range(&volume, 0, (source, 110_000), (target, 0), 5), Ok(0), "nothing is behind the end");
    assert_eq!(copy_range(&volume, 0, (target, 0), (target, 99), 100), Err(Errno::EINVAL));
    assert_eq!(copy_range(&volume, 0, (source, 0), (target, FILE_BYTES_MAX - 9), 100), Err(Errno::EFBIG));
    volume.stop().unwrap();
}

#[test]
fn the_last_byte_of_the_largest_file_is_written_and_read_and_the_hole_before_it_costs_nothing() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = volume(&store, 2);
    let ino = create_open(&volume, 0, "f");
    assert_eq!(write(&volume, 0, ino, FILE_BYTES_MAX, vec![1]), Err(Errno::EFBIG));
    let bytes = pattern(7, 100_000);
    write(&volume, 0, ino, FILE_BYTES_MAX - 100_000, bytes.clone()).unwrap();
    assert_eq!(attributes(&volume, ino).allocated, 100_000, "also while it is buffered");
    flush(&volume, 1, ino).unwrap();
    close(&volume, 0, ino);
    open(&volume, 1, ino).unwrap();
    assert!(read(&volume, 1, ino, FILE_BYTES_MAX - 100_000, 200_000).unwrap() == bytes);
    assert_eq!((attributes(&volume, ino).length, attributes(&volume, ino).allocated), (FILE_BYTES_MAX, 100_000));
    let punch = Fallocation { what: Fallocate::Punch, keep_length: true };
    fallocate(&volume, 0, ino, punch, 1, FILE_BYTES_MAX - 2).unwrap();
    assert_eq!(attributes(&volume, ino).allocated, 1);
    assert_eq!(fallocate(&volume, 0, ino, punch, 2, FILE_BYTES_MAX - 1), Err(Errno::EFBIG));
    truncate(&volume, 0, ino, 1).unwrap();
    truncate(&volume, 0, ino, FILE_BYTES_MAX).unwrap();
    assert_eq!(read(&volume, 0, ino, FILE_BYTES_MAX - 10, 100), Ok(vec![0; 10]));
    volume.stop().unwrap();
}

#[test]
fn a_list_that_is_full_of_holes_takes_more_of_them() {
    let store = Arc::new(TestStore::new(0.0));
    let volume = volume(&store, 1);
    let ino = create_open(&volume, 0, "f");
    let mut bytes = pattern(9, 400_000);
    write(&volume, 0, ino, 0, bytes.clone()).unwrap();
    let punch = Fallocation { what: Fallocate::Punch, keep_length: true };
    for hole in 0..4000 {
        fallocate(&volume, 0, ino, punch, hole * 100, 50).unwrap();
        bytes[hole as usize * 100..][..50].fill(0);
    }
    assert!(read(&volume, 0, ino, 0, 500_000).unwrap() == bytes);
    volume.stop().unwrap();
}
