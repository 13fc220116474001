//! Files that wait in metadata to be packed, packs, and what frees them.

use crate::support::*;
use shoal_metadata::keys::Key;
use shoal_metadata::{EndSession, MetaOp, MetaReply, Pack, PackedFile, WriteInline, check};
use shoal_types::{Ino, ObjectId, ObjectKind, SessionId, Slice, Staging};

const INLINE: u32 = 10;
const STAGED: u32 = 60;

pub fn assert_clean(volume: &Volume) {
    assert_eq!(check::run(&volume.metadata, &mut |_| {}).unwrap().findings, []);
}

fn write(volume: &Volume, ino: Ino, offset: u64, bytes: &[u8], total_bytes_max: u64) -> MetaReply {
    volume.run(MetaOp::WriteInline(WriteInline {
        ino,
        patches: vec![(offset, bytes.to_vec())],
        length_min: 0,
        inline_max: INLINE,
        staging: Staging { file_bytes_max: STAGED, total_bytes_max },
        mtime: at(3),
        exempt: false,
        session: volume.session,
    }))
}

pub fn stage(volume: &Volume, name: &str, bytes: &[u8]) -> Ino {
    let ino = volume.file(name);
    assert!(!write(volume, ino, 0, bytes, 1000).is_not_inline());
    ino
}

/// What a packer would pack now, not yet committed.
pub fn load(volume: &Volume) -> Pack {
    load_of(volume, volume.session)
}

fn load_of(volume: &Volume, staged_by: SessionId) -> Pack {
    let object = volume.lease_object();
    let (mut files, mut offset) = (Vec::new(), 0);
    for staged in volume.metadata.staged_files(staged_by, None, 100).unwrap() {
        let content = volume.metadata.get_content(staged.ino);
        let bytes = content.ok().and_then(|content| content.inline).unwrap_or_default();
        let length = bytes.len() as u32;
        files.push(PackedFile { directory: staged.directory, ino: staged.ino, offset, bytes });
        offset += length;
    }
    let (session, inline_max) = (volume.session, INLINE);
    Pack { object, object_length: offset, files, inline_max, staged_by, first: true, last: true, now: at(4), session }
}

pub fn pack(volume: &Volume) -> ObjectId {
    let pack = load(volume);
    let object = pack.object;
    assert_eq!(volume.run(MetaOp::Pack(pack)), MetaReply::Done);
    object
}

fn staged(volume: &Volume) -> Vec<(Ino, u32)> {
    let files = volume.metadata.staged_files(volume.session, None, 100).unwrap();
    let total: u64 = files.iter().map(|file| u64::from(file.bytes)).sum();
    assert_eq!(volume.metadata.staged_bytes().unwrap(), total);
    files.into_iter().map(|file| (file.ino, file.bytes)).collect()
}

pub fn remove(volume: &Volume, name: &str, ino: Ino) {
    volume.unlink(name, &[]);
    let queued = volume.metadata.queued_removals(u64::MAX, 9).unwrap();
    let queued_at = queued.iter().find(|queued| queued.ino == ino).unwrap().queued_at;
    volume.run_steps(MetaOp::RemoveInode(shoal_metadata::RemoveInode { queued_at, ino, delete_at: at(9) }));
}

#[test]
fn what_is_too_long_to_be_inline_is_staged_up_to_a_bound_of_its_own_and_of_the_volume() {
    let volume = Volume::new();
    let small = stage(&volume, "small", b"0123456789");
    let a = stage(&volume, "a", &[1; 30]);
    assert_eq!(staged(&volume), [(a, 30)], "what may be inline for good is not staged");
    assert!(!write(&volume, a, 30, &[2; 10], 40).is_not_inline());
    assert_eq!(staged(&volume), [(a, 40)]);
    let b = volume.file("b");
    assert!(write(&volume, b, 0, &[3; 20], 59).is_not_inline(), "the volume has no more room for it");
    assert!(write(&volume, a, 0, &[3; 61], 1000).is_not_inline(), "the file is too long");
    assert!(!write(&volume, b, 0, &[3; 20], 60).is_not_inline());
    assert_eq!(staged(&volume), [(a, 40), (b, 20)]);
    assert_eq!(volume.metadata.get_content(small).unwrap().inline.unwrap(), b"0123456789");
    assert_clean(&volume);
}

#[test]
fn packed_files_are_slices_of_one_object_with_the_same_bytes() {
    let volume = Volume::new();
    let (a, b) = (stage(&volume, "a", &[1; 30]), stage(&volume, "b", &[2; 20]));
    let before = [a, b].map(|ino| volume.metadata.get_attributes(ino).unwrap());
    let object = pack(&volume);
    assert_eq!([a, b].map(|ino| volume.metadata.get_attributes(ino).unwrap()), before, "nobody notices");
    let slice = |object_offset, length| Slice {
        position: 0,
        length,
        object,
        object_offset,
        object_length: 50,
        kind: ObjectKind::Pack,
    };
    for (ino, expected) in [(a, slice(0, 30)), (b, slice(30, 20))] {
        assert_eq!(volume.metadata.get_chunk(ino, 0).unwrap(), [expected]);
        assert_eq!(volume.metadata.get_content(ino).unwrap().inline, None);
    }
    assert_eq!(volume.number(Key::Object(object)), 50);
    assert_eq!(staged(&volume), []);
    assert!(write(&volume, a, 0, b"x", 1000).is_not_inline(), "what is packed is written in objects");
    assert_clean(&volume);
}

#[test]
fn a_file_that_was_changed_meanwhile_stays_staged_and_loses_nothing() {
    let volume = Volume::new();
    let (a, b) = (stage(&volume, "a", &[1; 30]), stage(&volume, "b", &[2; 20]));
    let pack = load(&volume);
    let object = pack.object;
    write(&volume, a, 3, b"changed", 1000);
    volume.run(MetaOp::Pack(pack.clone()));
    assert_eq!(volume.metadata.get_content(a).unwrap().inline.unwrap()[..12], *b"\x01\x01\x01changed\x01\x01");
    assert_eq!((staged(&volume), volume.number(Key::Object(object))), (vec![(a, 30)], 20));
    // The same once more, as a packer of another mount might: there is nothing to do any more.
    volume.run(MetaOp::Pack(pack));
    assert_eq!((staged(&volume), volume.number(Key::Object(object))), (vec![(a, 30)], 20));
    assert_eq!(volume.metadata.get_chunk(b, 0).unwrap().len(), 1);
    assert_clean(&volume);
}

#[test]
fn a_file_that_has_grown_leaves_metadata_below_what_was_written_since() {
    let volume = Volume::new();
    let a = stage(&volume, "a", &[1; 30]);
    let block = volume.lease_object();
    volume.write_slices(a, 0, &[slice(20, 100, block)], 120);
    let object = pack(&volume);
    let list = volume.metadata.get_chunk(a, 0).unwrap();
    assert_eq!(list.iter().map(|slice| slice.object).collect::<Vec<_>>(), [object, block]);
    assert_eq!(volume.metadata.get_content(a).unwrap().inline, None);
    assert_clean(&volume);
}

#[test]
fn what_was_cut_or_removed_leaves_the_list() {
    let volume = Volume::new();
    let (cut, removed) = (stage(&volume, "cut", &[1; 30]), stage(&volume, "removed", &[2; 20]));
    volume.truncate(cut, 5);
    remove(&volume, "removed", removed);
    pack(&volume);
    assert_eq!(staged(&volume), []);
    assert_eq!(volume.metadata.get_content(cut).unwrap().inline.unwrap(), [1; 5]);
    assert_clean(&volume);
}

#[test]
fn a_pack_is_deleted_when_the_last_of_its_files_is_gone() {
    let volume = Volume::new();
    let (a, b) = (stage(&volume, "a", &[1; 30]), stage(&volume, "b", &[2; 20]));
    let object = pack(&volume);
    remove(&volume, "a", a);
    assert_eq!(volume.number(Key::Object(object)), 20);
    assert_eq!(volume.metadata.queued_deletions(u64::MAX, 9).unwrap(), []);
    remove(&volume, "b", b);
    let queued = volume.metadata.queued_deletions(u64::MAX, 9).unwrap();
    assert_eq!(queued.iter().map(|entry| (entry.object, entry.kind)).collect::<Vec<_>>(), [(object, ObjectKind::Pack)]);
    assert_clean(&volume);
}

#[test]
fn what_an_ended_session_has_staged_can_be_packed_by_another() {
    let volume = Volume::new();
    let a = stage(&volume, "a", &[1; 30]);
    let other = Volume::join(volume.metadata.kv().clone());
    volume.run_steps(MetaOp::EndSession(EndSession { session: volume.session, if_silent_since: None, now: at(5) }));
    assert_eq!(other.metadata.staging_sessions().unwrap(), [volume.session]);
    other.run(MetaOp::Pack(load_of(&other, volume.session)));
    assert_eq!(other.metadata.staging_sessions().unwrap(), []);
    assert_eq!(other.metadata.get_chunk(a, 0).unwrap().len(), 1);
    assert_clean(&other);
}
