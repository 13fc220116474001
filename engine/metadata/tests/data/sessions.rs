//! Sessions, their leases and what they keep: nobody writes after its end, and nothing stays behind.

use crate::support::*;
use shoal_kv::{Faults, MemoryKv, MemoryOptions, MemoryStore};
use shoal_metadata::records::{BEGUN, encode_queued};
use shoal_metadata::{
    EndSession, Heartbeat, LeaseInodes, MetaError, MetaOp, MetaReply, Metadata, Release, Sustain, check, keys::Key,
};
use shoal_types::{Errno, Ino, SessionId};
use std::collections::BTreeSet;
use std::thread;

fn end(session: SessionId) -> MetaOp {
    MetaOp::EndSession(EndSession { session, if_silent_since: None, now: at(9) })
}

fn queued(metadata: &Metadata) -> Vec<Ino> {
    metadata.queued_removals(u64::MAX, 10_000).unwrap().iter().map(|queued| queued.ino).collect()
}

#[test]
fn a_session_is_listed_with_its_last_heartbeat_until_it_ends() {
    let volume = Volume::new();
    let other = register(&volume.metadata, 2);
    for seconds in [30, 20] {
        volume.run(MetaOp::Heartbeat(Heartbeat { session: other, now: at(seconds) }));
    }
    let sessions = volume.metadata.sessions().unwrap();
    let listed: Vec<_> = sessions.iter().map(|info| (info.session, info.record.pid, info.heartbeat)).collect();
    assert_eq!(listed, [(volume.session, 1, at(1)), (other, 2, at(30))]);
    volume.run_steps(end(other));
    assert_eq!(volume.metadata.sessions().unwrap().len(), 1);
}

#[test]
fn nothing_of_a_session_is_accepted_after_its_end() {
    let volume = Volume::new();
    let ino = volume.file("f");
    let object = volume.lease_object();
    volume.run_steps(end(volume.session));
    let session = volume.session;
    let refused = Err(MetaError::Refused(Errno::ESTALE));
    assert_eq!(volume.try_write_slices(ino, vec![(0, vec![slice(0, 5, object)])], 5), Err(Errno::ESTALE.into()));
    for operation in [
        MetaOp::Heartbeat(Heartbeat { session, now: at(10) }),
        MetaOp::LeaseInodes(LeaseInodes { count: 1, session }),
        MetaOp::Sustain(Sustain { inodes: vec![ino], session }),
        MetaOp::Release(Release { ino, session, now: at(10) }),
        MetaOp::Truncate(shoal_metadata::Truncate { ino, length: 0, session, now: at(10) }),
    ] {
        assert_eq!(volume.try_run(operation), refused);
    }
}

#[test]
fn only_a_silent_session_is_ended_for_its_silence() {
    let volume = Volume::new();
    let other = register(&volume.metadata, 2);
    volume.run(MetaOp::Heartbeat(Heartbeat { session: other, now: at(100) }));
    let if_silent_since =
        |since| MetaOp::EndSession(EndSession { session: other, if_silent_since: Some(at(since)), now: at(200) });
    volume.run_steps(if_silent_since(100));
    assert_eq!(volume.metadata.sessions().unwrap().len(), 2);
    volume.run_steps(if_silent_since(101));
    assert_eq!(volume.metadata.sessions().unwrap().len(), 1);
}

#[test]
fn what_a_dead_session_kept_is_queued_in_steps_and_its_end_can_be_finished_by_another() {
    let volume = Volume::new();
    let dead = Volume::join(volume.metadata.kv().clone());
    let count = 2345;
    for number in 0..count {
        let name = format!("f{number}");
        let ino = dead.file(&name);
        dead.unlink(&name, &[ino]);
    }
    dead.lease_object();
    assert_eq!(volume.metadata.sessions().unwrap()[1].sustained, count);
    assert!(!volume.run(end(dead.session)).into_ended().unwrap());
    // Its record is gone, and yet it's listed, so that somebody can finish what was begun.
    let listed = volume.metadata.sessions().unwrap();
    assert_eq!((listed[1].session, listed[1].record.host.as_str(), listed[1].heartbeat), (dead.session, "", at(1)));
    assert_eq!(volume.run_steps(end(dead.session)), 2);
    assert_eq!(queued(&volume.metadata).len() as u64, count);
    assert_eq!(volume.metadata.sessions().unwrap().len(), 1);
    assert_eq!(check::run(&volume.metadata, &mut |_| {}).unwrap().findings, []);
}

#[test]
fn an_open_file_without_a_name_stays_until_it_is_released() {
    let volume = Volume::new();
    let ino = volume.file("f");
    volume.unlink("f", &[ino]);
    assert_eq!(queued(&volume.metadata), []);
    assert_eq!(volume.metadata.get_attributes(ino).unwrap().nlink, 0);
    let release = MetaOp::Release(Release { ino, session: volume.session, now: at(7) });
    volume.run(release.clone());
    assert_eq!(queued(&volume.metadata), [ino]);
    volume.run(release);
    assert_eq!(queued(&volume.metadata), [ino], "releasing what is not kept changes nothing");
}

#[test]
fn another_mount_that_has_the_file_open_takes_it_off_the_queue() {
    let volume = Volume::new();
    let other = Volume::join(volume.metadata.kv().clone());
    let ino = volume.file("f");
    volume.unlink("f", &[]);
    assert_eq!(queued(&volume.metadata), [ino]);
    let sustain = |volume: &Volume| MetaOp::Sustain(Sustain { inodes: vec![ino, Ino(999)], session: volume.session });
    let kept = Ok(MetaReply::Sustained(vec![ino]));
    assert_eq!(other.try_run(sustain(&other)), kept);
    assert_eq!(other.try_run(sustain(&other)), kept, "it has it already");
    assert_eq!(queued(&volume.metadata), []);
    volume.remove_queued();
    assert!(volume.metadata.get_attributes(ino).is_ok());
    other.run(MetaOp::Release(Release { ino, session: other.session, now: at(7) }));
    volume.remove_queued();
    assert_eq!(volume.metadata.get_attributes(ino), Err(Errno::ENOENT.into()));
    assert_eq!(check::run(&volume.metadata, &mut |_| {}).unwrap().findings, []);
}

#[test]
fn an_inode_that_two_mounts_keep_goes_when_both_are_done_with_it() {
    let volume = Volume::new();
    let other = Volume::join(volume.metadata.kv().clone());
    let sound = || assert_eq!(check::run(&volume.metadata, &mut |_| {}).unwrap().findings, []);
    let ino = volume.file("f");
    volume.unlink("f", &[ino]);
    let sustain = MetaOp::Sustain(Sustain { inodes: vec![ino], session: other.session });
    assert_eq!(other.try_run(sustain.clone()), Ok(MetaReply::Sustained(vec![ino])), "the other session has it as well");
    sound();
    volume.run(MetaOp::Release(Release { ino, session: volume.session, now: at(7) }));
    assert_eq!(queued(&volume.metadata), [ino]);
    sound();
    other.run(sustain.clone());
    assert_eq!(queued(&volume.metadata), [], "who still keeps it takes it off again");
    volume.run(MetaOp::Sustain(Sustain { inodes: vec![ino], session: volume.session }));
    for keeper in [&volume, &other] {
        keeper.run(MetaOp::Release(Release { ino, session: keeper.session, now: at(8) }));
        assert_eq!(queued(&volume.metadata), [ino], "it's queued once");
        sound();
    }
    volume.raw(move |transaction| transaction.put(&Key::Queued(ino).encode(), &encode_queued(BEGUN)));
    assert_eq!(other.try_run(sustain), Ok(MetaReply::Sustained(Vec::new())), "its removal has begun");
    assert_eq!(volume.metadata.queued_among(&[ino]), Ok(Vec::new()));
    volume.remove_queued();
    assert_eq!(volume.metadata.get_attributes(ino), Err(Errno::ENOENT.into()));
    sound();
}

#[test]
fn what_a_silent_session_kept_and_another_has_removed_leaves_nothing() {
    let volume = Volume::new();
    let other = Volume::join(volume.metadata.kv().clone());
    let ino = volume.file("f");
    volume.unlink("f", &[ino]);
    other.run(MetaOp::Sustain(Sustain { inodes: vec![ino], session: other.session }));
    volume.run(MetaOp::Release(Release { ino, session: volume.session, now: at(7) }));
    volume.remove_queued();
    assert_eq!(volume.metadata.get_attributes(ino), Err(Errno::ENOENT.into()));
    volume.run_steps(end(other.session));
    assert_eq!(queued(&volume.metadata), []);
    assert_eq!(volume.get(Key::Queued(ino)), None);
    assert_eq!(check::run(&volume.metadata, &mut |_| {}).unwrap().findings, []);
}

#[test]
fn a_file_with_a_name_is_not_sustained() {
    let volume = Volume::new();
    let ino = volume.file("f");
    volume.run(MetaOp::Sustain(Sustain { inodes: vec![ino], session: volume.session }));
    assert_eq!(volume.get(Key::Sustained(volume.session, ino)), None);
}

#[test]
fn the_first_inode_leased_is_2_and_nothing_can_be_leased_beyond_the_last_number() {
    let volume = Volume::new();
    assert_eq!(volume.lease_inodes(10), Ino(2));
    assert_eq!(volume.lease_inodes(1), Ino(12));
    for (count, errno) in [(0, Errno::EINVAL), (u64::MAX, Errno::ENOSPC)] {
        let lease = MetaOp::LeaseInodes(LeaseInodes { count, session: volume.session });
        assert_eq!(volume.try_run(lease), Err(errno.into()));
    }
}

#[test]
fn no_number_is_leased_twice_by_racing_clients_whose_commits_have_unknown_results() {
    let faults = Faults { seed: 5, conflict_rate: 0.1, unknown_rate: 0.2, ..Faults::default() };
    let store = MemoryStore::new(MemoryOptions { workers: 3, faults, ..MemoryOptions::default() });
    Metadata::format(store.client().as_ref(), &settings(), (0, 0), at(1)).unwrap();
    let leased: Vec<u64> = thread::scope(|scope| {
        let lease = |client: std::sync::Arc<MemoryKv>| {
            let volume = Volume::join(client);
            (0..100)
                .flat_map(|_| {
                    let first = volume.lease_inodes(3).0;
                    first..first + 3
                })
                .collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let client = store.client();
                scope.spawn(move || lease(client))
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(leased.len(), 900);
    assert_eq!(leased.iter().collect::<BTreeSet<_>>().len(), 900);
}
