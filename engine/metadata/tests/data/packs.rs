//! What is noted of packs, and how what is left of them is moved.

use crate::staging::{assert_clean, load, pack, remove, stage};
use crate::support::*;
use shoal_metadata::keys::Key;
use shoal_metadata::{
    CopyRange, EndSession, ForgetSparsePacks, MetaOp, MetaReply, MovedPart, PackList, Repack, SparsePack,
};
use shoal_types::{Errno, Ino, ObjectId, ObjectKind, Slice, Timestamp};

/// Ten files of 30 bytes in one pack, in the order of their places.
fn ten(volume: &Volume, prefix: &str) -> (Vec<Ino>, ObjectId) {
    let files = (0..10).map(|number| stage(volume, &format!("{prefix}{number}"), &[number + 1; 30])).collect();
    (files, pack(volume))
}

/// Removes all but the last `left`.
fn thin_out(volume: &Volume, prefix: &str, files: &[Ino], left: usize) {
    let removed = files.len() - left;
    files[..removed].iter().enumerate().for_each(|(number, ino)| remove(volume, &format!("{prefix}{number}"), *ino));
}

fn sparse(volume: &Volume) -> Vec<(ObjectId, Timestamp, u64)> {
    let packs = volume.metadata.sparse_packs(None, 100).unwrap();
    packs.iter().map(|pack| (pack.object, pack.since, pack.live_bytes)).collect()
}

fn listed(volume: &Volume, pack: ObjectId) -> Vec<Ino> {
    volume.metadata.pack_lists(pack, None, 100).unwrap().into_iter().flat_map(|list| list.files).collect()
}

fn part(from: ObjectId, from_offset: u32, to_offset: u32, length: u32) -> MovedPart {
    MovedPart { from, from_offset, to_offset, length }
}

/// Into a new object of 1,000 bytes.
fn repack_of(volume: &Volume, parts: &[MovedPart], files: &[Ino]) -> Repack {
    let (object, session) = (volume.lease_object(), volume.session);
    Repack {
        object,
        object_length: 1000,
        parts: parts.to_vec(),
        files: files.to_vec(),
        first: true,
        last: true,
        now: at(20),
        session,
    }
}

fn of_pack(object: ObjectId, object_offset: u32, length: u32) -> Slice {
    Slice { position: 0, length, object, object_offset, object_length: 1000, kind: ObjectKind::Pack }
}

fn queued(volume: &Volume) -> Vec<ObjectId> {
    volume.metadata.queued_deletions(u64::MAX, 100).unwrap().iter().map(|entry| entry.object).collect()
}

#[test]
fn a_pack_knows_its_files_and_those_alone_that_came_into_it() {
    let volume = Volume::new();
    let [a, b, c] = ["a", "b", "c"].map(|name| stage(&volume, name, &[7; 30]));
    let mut load = load(&volume);
    let object = load.object;
    volume.truncate(b, 20);
    volume.run(MetaOp::Pack(load.clone()));
    let list = |place, files: &[Ino]| PackList { place, files: files.to_vec() };
    assert_eq!(volume.metadata.pack_lists(object, None, 9).unwrap(), [list(0, &[a, c])]);
    // A part of it that comes later.
    let d = stage(&volume, "d", &[8; 30]);
    load.files = vec![shoal_metadata::PackedFile { directory: Ino::ROOT, ino: d, offset: 90, bytes: vec![8; 30] }];
    load.object_length = 120;
    volume.run(MetaOp::Pack(load));
    assert_eq!(volume.metadata.pack_lists(object, None, 9).unwrap(), [list(0, &[a, c]), list(90, &[d])]);
    assert_eq!(volume.metadata.pack_lists(object, Some(0), 9).unwrap(), [list(90, &[d])]);
    assert_eq!(sparse(&volume), []);
    assert_clean(&volume);
}

#[test]
fn a_pack_is_noted_when_less_than_a_quarter_is_left_and_nothing_is_when_nothing_is() {
    let volume = Volume::new();
    let (files, object) = ten(&volume, "f");
    thin_out(&volume, "f", &files, 3);
    assert_eq!(sparse(&volume), [], "three tenths are left");
    volume.truncate(files[7], 20);
    assert_eq!(sparse(&volume), [], "80 of 300");
    volume.truncate(files[7], 14);
    assert_eq!(sparse(&volume), [(object, at(4), 74)], "from the moment of the loss");
    remove(&volume, "f8", files[8]);
    assert_eq!(sparse(&volume), [(object, at(9), 44)], "and of the last one");
    remove(&volume, "f7", files[7]);
    remove(&volume, "f9", files[9]);
    assert_eq!((sparse(&volume), listed(&volume, object)), (vec![], vec![]));
    assert_eq!(queued(&volume), [object]);
    assert_clean(&volume);
}

#[test]
fn objects_that_are_no_packs_are_never_noted() {
    let volume = Volume::new();
    let ino = volume.file("f");
    let object = volume.lease_object();
    volume.write_slices(ino, 0, &[slice(0, 1000, object)], 1000);
    volume.truncate(ino, 1);
    assert_eq!((sparse(&volume), volume.number(Key::Object(object))), (vec![], 1));
}

#[test]
fn a_pack_whose_other_files_never_came_is_noted() {
    let volume = Volume::new();
    let a = stage(&volume, "a", &[1; 30]);
    let mut first = load(&volume);
    (first.object_length, first.last) = (200, false);
    volume.run(MetaOp::Pack(first.clone()));
    assert_eq!(sparse(&volume), [(first.object, at(4), 30)], "its packer may be dead");
    let b = stage(&volume, "b", &[2; 30]);
    let mut last = load(&volume);
    (last.object, last.object_length, last.files[0].offset, last.first) = (first.object, 200, 30, false);
    volume.run(MetaOp::Pack(last));
    assert_eq!((sparse(&volume), listed(&volume, first.object)), (vec![], vec![a, b]));
    // All but one were changed meanwhile.
    stage(&volume, "c", &[3; 30]);
    let mut alone = load(&volume);
    alone.object_length = 121;
    volume.run(MetaOp::Pack(alone.clone()));
    assert_eq!(sparse(&volume), [(alone.object, at(4), 30)]);
    // All were.
    let d = stage(&volume, "d", &[4; 30]);
    let mut none = load(&volume);
    none.last = false;
    volume.truncate(d, 20);
    volume.run(MetaOp::Pack(none.clone()));
    assert_eq!(sparse(&volume), [(alone.object, at(4), 30), (none.object, at(4), 0)]);
    assert_eq!(listed(&volume, none.object), []);
    (none.files, none.last, none.first) = (Vec::new(), true, false);
    volume.run(MetaOp::Pack(none));
    assert_eq!(sparse(&volume).len(), 1);
    assert_clean(&volume);
}

#[test]
fn what_is_left_of_two_packs_is_moved_and_nobody_notices_but_the_store() {
    let volume = Volume::new();
    let ((a, one), (b, two)) = (ten(&volume, "a"), ten(&volume, "b"));
    thin_out(&volume, "a", &a, 2);
    thin_out(&volume, "b", &b, 1);
    let kept = [a[8], a[9], b[9]];
    let before = kept.map(|ino| volume.metadata.get_attributes(ino).unwrap());
    let used = volume.number(Key::Counter(shoal_metadata::keys::Counter::UsedBytes));
    let parts = [part(one, 240, 0, 60), part(two, 270, 60, 30)];
    let repack = repack_of(&volume, &parts, &[&a[..], &b].concat());
    let object = repack.object;
    assert_eq!(volume.run(MetaOp::Repack(repack.clone())), MetaReply::Done);
    for (number, ino) in kept.into_iter().enumerate() {
        assert_eq!(volume.metadata.get_chunk(ino, 0).unwrap(), [of_pack(object, number as u32 * 30, 30)]);
    }
    assert_eq!(kept.map(|ino| volume.metadata.get_attributes(ino).unwrap()), before);
    assert_eq!(volume.number(Key::Counter(shoal_metadata::keys::Counter::UsedBytes)), used);
    assert_eq!(queued(&volume), [one, two]);
    assert_eq!(listed(&volume, object), kept);
    assert_eq!([one, two].map(|pack| listed(&volume, pack).len()), [0, 0]);
    assert_eq!(sparse(&volume), [(object, at(20), 90)], "90 of 1,000, which would have to be moved again");
    // As after an end that nobody has learned of.
    volume.run(MetaOp::Repack(repack));
    assert_eq!((listed(&volume, object), volume.number(Key::Object(object))), (kept.to_vec(), 90));
    assert_clean(&volume);
}

#[test]
fn what_was_changed_meanwhile_stays_changed() {
    let volume = Volume::new();
    let (files, object) = ten(&volume, "f");
    let parts: Vec<MovedPart> = (0..10).map(|number| part(object, number * 30, number * 50, 30)).collect();
    let repack = repack_of(&volume, &parts[..9], &files);
    let new = repack.object;
    let block = volume.lease_object();
    volume.truncate(files[0], 5);
    volume.write_slices(files[1], 0, &[slice(10, 10, block)], 30);
    remove(&volume, "f2", files[2]);
    volume.truncate(files[3], 0);
    let copy = |source: Ino, source_offset: u64, target: Ino| {
        let session = volume.session;
        let copy = CopyRange { source, source_offset, target, target_offset: 0, length: 20, session, now: at(7) };
        volume.run(MetaOp::CopyRange(copy)).into_copied().unwrap();
    };
    // One of what is moved, and one of what is not.
    copy(files[4], 10, files[5]);
    copy(files[9], 10, files[6]);
    volume.run(MetaOp::Repack(repack));
    let list = |number: usize| volume.metadata.get_chunk(files[number], 0).unwrap();
    let at = |position, slice| Slice { position, ..slice };
    let of_old = |offset, length| Slice { object_length: 300, ..of_pack(object, offset, length) };
    assert_eq!(list(0), [of_pack(new, 0, 5)]);
    assert_eq!(list(1), [of_pack(new, 50, 30), slice(10, 10, block)]);
    assert!(volume.metadata.get_attributes(files[2]).is_err());
    assert_eq!(list(3), []);
    assert_eq!(list(4), [of_pack(new, 200, 30)]);
    assert!(list(5).contains(&of_pack(new, 210, 20)) && list(5).contains(&at(20, of_pack(new, 270, 10))));
    assert!(list(6).contains(&of_old(280, 20)) && list(6).contains(&at(20, of_pack(new, 320, 10))));
    assert_eq!(list(9), [of_old(270, 30)], "it was not to be moved");
    assert_eq!(volume.number(Key::Object(object)), 50);
    assert_clean(&volume);
}

#[test]
fn a_list_that_grows_in_the_same_place_loses_nobody() {
    let volume = Volume::new();
    let (files, object) = ten(&volume, "f");
    let mut repack = repack_of(&volume, &[part(object, 0, 0, 300)], &files[..1]);
    repack.last = false;
    volume.run(MetaOp::Repack(repack.clone()));
    assert_eq!(sparse(&volume), [(repack.object, at(20), 30)], "more may never come");
    // A copy of the first one's bytes makes this part of the list begin where that one does.
    (repack.parts[0], repack.first, repack.last) = (part(object, 30, 0, 270), false, true);
    repack.files = files[1..].to_vec();
    volume.run(MetaOp::Repack(repack.clone()));
    assert_eq!(listed(&volume, repack.object), files);
    assert_eq!((sparse(&volume), queued(&volume)), (vec![], vec![object]));
}

#[test]
fn a_pack_that_has_ended_before_it_was_full_is_not_referred_to_any_more() {
    let volume = Volume::new();
    let a = stage(&volume, "a", &[1; 30]);
    let mut first = load(&volume);
    (first.object_length, first.last) = (60, false);
    volume.run(MetaOp::Pack(first.clone()));
    remove(&volume, "a", a);
    assert_eq!(volume.forget_queued(), [first.object], "and it is gone from the store");
    let b = stage(&volume, "b", &[2; 30]);
    let mut last = load(&volume);
    (last.object, last.object_length, last.files[0].offset, last.first) = (first.object, 60, 30, false);
    volume.run(MetaOp::Pack(last));
    assert_eq!(volume.metadata.get_content(b).unwrap().inline.unwrap(), [2; 30]);
    assert_eq!(volume.metadata.staged_files(volume.session, None, 9).unwrap().len(), 1);
    // The same where packs are made anew.
    let (files, object) = ten(&volume, "f");
    let mut repack = repack_of(&volume, &[part(object, 0, 0, 300)], &files[..1]);
    repack.last = false;
    volume.run(MetaOp::Repack(repack.clone()));
    remove(&volume, "f0", files[0]);
    (repack.first, repack.last, repack.files) = (false, true, files[1..].to_vec());
    volume.run(MetaOp::Repack(repack.clone()));
    assert_eq!(volume.metadata.get_chunk(files[1], 0).unwrap()[0].object, object);
    assert_eq!((sparse(&volume), listed(&volume, repack.object)), (vec![], vec![]));
    assert_clean(&volume);
}

#[test]
fn a_pack_that_has_been_looked_at_is_noted_again_when_it_loses_more() {
    let volume = Volume::new();
    let (files, object) = ten(&volume, "f");
    thin_out(&volume, "f", &files, 2);
    let is_sparse = |volume: &Volume| {
        let packs = volume.metadata.sparse_packs(None, 9).unwrap();
        packs.iter().map(|SparsePack { is_sparse, .. }| *is_sparse).collect::<Vec<_>>()
    };
    assert_eq!(is_sparse(&volume), [true]);
    let forget = |since| volume.run(MetaOp::ForgetSparsePacks(ForgetSparsePacks { packs: vec![(object, since)] }));
    forget(at(8));
    assert_eq!(sparse(&volume).len(), 1, "it has lost bytes since");
    forget(at(9));
    assert_eq!((sparse(&volume), listed(&volume, object)), (vec![], files.clone()));
    assert_clean(&volume);
    volume.truncate(files[8], 3);
    assert_eq!(sparse(&volume), [(object, at(4), 33)]);
    for number in 0..2 {
        let target = volume.file(&format!("copy{number}"));
        let (source, session) = (files[9], volume.session);
        let copy = CopyRange { source, source_offset: 0, target, target_offset: 0, length: 30, session, now: at(7) };
        volume.run(MetaOp::CopyRange(copy));
    }
    assert_eq!(is_sparse(&volume), [false], "93 of 300");
    assert_eq!(volume.metadata.live_bytes(&[object, ObjectId(999)]).unwrap(), [93, 0]);
}

#[test]
fn what_cannot_be_moved_is_refused() {
    let volume = Volume::new();
    let (files, object) = ten(&volume, "f");
    let refused = |repack: Repack| volume.try_run(MetaOp::Repack(repack)).unwrap_err().errno();
    for wrong in [part(object, 0, 990, 30), part(object, 0, 0, 0), part(object, 0, u32::MAX, 30)] {
        assert_eq!(refused(repack_of(&volume, &[wrong], &files)), Errno::EINVAL);
    }
    let mut late = repack_of(&volume, &[part(object, 0, 0, 300)], &files);
    let other = Volume::join(volume.metadata.kv().clone());
    late.session = other.session;
    volume.run_steps(MetaOp::EndSession(EndSession { session: other.session, if_silent_since: None, now: at(5) }));
    assert_eq!(refused(late), Errno::ESTALE);
    assert_eq!(listed(&volume, object), files);
}
