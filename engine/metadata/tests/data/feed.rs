//! The change feed: what is in it, for whom, and what a follower learns; and who maintains the volume.

use crate::support::*;
use shoal_kv::{Kv, MemoryKv, MemoryOptions, MemoryStore};
use shoal_metadata::feed::{Change, Event, Follower};
use shoal_metadata::{
    EndSession, Heartbeat, MetaOp, Rename, SessionKind, SessionRecord, SetAttributes, TakeMaintenance, TrimFeed,
};
use shoal_types::{Consistency, FileKind, Ino, SessionId};
use std::sync::Arc;
use std::thread;

fn events(volume: &Volume) -> Vec<Event> {
    volume.metadata.feed_from(None, 100_000).unwrap().into_iter().map(|(_, event)| event).collect()
}

/// Without the coming and going of sessions.
fn changes(volume: &Volume) -> Vec<Change> {
    let changes = events(volume).into_iter().map(|event| event.change);
    changes.filter(|change| !matches!(change, Change::Joined | Change::Left)).collect()
}

fn end(volume: &Volume, session: SessionId) {
    volume.run_steps(MetaOp::EndSession(EndSession { session, if_silent_since: None, now: at(9) }));
}

fn register_as(volume: &Volume, kind: SessionKind, consistency: Consistency) -> SessionId {
    let record = SessionRecord { kind, consistency, ..record(9) };
    let register = shoal_metadata::RegisterSession { record, now: at(1) };
    volume.run(MetaOp::RegisterSession(register)).into_registered().unwrap()
}

fn created(parent: Ino, name: &str, ino: Ino) -> Change {
    Change::Created { parent, name: self::name(name), ino, kind: FileKind::Regular }
}

#[test]
fn events_are_written_from_the_moment_that_somebody_else_reads_them_until_he_leaves() {
    let volume = Volume::new();
    volume.file("alone");
    let strict = register_as(&volume, SessionKind::Mount, Consistency::Strict);
    assert_eq!(changes(&volume), []);
    // The first follows, so now there are two mounts and one reader.
    let told = volume.file("told");
    assert_eq!(changes(&volume), [created(Ino::ROOT, "told", told)]);
    end(&volume, strict);
    volume.file("alone again");
    assert_eq!(changes(&volume).len(), 1);
    let watcher = register_as(&volume, SessionKind::Watcher, Consistency::Strict);
    let watched = volume.file("watched");
    assert_eq!(changes(&volume)[1], created(Ino::ROOT, "watched", watched));
    end(&volume, watcher);
    register_as(&volume, SessionKind::Command, Consistency::Strict);
    volume.file("a command reads nothing");
    assert_eq!(changes(&volume).len(), 2);
    let who: Vec<_> = events(&volume).iter().filter(|event| event.change == Change::Left).map(|e| e.session).collect();
    assert_eq!(who, [strict, watcher]);
}

#[test]
fn every_kind_of_change_is_told_once_and_refusals_are_not() {
    let volume = Volume::new();
    register(&volume.metadata, 2);
    let (a, b) = (volume.file("a"), volume.file("b"));
    let refused = volume.try_run(MetaOp::Heartbeat(Heartbeat { session: SessionId(99), now: at(1) }));
    assert!(refused.is_err());
    volume.run(MetaOp::SetAttributes(SetAttributes {
        ino: a,
        mode: Some(0o600),
        uid: None,
        gid: None,
        atime: None,
        mtime: None,
        drop_privileges: false,
        exempt: false,
        despite: Default::default(),
        session: volume.session,
        now: at(3),
    }));
    let rename = |no_replace| {
        MetaOp::Rename(Rename {
            old_parent: Ino::ROOT,
            old_name: name("a"),
            new_parent: Ino::ROOT,
            new_name: name("b"),
            no_replace,
            exchange: false,
            whiteout: None,
            open: vec![],
            session: volume.session,
            now: at(4),
        })
    };
    assert!(volume.try_run(rename(true)).is_err());
    volume.run(rename(false));
    volume.unlink("b", &[]);
    let renamed = Change::Renamed {
        old_parent: Ino::ROOT,
        old_name: name("a"),
        new_parent: Ino::ROOT,
        new_name: name("b"),
        ino: a,
        replaced: Some(b),
        exchanged: false,
    };
    let expected = [
        created(Ino::ROOT, "a", a),
        created(Ino::ROOT, "b", b),
        Change::Attributes { ino: a },
        renamed,
        Change::Removed { parent: Ino::ROOT, name: name("b"), ino: a },
    ];
    assert_eq!(changes(&volume), expected);
}

#[test]
fn creates_of_many_mounts_in_one_directory_are_all_told_and_never_conflict() {
    const MOUNTS: usize = 4;
    const EACH: usize = 200;
    let options = MemoryOptions { workers: 2, ..MemoryOptions::default() };
    let store = MemoryStore::new(options);
    let first = Volume::on(store.client());
    let others: Vec<Volume> = (1..MOUNTS).map(|_| Volume::join(store.client())).collect();
    let mut follower = Follower::at_end(&first.metadata).unwrap();
    let before = store.conflicts();
    thread::scope(|scope| {
        for (number, volume) in others.iter().chain([&first]).enumerate() {
            scope.spawn(move || {
                let next = volume.lease_inodes(EACH as u64).0;
                (0..EACH).for_each(|count| {
                    volume.create_as(
                        Ino::ROOT,
                        &format!("{number}-{count}"),
                        Ino(next + count as u64),
                        FileKind::Regular,
                    );
                });
            });
        }
    });
    let mut told = Vec::new();
    loop {
        let page = follower.read(&first.metadata).unwrap();
        assert!(!page.missed);
        told.extend(page.events);
        if page.end {
            break;
        }
    }
    assert_eq!(told.len(), MOUNTS * EACH);
    // The ranges of numbers are leased from one counter.
    let conflicts = store.conflicts() - before;
    assert!(conflicts <= MOUNTS as u64 * 2, "{conflicts} conflicts");
}

#[test]
fn a_follower_learns_everything_in_order_or_that_it_has_missed_something() {
    let volume = Volume::new();
    register(&volume.metadata, 2);
    let mut quick = Follower::at_end(&volume.metadata).unwrap();
    let mut slow = quick.clone();
    let many = 2_345;
    let mut made = Vec::new();
    for number in 0..many {
        made.push(volume.file(&format!("f{number}")));
    }
    let mut seen = Vec::new();
    loop {
        let page = quick.read(&volume.metadata).unwrap();
        seen.extend(page.events.into_iter().map(|event| event.change.inodes()[1]));
        if page.end {
            break;
        }
    }
    assert_eq!(seen, made);
    // Trimmed as far as it may be: the newest stays, so who has read it knows that nothing is missing.
    let until = volume.metadata.feed_end().unwrap().unwrap();
    assert!(volume.run_steps(MetaOp::TrimFeed(TrimFeed { until })) > 1);
    assert_eq!(events(&volume).len(), 1);
    let page = quick.read(&volume.metadata).unwrap();
    assert!(page.events.is_empty() && !page.missed && page.end);
    let page = slow.read(&volume.metadata).unwrap();
    assert!(page.events.is_empty() && page.missed, "what it had read last is gone, and others after it");
    let next = volume.file("next");
    for follower in [&mut quick, &mut slow] {
        let page = follower.read(&volume.metadata).unwrap();
        assert_eq!(page.events.len(), 1);
        assert_eq!(page.events[0].change, created(Ino::ROOT, "next", next));
    }
}

#[test]
fn one_session_at_a_time_maintains_the_volume_until_it_ends() {
    let volume = Volume::on(MemoryKv::new() as Arc<dyn Kv>);
    let (first, second) = (volume.session, register(&volume.metadata, 2));
    let take = |session| volume.run(MetaOp::TakeMaintenance(TakeMaintenance { session })).into_holder().unwrap();
    assert_eq!([take(first), take(second), take(first)], [first; 3]);
    end(&volume, second);
    assert_eq!(take(first), first, "the end of another changes nothing");
    let third = register(&volume.metadata, 3);
    end(&volume, first);
    assert_eq!(take(third), third);
    assert!(volume.try_run(MetaOp::TakeMaintenance(TakeMaintenance { session: first })).is_err());
    assert_eq!(shoal_metadata::check::run(&volume.metadata, &mut |_| {}).unwrap().findings, []);
}
