//! The consistency check finds each kind of damage, and nothing else.

use crate::sample::*;
use crate::support::*;
use shoal_metadata::check::{self, Finding, Problem};
use shoal_metadata::keys::{self, Accumulator, Counter, Key};
use shoal_metadata::records::{
    Dirent, SparseNote, encode_content, encode_deletion, encode_pack_files, encode_queued, encode_slices,
};
use shoal_types::{FileKind, Ino, ObjectKind, SessionId, Slice};

/// Damages a sample and compares what is found.
fn found(damage: impl FnOnce(&Sample), expected: impl FnOnce(&Sample) -> Vec<Finding>) {
    let sample = sample();
    damage(&sample);
    assert_eq!(sample.findings(), expected(&sample));
}

#[test]
fn a_sound_volume_is_found_sound_and_counted() {
    let sample = sample();
    let mut seen = 0;
    let report = check::run(&sample.volume.metadata, &mut |records| seen = records).unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
    assert_eq!((report.inodes, report.directories, report.files), (8, 3, 4));
    assert_eq!((report.bytes, report.objects), (15, 1));
    assert!(seen > 30);
}

#[test]
fn a_name_that_leads_nowhere() {
    found(
        |s| {
            s.volume.raw({
                let ino = s.inline;
                move |t| t.delete_range(&keys::inode(ino)).unwrap()
            })
        },
        |s| {
            let name = b"inline".to_vec();
            vec![
                finding(Ino::ROOT, "/", Problem::DanglingEntry { name, target: s.inline }),
                of_volume(Problem::UsedInodes { recorded: 8, counted: 7 }),
                of_volume(Problem::UsedBytes { recorded: 15, counted: 10 }),
            ]
        },
    );
}

#[test]
fn an_inode_without_a_name() {
    found(
        |s| {
            s.delete(Key::dirent(s.d, &name("link")));
            s.add(Key::Accumulator(s.d, Accumulator::Entries), -1);
        },
        |s| vec![pathless(s.link, Problem::Unreachable)],
    );
}

#[test]
fn an_entry_that_gives_the_wrong_kind() {
    found(
        |s| s.put(Key::dirent(s.d, &name("link")), &Dirent { ino: s.link, kind: FileKind::Regular }.encode()),
        |s| {
            let problem = Problem::EntryKind { name: b"link".to_vec(), target: s.link, inode: FileKind::Symlink };
            vec![finding(s.d, "/d", problem)]
        },
    );
}

#[test]
fn an_entry_in_the_wrong_place() {
    found(
        |s| {
            s.delete(Key::dirent(s.d, &name("link")));
            let entry = Dirent { ino: s.link, kind: FileKind::Symlink };
            s.put(Key::Dirent(s.d, 77, b"link"), &entry.encode());
        },
        |s| vec![finding(s.d, "/d", Problem::Cookie { name: b"link".to_vec() })],
    );
}

#[test]
fn a_name_that_no_file_can_have() {
    found(
        |s| {
            s.delete(Key::dirent(s.d, &name("link")));
            let entry = Dirent { ino: s.link, kind: FileKind::Symlink };
            let cookie = keys::cookie(s.d, b"a/\nb");
            s.put(Key::Dirent(s.d, cookie, b"a/\nb"), &entry.encode());
        },
        |s| vec![finding(s.d, "/d", Problem::BadName { name: b"a/\nb".to_vec() })],
    );
}

#[test]
fn a_wrong_number_of_names() {
    found(
        |s| s.change_identity(s.inline, |identity| identity.nlink = 2),
        |s| vec![finding(s.inline, "/inline", Problem::LinkCount { recorded: 2, names: 1 })],
    );
}

#[test]
fn a_directory_with_two_names() {
    found(
        |s| {
            let entry = Dirent { ino: s.e, kind: FileKind::Directory };
            s.put(Key::dirent(Ino::ROOT, &name("again")), &entry.encode());
            s.add(Key::Accumulator(Ino::ROOT, Accumulator::Entries), 1);
            s.add(Key::Accumulator(Ino::ROOT, Accumulator::Subdirectories), 1);
        },
        |s| vec![finding(s.e, "/again", Problem::SeveralNames { names: 2 })],
    );
}

#[test]
fn a_directory_that_takes_another_for_its_parent() {
    found(
        |s| s.change_identity(s.e, |identity| identity.parent = Ino::ROOT),
        |s| vec![finding(s.e, "/d/e", Problem::Parent { recorded: Ino::ROOT, actual: s.d })],
    );
}

#[test]
fn directories_that_lead_to_each_other() {
    found(
        |s| {
            s.delete(Key::dirent(Ino::ROOT, &name("d")));
            s.add(Key::Accumulator(Ino::ROOT, Accumulator::Entries), -1);
            s.add(Key::Accumulator(Ino::ROOT, Accumulator::Subdirectories), -1);
            let entry = Dirent { ino: s.d, kind: FileKind::Directory };
            s.put(Key::dirent(s.e, &name("d")), &entry.encode());
            s.add(Key::Accumulator(s.e, Accumulator::Entries), 1);
            s.add(Key::Accumulator(s.e, Accumulator::Subdirectories), 1);
            let parent = s.e;
            s.change_identity(s.d, move |identity| identity.parent = parent);
        },
        |s| vec![pathless(s.d, Problem::Loop), pathless(s.e, Problem::Loop)],
    );
}

#[test]
fn wrong_counts_of_a_directory() {
    found(
        |s| s.add(Key::Accumulator(s.d, Accumulator::Entries), 3),
        |s| vec![finding(s.d, "/d", Problem::Entries { recorded: 5, counted: 2 })],
    );
    found(
        |s| s.add(Key::Accumulator(s.d, Accumulator::Subdirectories), -1),
        |s| vec![finding(s.d, "/d", Problem::Subdirectories { recorded: 0, counted: 1 })],
    );
}

#[test]
fn wrong_allocated_bytes() {
    found(
        |s| {
            s.add(Key::Accumulator(s.inline, Accumulator::Allocated), 7);
            s.add(Key::Counter(Counter::UsedBytes), 7);
        },
        |s| vec![finding(s.inline, "/inline", Problem::Allocated { recorded: 12, counted: 5 })],
    );
}

#[test]
fn content_beyond_the_end() {
    found(
        |s| s.put(Key::Accumulator(s.sliced, Accumulator::Length), &9u64.to_le_bytes()),
        |s| vec![finding(s.sliced, "/d/e/sliced", Problem::BeyondEnd { what: "slices", length: 9 })],
    );
    found(
        |s| s.put(Key::Accumulator(s.inline, Accumulator::Length), &4u64.to_le_bytes()),
        |s| vec![finding(s.inline, "/inline", Problem::BeyondEnd { what: "inline data", length: 4 })],
    );
}

#[test]
fn a_symlink_of_another_length_than_its_target() {
    found(
        |s| s.put(Key::Target(s.link), &encode_content(b"elsewhere, far away")),
        |s| vec![finding(s.link, "/d/link", Problem::TargetLength { recorded: 9, counted: 19 })],
    );
}

#[test]
fn what_an_inode_of_its_kind_cannot_have() {
    found(
        |s| s.put(Key::Target(s.inline), &encode_content(b"x")),
        |s| vec![finding(s.inline, "/inline", Problem::Misplaced { what: "a symlink's target" })],
    );
}

#[test]
fn wrong_live_bytes() {
    found(
        |s| s.add(Key::Object(s.object), 5),
        |s| vec![of_volume(Problem::LiveBytes { object: s.object, recorded: 15, counted: 10 })],
    );
    found(
        |s| s.delete(Key::Object(s.object)),
        |s| vec![of_volume(Problem::LiveBytes { object: s.object, recorded: 0, counted: 10 })],
    );
    found(
        |s| s.add(Key::Object(s.dropped), 1),
        |s| {
            let object = s.dropped;
            vec![
                of_volume(Problem::LiveAndQueued { object }),
                of_volume(Problem::LiveBytes { object, recorded: 1, counted: 0 }),
            ]
        },
    );
}

#[test]
fn an_object_in_use_that_waits_for_its_deletion() {
    found(
        |s| s.put(Key::Deletion(7, s.object), &encode_deletion(ObjectKind::Block)),
        |s| vec![of_volume(Problem::LiveAndQueued { object: s.object })],
    );
}

#[test]
fn lists_of_files_of_packs_that_nothing_refers_to() {
    found(
        |s| {
            s.put(Key::PackFiles(s.dropped, 3), &encode_pack_files(&[s.sliced]));
            s.put(Key::PackFiles(s.dropped, 7), &encode_pack_files(&[s.sliced]));
            // That may be a pack whose first files are about to come.
            s.put(Key::SparsePack(s.dropped), &SparseNote::new(at(3), 100).encode());
        },
        |s| vec![of_volume(Problem::PackNotes { object: s.dropped })],
    );
}

#[test]
fn wrong_totals() {
    found(
        |s| s.add(Key::Counter(Counter::UsedBytes), 1),
        |_| vec![of_volume(Problem::UsedBytes { recorded: 16, counted: 15 })],
    );
    found(
        |s| s.add(Key::Counter(Counter::UsedInodes), -1),
        |_| vec![of_volume(Problem::UsedInodes { recorded: 7, counted: 8 })],
    );
}

#[test]
fn numbers_that_would_be_handed_out_again() {
    found(
        |s| s.put(Key::Counter(Counter::NextInode), &s.queued.0.to_le_bytes()),
        |s| {
            let (next, number) = (s.queued.0, s.queued.0);
            vec![pathless(s.queued, Problem::NotHandedOut { counter: "next inode", next, number })]
        },
    );
    found(
        |s| s.put(Key::Counter(Counter::NextObject), &1u64.to_le_bytes()),
        |s| {
            let problem = Problem::NotHandedOut { counter: "next object", next: 1, number: s.object.0 };
            vec![of_volume(problem)]
        },
    );
    found(
        |s| s.delete(Key::Counter(Counter::NextSession)),
        |_| vec![of_volume(Problem::CounterMissing { counter: "next session" })],
    );
}

#[test]
fn records_that_cannot_be_read_are_told_once() {
    let newer = |what: &str| format!("{what} has format 9, which is newer than this program (it knows 1)");
    found(
        |s| s.put(Key::Identity(s.inline), &[9, 0]),
        |s| {
            let key = Key::Identity(s.inline).encode();
            let why = newer("an inode's identity");
            vec![finding(s.inline, "/inline", Problem::Undecodable { key, why })]
        },
    );
    found(
        |s| s.put(Key::Chunk(s.sliced, 0), &[9, 0]),
        |s| {
            let key = Key::Chunk(s.sliced, 0).encode();
            let why = newer("a slice list");
            vec![finding(s.sliced, "/d/e/sliced", Problem::Undecodable { key, why })]
        },
    );
    found(
        |s| s.put(Key::dirent(s.d, &name("link")), &[9, 0]),
        |s| {
            let key = Key::dirent(s.d, &name("link")).encode();
            let why = newer("a directory entry");
            vec![finding(s.d, "/d", Problem::Undecodable { key, why })]
        },
    );
}

#[test]
fn an_unsound_slice() {
    found(
        |s| {
            let unsound = Slice { object_offset: 5, ..slice(0, 10, s.object) };
            s.put(Key::Chunk(s.sliced, 0), &encode_slices(&[unsound]));
        },
        |s| {
            let [Finding { problem: Problem::Undecodable { why, .. }, .. }] = &s.findings()[..] else {
                panic!("{:?}", s.findings())
            };
            assert!(why.contains("impossible slice"), "{why}");
            s.findings()
        },
    );
}

#[test]
fn keys_and_records_that_belong_to_nothing() {
    found(
        |s| s.volume.raw(|transaction| transaction.put(b"nonsense", b"")),
        |_| vec![of_volume(Problem::UnknownKey { key: b"nonsense".to_vec() })],
    );
    found(
        |s| s.put(Key::Accumulator(Ino(999), Accumulator::Length), &0u64.to_le_bytes()),
        |_| vec![pathless(Ino(999), Problem::Stray)],
    );
    found(|s| s.delete(Key::Settings), |_| vec![of_volume(Problem::SettingsMissing)]);
}

#[test]
fn what_sessions_keep_wrongly() {
    let other = SessionId(77);
    let here = SessionId(1);
    found(
        |s| s.put(Key::Sustained(other, s.queued), &[1]),
        |_| vec![of_volume(Problem::SessionGone { session: other })],
    );
    found(
        |s| s.put(Key::Sustained(here, Ino(999)), &[1]),
        |_| vec![pathless(Ino(999), Problem::SustainedNowhere { session: here })],
    );
    found(
        |s| s.put(Key::Sustained(here, s.inline), &[1]),
        |s| vec![finding(s.inline, "/inline", Problem::SustainedWithName { session: here })],
    );
    found(|s| s.delete(Key::Sustained(here, s.sustained)), |s| vec![pathless(s.sustained, Problem::Unreachable)]);
}

#[test]
fn what_is_queued_wrongly() {
    found(
        |s| s.delete(Key::Removal(s.queued_at, s.queued)),
        |s| vec![pathless(s.queued, Problem::Unreachable), pathless(s.queued, Problem::QueuePlace)],
    );
    found(|s| s.put(Key::Queued(s.queued), &encode_queued(3)), |s| vec![pathless(s.queued, Problem::QueuePlace)]);
    found(|s| s.put(Key::Removal(3, Ino(999)), &[1]), |_| vec![pathless(Ino(999), Problem::QueuedNowhere)]);
    found(|s| s.put(Key::Removal(3, s.inline), &[1]), |s| vec![finding(s.inline, "/inline", Problem::QueuedWithName)]);
}

#[test]
fn findings_take_one_line_each() {
    let sample = sample();
    sample.change_identity(sample.inline, |identity| identity.nlink = 2);
    sample.volume.raw(|transaction| transaction.put(b"n\n", b""));
    let lines: Vec<String> = sample.findings().iter().map(Finding::to_string).collect();
    assert_eq!(
        lines,
        [r"the volume: the key n\n means nothing to this program", "/inline (inode 4): it counts 2 names and has 1",]
    );
}
