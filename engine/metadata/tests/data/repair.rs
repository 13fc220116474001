//! Each kind of damage that can be mended is: afterwards nothing is found, and what was there still is.

use crate::sample::*;
use crate::support::*;
use shoal_metadata::keys::{self, Accumulator, Counter, Key};
use shoal_metadata::records::{Dirent, SparseNote, encode_content, encode_deletion, encode_pack_files, encode_queued};
use shoal_metadata::{EndSession, MetaError, MetaOp, Repair};
use shoal_types::{Errno, FileKind, Ino, InodeFlags, ObjectKind, SessionId};

/// A sample that nobody uses, damaged: what was not mended, and the volume afterwards.
fn repaired(damage: impl FnOnce(&Sample)) -> (Vec<&'static str>, Sample) {
    let sample = sample();
    let session = sample.volume.session;
    sample.volume.run_steps(MetaOp::EndSession(EndSession { session, if_silent_since: None, now: at(6) }));
    assert_eq!(sample.findings(), []);
    damage(&sample);
    assert_ne!(sample.findings(), [], "the damage is found");
    loop {
        let repairs: Vec<Repair> = sample.findings().iter().map(|finding| repair(&sample, finding).unwrap()).collect();
        if !repairs.iter().any(|repair| matches!(repair, Repair::Done(_))) {
            let reasons = repairs.iter().filter_map(|repair| match repair {
                Repair::NotPossible(why) => Some(*why),
                _ => None,
            });
            return (reasons.collect(), sample);
        }
    }
}

fn repair(sample: &Sample, finding: &shoal_metadata::check::Finding) -> Result<Repair, MetaError> {
    sample.volume.metadata.repair(finding, at(10))
}

/// Mended wholly.
fn mended(damage: impl FnOnce(&Sample)) -> Sample {
    let (left, sample) = repaired(damage);
    assert_eq!(sample.findings(), [], "{left:?}");
    sample
}

fn path(sample: &Sample, ino: Ino) -> String {
    String::from_utf8(sample.volume.metadata.path_of(ino).unwrap()).unwrap()
}

#[test]
fn nothing_is_mended_while_a_session_lives() {
    let sample = sample();
    sample.add(Key::Counter(Counter::UsedBytes), 1);
    let findings = sample.findings();
    assert!(matches!(repair(&sample, &findings[0]), Err(MetaError::Refused(Errno::EBUSY))));
    assert_eq!(sample.findings(), findings);
}

#[test]
fn a_finding_that_is_no_more_so_changes_nothing() {
    let sample = mended(|s| s.add(Key::Counter(Counter::UsedBytes), 1));
    let old = of_volume(shoal_metadata::check::Problem::UsedBytes { recorded: 16, counted: 15 });
    assert_eq!(repair(&sample, &old).unwrap(), Repair::NotNeeded);
    assert_eq!(sample.findings(), []);
}

#[test]
fn counts_of_all_kinds() {
    mended(|s| s.add(Key::Counter(Counter::UsedBytes), 1));
    mended(|s| s.add(Key::Counter(Counter::UsedInodes), -1));
    mended(|s| s.add(Key::StagedBytes, 5));
    mended(|s| s.add(Key::Accumulator(s.d, Accumulator::Entries), 3));
    mended(|s| s.add(Key::Accumulator(s.d, Accumulator::Subdirectories), -1));
    let sample = mended(|s| s.add(Key::Accumulator(s.inline, Accumulator::Allocated), 7));
    assert_eq!(sample.volume.number(Key::Counter(Counter::UsedBytes)), 15);
    mended(|s| s.change_identity(s.inline, |identity| identity.nlink = 2));
    mended(|s| s.put(Key::Accumulator(s.link, Accumulator::Length), &3u64.to_le_bytes()));
}

#[test]
fn counters_that_are_missing_or_too_low_never_hand_out_a_number_in_use() {
    for counter in Counter::ALL {
        let sample = mended(|s| s.delete(Key::Counter(counter)));
        let again = Volume::join(sample.volume.metadata.kv().clone());
        let object = again.lease_object();
        assert!(object > sample.object && object > sample.dropped);
        assert_ne!(again.create(Ino::ROOT, "new", FileKind::Regular), sample.queued);
    }
    mended(|s| s.put(Key::Counter(Counter::NextInode), &3u64.to_le_bytes()));
    mended(|s| s.put(Key::Counter(Counter::NextObject), &1u64.to_le_bytes()));
}

#[test]
fn an_entry_that_leads_nowhere_is_removed() {
    let sample = mended(|s| {
        let ino = s.inline;
        s.volume.raw(move |transaction| transaction.delete_range(&keys::inode(ino)).unwrap());
    });
    assert_eq!(sample.volume.get(Key::dirent(Ino::ROOT, &name("inline"))), None);
}

#[test]
fn entries_of_the_wrong_kind_or_in_the_wrong_place() {
    let wrong = |s: &Sample| {
        s.put(Key::dirent(s.d, &name("link")), &Dirent { ino: s.link, kind: FileKind::Directory }.encode());
        s.add(Key::Accumulator(s.d, Accumulator::Subdirectories), 1);
    };
    assert_eq!(path(&mended(wrong), Ino(6)), "/d/link");
    let elsewhere = |s: &Sample| {
        s.delete(Key::dirent(s.d, &name("link")));
        s.put(Key::Dirent(s.d, 77, b"link"), &Dirent { ino: s.link, kind: FileKind::Symlink }.encode());
    };
    let sample = mended(elsewhere);
    assert_eq!(path(&sample, sample.link), "/d/link");
    let twice = |s: &Sample| {
        s.put(Key::Dirent(s.d, 77, b"link"), &Dirent { ino: s.link, kind: FileKind::Symlink }.encode());
    };
    mended(twice);
}

#[test]
fn what_has_lost_its_name_is_found_with_all_that_is_below_it() {
    let sample = mended(|s| {
        s.delete(Key::dirent(Ino::ROOT, &name("d")));
        s.add(Key::Accumulator(Ino::ROOT, Accumulator::Entries), -1);
        s.add(Key::Accumulator(Ino::ROOT, Accumulator::Subdirectories), -1);
    });
    assert_eq!(path(&sample, sample.sliced), format!("/lost+found/#{}/e/sliced", sample.d.0));
    let sample = mended(|s| s.delete(Key::dirent(Ino::ROOT, &name("inline"))));
    assert_eq!(path(&sample, sample.inline), format!("/lost+found/#{}", sample.inline.0));
}

#[test]
fn what_was_removed_and_is_kept_by_nobody_goes_on_being_removed() {
    let sample = mended(|s| {
        s.delete(Key::Removal(s.queued_at, s.queued));
        s.delete(Key::Queued(s.queued));
    });
    assert!(
        sample.volume.metadata.queued_removals(u64::MAX, 9).unwrap().iter().any(|entry| entry.ino == sample.queued)
    );
}

#[test]
fn directories_that_lead_to_each_other_are_cut_apart() {
    let sample = mended(|s| {
        s.delete(Key::dirent(Ino::ROOT, &name("d")));
        s.add(Key::Accumulator(Ino::ROOT, Accumulator::Entries), -1);
        s.add(Key::Accumulator(Ino::ROOT, Accumulator::Subdirectories), -1);
        s.put(Key::dirent(s.e, &name("d")), &Dirent { ino: s.d, kind: FileKind::Directory }.encode());
        s.add(Key::Accumulator(s.e, Accumulator::Entries), 1);
        s.add(Key::Accumulator(s.e, Accumulator::Subdirectories), 1);
        let parent = s.e;
        s.change_identity(s.d, move |identity| identity.parent = parent);
    });
    assert_eq!(path(&sample, sample.sliced), format!("/lost+found/#{}/e/sliced", sample.d.0));
}

#[test]
fn a_directory_keeps_the_name_where_it_says_it_is() {
    let sample = mended(|s| {
        s.put(Key::dirent(Ino::ROOT, &name("again")), &Dirent { ino: s.e, kind: FileKind::Directory }.encode());
        s.add(Key::Accumulator(Ino::ROOT, Accumulator::Entries), 1);
        s.add(Key::Accumulator(Ino::ROOT, Accumulator::Subdirectories), 1);
    });
    assert_eq!(path(&sample, sample.e), "/d/e");
    let sample = mended(|s| s.change_identity(s.e, |identity| identity.parent = Ino::ROOT));
    assert_eq!(path(&sample, sample.e), "/d/e");
}

#[test]
fn what_has_lost_its_identity_is_there_again_with_its_bytes() {
    let sample = mended(|s| s.delete(Key::Identity(s.sliced)));
    assert_eq!(path(&sample, sample.sliced), "/d/e/sliced");
    let content = sample.volume.metadata.get_content(sample.sliced).unwrap();
    assert_eq!((content.attributes.length, content.has_chunks(), content.attributes.mode), (10, true, 0o600));
    let sample = mended(|s| s.delete(Key::Identity(s.d)));
    assert_eq!(path(&sample, sample.sliced), "/d/e/sliced");
    let sample = mended(|s| s.delete(Key::Identity(Ino::ROOT)));
    assert_eq!(path(&sample, sample.sliced), "/d/e/sliced");
    let sample = mended(|s| s.put(Key::Accumulator(Ino(999), Accumulator::Length), &0u64.to_le_bytes()));
    assert_eq!(sample.volume.get(Key::Accumulator(Ino(999), Accumulator::Length)), None);
}

#[test]
fn content_beyond_the_end_is_within_it() {
    let sample = mended(|s| s.put(Key::Accumulator(s.sliced, Accumulator::Length), &9u64.to_le_bytes()));
    assert_eq!(sample.volume.metadata.get_attributes(sample.sliced).unwrap().length, 10);
    mended(|s| s.put(Key::Accumulator(s.inline, Accumulator::Length), &4u64.to_le_bytes()));
    mended(|s| s.put(Key::Target(s.inline), &encode_content(b"x")));
}

#[test]
fn notes_of_packs_that_nothing_refers_to_are_removed() {
    let sample = mended(|s| {
        s.put(Key::PackFiles(s.dropped, 3), &encode_pack_files(&[s.sliced]));
        s.put(Key::PackFiles(s.dropped, 7), &encode_pack_files(&[s.sliced]));
        s.put(Key::SparsePack(s.dropped), &SparseNote::new(at(3), 100).encode());
    });
    assert_eq!(sample.volume.metadata.pack_lists(sample.dropped, None, 9).unwrap(), []);
    // An object that turns out to have none is no pack any more.
    let sample = mended(|s| {
        s.volume.forget_queued();
        s.add(Key::Object(s.dropped), 1);
        s.put(Key::PackFiles(s.dropped, 3), &encode_pack_files(&[s.sliced]));
    });
    assert_eq!(sample.volume.metadata.pack_lists(sample.dropped, None, 9).unwrap(), []);
}

#[test]
fn objects_are_live_or_queued_as_files_refer_to_them() {
    mended(|s| s.add(Key::Object(s.object), 5));
    mended(|s| s.delete(Key::Object(s.object)));
    mended(|s| s.add(Key::Object(s.dropped), 1));
    mended(|s| s.put(Key::Deletion(7, s.object), &encode_deletion(ObjectKind::Block)));
    let sample = mended(|s| {
        s.volume.forget_queued();
        s.add(Key::Object(s.dropped), 1);
    });
    let queued = sample.volume.metadata.queued_deletions(u64::MAX, 9).unwrap();
    assert!(queued.iter().any(|entry| entry.object == sample.dropped));
}

#[test]
fn queues_and_locks_are_of_what_there_is() {
    mended(|s| s.put(Key::Queued(s.queued), &encode_queued(3)));
    mended(|s| s.put(Key::Removal(3, Ino(999)), &[1]));
    mended(|s| s.put(Key::Removal(3, s.inline), &[1]));
    mended(|s| s.delete(Key::Removal(s.queued_at, s.queued)));
    let sample = mended(|s| s.change_identity(s.inline, |identity| identity.flags = InodeFlags::TRASHED));
    assert_eq!(path(&sample, sample.inline), "/inline");
    mended(|s| s.change_identity(s.inline, |identity| identity.flags = InodeFlags::XATTRS));
    mended(|s| s.change_identity(s.queued, |identity| identity.nlink = 1));
    let sample = mended(|s| {
        s.delete(Key::dirent(Ino::ROOT, &name("inline")));
        s.add(Key::Accumulator(Ino::ROOT, Accumulator::Entries), -1);
        s.change_identity(s.inline, |identity| (identity.flags, identity.nlink) = (InodeFlags::TRASHED, 0));
    });
    assert_eq!(path(&sample, sample.inline), format!("/lost+found/#{}", sample.inline.0));
}

#[test]
fn what_cannot_be_mended_is_told_with_the_reason() {
    let (left, _) = repaired(|s| s.volume.raw(|transaction| transaction.put(b"nonsense", b"")));
    assert_eq!(left, ["a newer program may know what it means"]);
    let (left, _) = repaired(|s| s.put(Key::Identity(s.inline), &[9, 0]));
    assert_eq!(left, ["what it held cannot be read"]);
}

#[test]
fn records_of_a_session_that_ended_are_not_for_repairs() {
    let sample = sample();
    sample.put(Key::Sustained(SessionId(77), sample.inline), &[1]);
    let errors: Vec<_> = sample.findings().iter().map(|finding| repair(&sample, finding)).collect();
    assert!(errors.iter().all(|result| matches!(result, Err(MetaError::Refused(Errno::EBUSY)))), "{errors:?}");
}
