//! Truncation cuts lists instead of covering them, in bounded steps of which each leaves a whole file.

use crate::support::*;
use shoal_metadata::keys::{Accumulator, Counter, Key};
use shoal_metadata::{MetaOp, Truncate, check};
use shoal_types::{CHUNK_BYTES, Errno, FILE_BYTES_MAX, FileKind, Slice};

fn assert_clean(volume: &Volume) {
    assert_eq!(check::run(&volume.metadata, &mut |_| {}).unwrap().findings, []);
}

#[test]
fn the_chunk_at_the_cut_is_cut_and_grows_again_with_zeros() {
    let volume = Volume::new();
    let ino = volume.file("f");
    let objects = [volume.lease_object(), volume.lease_object()];
    volume.write_slices(ino, 0, &[slice(0, 100, objects[0]), slice(100, 50, objects[1])], 150);
    let [cut] = &volume.truncate(ino, 60)[..] else { panic!("one step is enough") };
    assert_eq!((cut.length, cut.allocated, cut.mtime, cut.ctime), (60, 60, at(4), at(4)));
    let grown = volume.truncate(ino, 1000).pop().unwrap();
    assert_eq!((grown.length, grown.allocated), (1000, 60));
    let left = Slice { length: 60, ..slice(0, 100, objects[0]) };
    assert_eq!(volume.metadata.get_chunk(ino, 0).unwrap(), [left]);
    assert_eq!(volume.number(Key::Object(objects[0])), 60);
    assert_eq!(volume.number(Key::Counter(Counter::UsedBytes)), 60);
    assert_eq!(volume.forget_queued(), [objects[1]]);
    assert_clean(&volume);
}

#[test]
fn a_file_cut_to_nothing_can_be_inline_again() {
    let volume = Volume::new();
    let ino = volume.file("f");
    volume.write_inline(ino, 0, b"below");
    let object = volume.lease_object();
    volume.write_slices(ino, 0, &[slice(2, 100, object)], 102);
    assert!(volume.write_inline(ino, 0, b"abc").is_not_inline());
    let cut = volume.truncate(ino, 0).pop().unwrap();
    assert_eq!((cut.length, cut.allocated), (0, 0));
    assert_eq!(volume.number(Key::Counter(Counter::UsedBytes)), 0);
    let content = volume.metadata.get_content(ino).unwrap();
    assert_eq!((content.has_chunks(), content.inline), (false, None));
    let written = volume.write_inline(ino, 1, b"abc").into_attributes().unwrap();
    assert_eq!((written.length, written.allocated), (4, 4));
    assert_clean(&volume);
}

#[test]
fn a_cut_at_the_border_of_a_chunk_leaves_the_chunk_before_it_alone() {
    let volume = Volume::new();
    let ino = volume.file("f");
    for chunk in [0, 1] {
        let object = volume.lease_object();
        let length = (chunk + 1) * CHUNK_BYTES;
        volume.write_slices(ino, chunk, &[slice(CHUNK_BYTES as u32 - 10, 10, object)], length);
    }
    volume.truncate(ino, CHUNK_BYTES);
    let left: Vec<u64> = volume.metadata.get_chunks(ino, 0, 10).unwrap().iter().map(|(chunk, _)| *chunk).collect();
    assert_eq!(left, [0]);
    assert_eq!(volume.metadata.get_attributes(ino).unwrap().allocated, 10);
    assert_clean(&volume);
}

#[test]
fn a_file_of_many_chunks_is_cut_from_its_end_and_is_whole_after_each_step() {
    let volume = Volume::new();
    let ino = volume.file("f");
    let chunks = 40;
    for chunk in 0..chunks {
        let object = volume.lease_object();
        volume.write_slices(ino, chunk, &[slice(0, 10, object)], chunk * CHUNK_BYTES + 10);
    }
    let truncate = MetaOp::Truncate(Truncate { ino, length: 5, session: volume.session, now: at(4) });
    let mut lengths = Vec::new();
    loop {
        let step = volume.run(truncate.clone()).into_truncated().unwrap();
        lengths.push(step.attributes.length);
        assert_clean(&volume);
        if step.done {
            break;
        }
    }
    assert_eq!(lengths, [24 * CHUNK_BYTES, 8 * CHUNK_BYTES, 5]);
    assert_eq!(volume.metadata.get_attributes(ino).unwrap().allocated, 5);
    assert_eq!(volume.forget_queued().len() as u64, chunks - 1);
}

#[test]
fn long_lists_are_cut_a_few_at_a_time() {
    let volume = Volume::new();
    let ino = volume.file("f");
    let object = volume.lease_object();
    // 3,400 slices of one byte, none of which covers another: nearly what a list can hold.
    let list: Vec<Slice> = (0..3400).map(|at| Slice { object_length: 10_000, ..slice(at * 2, 1, object) }).collect();
    for chunk in 0..3 {
        volume.write_slices(ino, chunk, &list, (chunk + 1) * CHUNK_BYTES);
    }
    assert_eq!(volume.truncate(ino, 0).len(), 3);
    assert_eq!(volume.forget_queued(), [object]);
    assert_clean(&volume);
}

#[test]
fn inline_content_is_cut() {
    let volume = Volume::new();
    let ino = volume.file("f");
    volume.write_inline(ino, 0, b"abcdef");
    volume.truncate(ino, 2);
    volume.truncate(ino, 4);
    let content = volume.metadata.get_content(ino).unwrap();
    assert_eq!((content.attributes.length, content.inline), (4, Some(b"ab".to_vec())));
    assert_eq!(volume.number(Key::Accumulator(ino, Accumulator::Allocated)), 2);
    assert_clean(&volume);
}

#[test]
fn only_regular_files_have_a_length_to_set_and_it_has_a_bound() {
    let volume = Volume::new();
    let file = volume.file("f");
    let directory = volume.directory(shoal_types::Ino::ROOT, "d");
    let link = volume.create(directory, "l", FileKind::Symlink);
    let session = volume.session;
    for (ino, length, errno) in [
        (directory, 0, Errno::EISDIR),
        (link, 0, Errno::EINVAL),
        (file, FILE_BYTES_MAX + 1, Errno::EFBIG),
        (shoal_types::Ino(999), 0, Errno::ENOENT),
    ] {
        let truncate = MetaOp::Truncate(Truncate { ino, length, session, now: at(4) });
        assert_eq!(volume.try_run(truncate), Err(errno.into()));
    }
    let longest = volume.truncate(file, FILE_BYTES_MAX).pop().unwrap();
    assert_eq!(longest.length, FILE_BYTES_MAX);
    assert_eq!(volume.truncate(file, FILE_BYTES_MAX - 1).pop().unwrap().length, FILE_BYTES_MAX - 1);
    assert_clean(&volume);
}
