//! Writes inline and in slices, compaction, and the removal of what they left.

use crate::support::*;
use shoal_kv::{Kv, MemoryOptions, MemoryStore};
use shoal_metadata::keys::{Accumulator, Counter, Key};
use shoal_metadata::{MetaError, MetaOp, MetaReply, ReplaceSlices, WriteInline, WriteSlices, check};
use shoal_types::{Errno, Ino, ObjectId, Slice};
use std::sync::Arc;
use std::thread;

fn assert_clean(volume: &Volume) {
    assert_eq!(check::run(&volume.metadata, &mut |_| {}).unwrap().findings, []);
}

fn inline(volume: &Volume, ino: Ino, patches: &[(u64, &[u8])], length_min: u64) -> MetaReply {
    let patches = patches.iter().map(|(offset, bytes)| (*offset, bytes.to_vec())).collect();
    let (mtime, session) = (at(3), volume.session);
    volume.run(MetaOp::WriteInline(WriteInline {
        ino,
        patches,
        length_min,
        inline_max: 10,
        staging: Default::default(),
        mtime,
        exempt: false,
        session,
    }))
}

#[test]
fn inline_patches_apply_in_order_and_gaps_are_zeros() {
    let volume = Volume::new();
    let ino = volume.file("f");
    let written = inline(&volume, ino, &[(4, b"abc"), (5, b"X")], 9).into_attributes().unwrap();
    assert_eq!((written.length, written.allocated, written.mtime), (9, 7, at(3)));
    let content = volume.metadata.get_content(ino).unwrap();
    assert_eq!(content.inline.as_deref(), Some(&b"\0\0\0\0aXc"[..]));
    inline(&volume, ino, &[(0, b"zz")], 0);
    assert_eq!(volume.metadata.get_attributes(ino).unwrap().length, 9);
    assert_eq!(volume.number(Key::Counter(Counter::UsedBytes)), 7);
    assert_clean(&volume);
}

#[test]
fn what_is_too_long_to_be_inline_changes_nothing() {
    let volume = Volume::new();
    let ino = volume.file("f");
    inline(&volume, ino, &[(0, b"abc")], 0);
    let before = volume.metadata.get_content(ino).unwrap();
    for (offset, length_min) in [(9, 0), (u64::MAX, 0), (0, 11)] {
        assert!(inline(&volume, ino, &[(offset, b"xy")], length_min).is_not_inline());
    }
    volume.truncate(ino, 11);
    assert!(inline(&volume, ino, &[(0, b"xy")], 0).is_not_inline(), "the file is too long, though its bytes are few");
    volume.truncate(ino, 3);
    assert_eq!(volume.metadata.get_content(ino).unwrap().inline, before.inline);
}

#[test]
fn slices_that_cannot_be_are_refused_and_leave_nothing() {
    let volume = Volume::new();
    let ino = volume.file("f");
    let good = slice(0, 10, volume.lease_object());
    let beyond_chunk = Slice { position: 64 << 20, ..good };
    let beyond_object = Slice { object_offset: 1, ..good };
    for (bad, length) in [(beyond_chunk, 1 << 40), (beyond_object, 10), (good, 9)] {
        assert_eq!(volume.try_write_slices(ino, vec![(0, vec![bad])], length), Err(Errno::EINVAL.into()));
    }
    let wrong_sum = WriteSlices {
        ino,
        chunks: vec![(0, vec![good])],
        length: 10,
        mtime: at(3),
        allocated: 9,
        exempt: false,
        session: volume.session,
    };
    assert_eq!(volume.try_run(MetaOp::WriteSlices(wrong_sum)), Err(Errno::EINVAL.into()));
    assert_eq!(volume.try_write_slices(Ino(999), vec![(0, vec![good])], 10), Err(Errno::ENOENT.into()));
    assert_clean(&volume);
}

#[test]
fn four_mounts_writing_one_file_never_conflict_and_sum_exactly() {
    let store = MemoryStore::new(MemoryOptions { workers: 4, ..MemoryOptions::default() });
    let volume = Volume::on(store.client());
    let ino = volume.file("f");
    let mounts: Vec<Volume> = (0..4).map(|_| Volume::join(store.client())).collect();
    let objects: Vec<Vec<ObjectId>> =
        mounts.iter().map(|mount| (0..50).map(|_| mount.lease_object()).collect()).collect();
    let before = store.conflicts();
    thread::scope(|scope| {
        for (number, (mount, objects)) in mounts.iter().zip(&objects).enumerate() {
            scope.spawn(move || {
                for (round, object) in objects.iter().enumerate() {
                    let position = (round * 4 + number) as u32 * 10;
                    let chunks = vec![(0, vec![slice(position, 10, *object)]), (1, vec![slice(position, 10, *object)])];
                    mount.try_write_slices(ino, chunks, (64 << 20) + u64::from(position) + 10).unwrap();
                }
            });
        }
    });
    assert_eq!(store.conflicts(), before);
    let attributes = volume.metadata.get_attributes(ino).unwrap();
    assert_eq!((attributes.length, attributes.allocated), ((64 << 20) + 2000, 4000));
    assert_eq!(volume.number(Key::Counter(Counter::UsedBytes)), 4000);
    assert!(objects.iter().flatten().all(|object| volume.number(Key::Object(*object)) == 20));
    assert_clean(&volume);
}

#[test]
fn writes_and_truncations_that_race_leave_exact_books() {
    let store = MemoryStore::new(MemoryOptions { workers: 4, ..MemoryOptions::default() });
    let volume = Volume::on(store.client());
    let ino = volume.file("f");
    thread::scope(|scope| {
        for number in 0..3u32 {
            let mount = Volume::join(store.client());
            scope.spawn(move || {
                for round in 0..60 {
                    match (round + number) % 5 {
                        0 => drop(mount.truncate(ino, u64::from(round * 7 % 50))),
                        _ => {
                            let object = mount.lease_object();
                            mount.write_slices(ino, 0, &[slice(round, 20, object)], u64::from(round) + 20);
                        }
                    }
                }
            });
        }
    });
    assert_clean(&volume);
    volume.truncate(ino, 0);
    assert_eq!(volume.number(Key::Accumulator(ino, Accumulator::Allocated)), 0);
    assert_eq!(volume.number(Key::Counter(Counter::UsedBytes)), 0);
}

#[test]
fn a_list_as_long_as_a_value_may_be_is_tidied_of_what_is_covered() {
    let volume = Volume::new();
    let ino = volume.file("f");
    let first = volume.lease_object();
    for round in 0..10u32 {
        // 1,000 scattered bytes of one object, in the same places each round.
        let object = if round == 0 { first } else { volume.lease_object() };
        let list: Vec<Slice> = (0..1000).map(|at| Slice { object_length: 4096, ..slice(at * 3, 1, object) }).collect();
        volume.write_slices(ino, 0, &list, 3000);
        assert_clean(&volume);
    }
    assert!(volume.metadata.get_chunk(ino, 0).unwrap().len() <= 3000);
    assert!(volume.forget_queued().contains(&first));
}

#[test]
fn a_list_that_cannot_be_tidied_refuses_more_until_it_is_compacted() {
    let volume = Volume::new();
    let ino = volume.file("f");
    let [first, second, whole] = [(); 3].map(|()| volume.lease_object());
    let scattered = |from: u32, count: u32, object| -> Vec<Slice> {
        (from..from + count).map(|at| Slice { object_length: 9999, ..slice(at * 2, 1, object) }).collect()
    };
    volume.write_slices(ino, 0, &scattered(0, 3500, first), 20_000);
    let more = vec![(0, scattered(3500, 100, second))];
    assert_eq!(volume.try_write_slices(ino, more.clone(), 20_000), Err(Errno::EFBIG.into()));
    assert_clean(&volume);
    let replace = ReplaceSlices {
        ino,
        chunk: 0,
        old: scattered(0, 3500, first),
        new: vec![slice(0, 7000, whole)],
        delete_at: at(50),
        session: volume.session,
    };
    assert_eq!(volume.run(MetaOp::ReplaceSlices(replace)), MetaReply::Replaced(true));
    volume.try_write_slices(ino, more, 20_000).unwrap();
    assert_clean(&volume);
}

#[test]
fn an_object_dropped_by_a_late_write_is_queued_at_the_sessions_last_heartbeat() {
    let volume = Volume::new();
    let heartbeat = shoal_metadata::Heartbeat { session: volume.session, now: at(700) };
    volume.run(MetaOp::Heartbeat(heartbeat));
    let ino = volume.file("f");
    let old = volume.lease_object();
    let list: Vec<Slice> = (0..1700).map(|at| Slice { object_length: 4096, ..slice(at, 1, old) }).collect();
    volume.write_slices(ino, 0, &list, 2000);
    let new: Vec<Slice> = (0..200).map(|_| slice(0, 2000, volume.lease_object())).collect();
    volume.write_slices(ino, 0, &new, 2000);
    let queued = volume.metadata.queued_deletions(u64::MAX, 1000).unwrap();
    assert_eq!(queued.len(), 200);
    assert!(queued.iter().all(|entry| entry.delete_at == at(700).as_nanos()));
    assert_eq!(volume.metadata.get_chunk(ino, 0).unwrap(), new[199..]);
}

#[test]
fn compaction_replaces_what_it_has_seen_and_keeps_what_came_since() {
    let volume = Volume::new();
    let ino = volume.file("f");
    let [a, b, c, d] = [(); 4].map(|()| volume.lease_object());
    let old = vec![slice(0, 100, a), slice(50, 100, b)];
    volume.write_slices(ino, 0, &old, 150);
    volume.write_slices(ino, 0, &[slice(10, 10, c)], 150);
    let replace = |old: &[Slice]| {
        volume.run(MetaOp::ReplaceSlices(ReplaceSlices {
            ino,
            chunk: 0,
            old: old.to_vec(),
            new: vec![slice(0, 150, d)],
            delete_at: at(50),
            session: volume.session,
        }))
    };
    assert_eq!(replace(&old), MetaReply::Replaced(true));
    assert_eq!(volume.metadata.get_chunk(ino, 0).unwrap(), [slice(0, 150, d), slice(10, 10, c)]);
    assert_eq!(replace(&old), MetaReply::Replaced(false));
    let queued = volume.metadata.queued_deletions(at(50).as_nanos(), 10).unwrap();
    assert_eq!(queued.iter().map(|entry| entry.object).collect::<Vec<_>>(), [a, b]);
    assert_eq!(volume.metadata.queued_deletions(at(49).as_nanos(), 10).unwrap(), []);
    assert_eq!(volume.metadata.get_attributes(ino).unwrap().allocated, 160);
    assert_clean(&volume);
}

#[test]
fn an_object_that_is_referred_to_again_is_not_given_out_for_deletion() {
    let volume = Volume::new();
    let ino = volume.file("f");
    let object = volume.lease_object();
    volume.write_slices(ino, 0, &[slice(0, 10, object)], 10);
    volume.truncate(ino, 0);
    // A retry of the same upload, after its commit was reported as failed.
    volume.write_slices(ino, 0, &[slice(0, 10, object)], 10);
    assert_eq!(volume.metadata.queued_deletions(u64::MAX, 10).unwrap(), []);
    volume.truncate(ino, 0);
    assert!(volume.metadata.queued_deletions(u64::MAX, 10).unwrap().iter().all(|entry| entry.object == object));
}

#[test]
fn a_removed_file_is_freed_in_steps_and_nothing_is_left_of_it() {
    let volume = Volume::new();
    let used = volume.number(Key::Counter(Counter::UsedInodes));
    let ino = volume.file("f");
    volume.write_inline(ino, 0, b"inline below the slices");
    for chunk in 0..40 {
        let object = volume.lease_object();
        volume.write_slices(ino, chunk, &[slice(0, 10, object)], (chunk + 1) << 26);
    }
    volume.unlink("f", &[]);
    let queued = volume.metadata.queued_removals(u64::MAX, 10).unwrap();
    let remove = shoal_metadata::RemoveInode { queued_at: queued[0].queued_at, ino, delete_at: at(60) };
    assert!(!volume.run(MetaOp::RemoveInode(remove.clone())).into_ended().unwrap());
    assert_clean(&volume);
    // From the first step on it can't be taken back.
    let sustain = shoal_metadata::Sustain { inodes: vec![ino], session: volume.session };
    volume.run(MetaOp::Sustain(sustain));
    assert_eq!(volume.run_steps(MetaOp::RemoveInode(remove.clone())), 2);
    assert_eq!(volume.run_steps(MetaOp::RemoveInode(remove)), 1, "once more does nothing");
    assert_eq!(volume.metadata.get_attributes(ino), Err(MetaError::Refused(Errno::ENOENT)));
    assert_eq!(volume.number(Key::Counter(Counter::UsedBytes)), 0);
    assert_eq!(volume.number(Key::Counter(Counter::UsedInodes)), used);
    assert_eq!(volume.forget_queued().len(), 40);
    assert_clean(&volume);
}

#[test]
fn a_queue_entry_never_removes_an_inode_that_has_a_name() {
    let volume = Volume::new();
    let ino = volume.file("f");
    volume.raw(move |transaction| transaction.put(&Key::Removal(5, ino).encode(), &[1]));
    volume.remove_queued();
    assert!(volume.metadata.get_attributes(ino).is_ok());
    assert_clean(&volume);
}

#[test]
fn removal_and_late_writes_that_race_leak_nothing() {
    for _ in 0..20 {
        let store = MemoryStore::new(MemoryOptions { workers: 4, ..MemoryOptions::default() });
        let volume = Volume::on(store.client());
        let ino = volume.file("f");
        volume.unlink("f", &[]);
        let writer = Volume::join(store.client());
        thread::scope(|scope| {
            scope.spawn(|| volume.remove_queued());
            scope.spawn(|| {
                let object = writer.lease_object();
                while writer.try_write_slices(ino, vec![(0, vec![slice(0, 10, object)])], 10).is_ok() {}
            });
        });
        assert_clean(&volume);
        assert_eq!(volume.number(Key::Counter(Counter::UsedBytes)), 0);
    }
}

#[test]
fn a_repeated_write_after_an_unknown_result_counts_once() {
    let faults = shoal_kv::Faults { seed: 3, unknown_rate: 0.3, conflict_rate: 0.1, ..Default::default() };
    let kv: Arc<dyn Kv> = shoal_kv::MemoryKv::with_faults(faults);
    let volume = Volume::on(kv);
    let ino = volume.file("f");
    for round in 0..100 {
        let object = volume.lease_object();
        volume.write_slices(ino, 0, &[slice(round * 10, 10, object)], u64::from(round) * 10 + 10);
    }
    assert_eq!(volume.metadata.get_attributes(ino).unwrap().allocated, 1000);
    assert_clean(&volume);
    volume.unlink("f", &[]);
    volume.remove_queued();
    assert_eq!(volume.number(Key::Counter(Counter::UsedBytes)), 0);
    assert_clean(&volume);
}
