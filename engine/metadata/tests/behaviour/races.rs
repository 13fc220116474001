//! Transactions that really race: several workers, several clients, one store.

use crate::support::*;
use shoal_kv::{Faults, Kv, MemoryOptions, MemoryStore, Random};
use shoal_metadata::{MetaOp, MetaReply, Rename};
use shoal_types::{Errno, FileKind, Ino, Whiteout};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

fn racing_store(faults: Faults) -> MemoryStore {
    MemoryStore::new(MemoryOptions { workers: 4, faults, ..MemoryOptions::default() })
}

#[test]
fn creates_of_different_names_in_one_directory_never_conflict() {
    let store = racing_store(Faults::default());
    let mounts = [volume(store.client()), mount(store.client())];
    let before = store.conflicts();
    thread::scope(|scope| {
        for (number, mount) in (0..8).zip(mounts.iter().cycle()) {
            scope.spawn(move || {
                for file in 0..200 {
                    let ino = mount.first_ino + number * 1000 + file;
                    let kind = if file % 5 == 0 { FileKind::Directory } else { FileKind::Regular };
                    mount.create(1, &format!("{number} {file}"), ino, kind).unwrap();
                }
            });
        }
    });
    assert_eq!(store.conflicts() - before, 0);
    let root = mounts[0].metadata.get_attributes(Ino::ROOT).unwrap();
    assert_eq!((root.length, root.nlink), (8 * 200, 2 + 8 * 40));
    mounts[0].assert_sound();
}

/// One of the two must see the other: a directory with an entry is never removed, and nothing is created in a removed one.
#[test]
fn a_create_in_a_directory_and_its_removal_exclude_each_other() {
    let store = racing_store(Faults::default());
    let (one, other) = (volume(store.client()), mount(store.client()));
    for round in 0..300u64 {
        let directory = one.first_ino + round;
        one.create(1, "d", directory, FileKind::Directory).unwrap();
        let barrier = Barrier::new(2);
        let (created, removed) = thread::scope(|scope| {
            let create = scope.spawn(|| {
                barrier.wait();
                other.create(directory, "f", other.first_ino + round, FileKind::Regular)
            });
            barrier.wait();
            let removed = one.rmdir(1, "d", &[]);
            (create.join().unwrap(), removed)
        });
        match (created.map_err(|error| error.errno()), removed.map_err(|error| error.errno())) {
            (Ok(_), Err(Errno::ENOTEMPTY)) => {
                one.unlink(directory, "f", &[]).unwrap();
                one.rmdir(1, "d", &[]).unwrap();
            }
            (Err(Errno::ENOENT), Ok(_)) => {}
            both => panic!("round {round}: {both:?}"),
        }
    }
    one.assert_sound();
}

/// `a` moves below `b` while `b` moves below `a`: done both, they would hang below each other and below nothing else.
#[test]
fn renames_never_tie_directories_into_a_loop() {
    let store = racing_store(Faults::default());
    let (one, other) = (volume(store.client()), mount(store.client()));
    let base = one.first_ino;
    for (parent, text, ino) in [(1, "a", base), (base, "x", base + 1), (1, "b", base + 2), (base + 2, "y", base + 3)] {
        one.create(parent, text, ino, FileKind::Directory).unwrap();
    }
    for round in 0..300 {
        let barrier = Barrier::new(2);
        let results = thread::scope(|scope| {
            let moving = scope.spawn(|| {
                barrier.wait();
                other.rename((1, "b"), (base + 1, "b"))
            });
            barrier.wait();
            [one.rename((1, "a"), (base + 3, "a")), moving.join().unwrap()]
        });
        match results.map(|result| result.map_err(|error| error.errno())) {
            [Ok(_), Err(Errno::EINVAL)] => one.rename((base + 3, "a"), (1, "a")).unwrap(),
            [Err(Errno::EINVAL), Ok(_)] => one.rename((base + 1, "b"), (1, "b")).unwrap(),
            both => panic!("round {round}: {both:?}"),
        };
    }
    one.assert_sound();
}

/// Steps of each thread. How many find the names they want is a matter of interleaving, so they go on until enough have.
const STEPS_MIN: usize = 250;
const STEPS_MAX: usize = 2000;
const SUCCESSES_MIN: u64 = 500;

/// Random work of 8 threads on few names; whatever they are told, all counts agree in the end.
fn work_at_random(faults: Faults) {
    let store = racing_store(faults);
    let mounts = [volume(store.client()), mount(store.client())];
    let inos: Vec<AtomicU64> = mounts.iter().map(|mount| AtomicU64::new(mount.first_ino)).collect();
    let succeeded = AtomicU64::new(0);
    thread::scope(|scope| {
        for number in 0..8 {
            let (mount, inos, succeeded) = (&mounts[number % 2], &inos[number % 2], &succeeded);
            scope.spawn(move || {
                let mut random = Random::new(faults.seed * 100 + number as u64);
                let mut directories = vec![1];
                for step in 0..STEPS_MAX {
                    if step >= STEPS_MIN && succeeded.load(Ordering::Relaxed) > SUCCESSES_MIN {
                        break;
                    }
                    let done = random_step(mount, &mut random, inos, &mut directories);
                    succeeded.fetch_add(u64::from(done), Ordering::Relaxed);
                }
            });
        }
    });
    assert!(succeeded.load(Ordering::Relaxed) > SUCCESSES_MIN, "{succeeded:?} steps succeeded");
    mounts[0].assert_sound();
}

fn random_step(mount: &Mount, random: &mut Random, inos: &AtomicU64, directories: &mut Vec<u64>) -> bool {
    // Those that others have removed meanwhile are no use.
    directories.retain(|ino| mount.metadata.get_parent(Ino(*ino)).is_ok());
    let mut directory = || directories[random.below(directories.len() as u64) as usize];
    let (parent, other_parent) = (directory(), directory());
    let mut text = || ["a", "b", "c", "d", "e", "f"][random.below(6) as usize];
    let (text, other_text) = (text(), text());
    let new_ino = || inos.fetch_add(1, Ordering::Relaxed);
    let result = match random.below(10) {
        0..=2 => mount.create(parent, text, new_ino(), FileKind::Regular).map(MetaReply::Attributes),
        3 | 4 => mount.create(parent, text, new_ino(), FileKind::Directory).map(|created| {
            directories.push(created.ino.0);
            MetaReply::Attributes(created)
        }),
        5 => mount.unlink(parent, text, &[]),
        6 => mount.rmdir(parent, text, &[]),
        7 => match mount.metadata.lookup(Ino(parent), &name(text)) {
            Ok(found) => mount.link(found.ino.0, other_parent, other_text),
            Err(error) => Err(error),
        },
        kind => {
            let exchange = kind == 8 && random.chance(0.5);
            let whiteout = (!exchange && random.chance(0.2)).then(|| Whiteout { ino: Ino(new_ino()), uid: 0, gid: 0 });
            let rename = mount.renaming((parent, text), (other_parent, other_text));
            mount.run(MetaOp::Rename(Rename { exchange, whiteout, ..rename }))
        }
    };
    match result {
        Ok(_) => true,
        Err(error) => {
            let expected = [Errno::ENOENT, Errno::EEXIST, Errno::ENOTDIR, Errno::EISDIR, Errno::ENOTEMPTY]
                .iter()
                .chain(&[Errno::EINVAL, Errno::EPERM])
                .any(|errno| *errno == error.errno());
            assert!(expected, "{error}");
            false
        }
    }
}

#[test]
fn eight_threads_at_random_leave_exact_counts() {
    (0..4).for_each(|seed| work_at_random(Faults { seed, ..Faults::default() }));
}

#[test]
fn eight_threads_at_random_leave_exact_counts_through_unknown_results() {
    (10..13).for_each(|seed| {
        work_at_random(Faults { seed, conflict_rate: 0.05, unknown_rate: 0.2, ..Faults::default() });
    });
}

/// A lookup at any moment finds the file under one of its names: rename is never seen half done.
#[test]
fn a_reader_sees_a_rename_whole_or_not_at_all() {
    let store = racing_store(Faults::default());
    let (one, other) = (volume(store.client()), mount(store.client()));
    one.create(1, "here", one.first_ino, FileKind::Regular).unwrap();
    let kv: Arc<dyn Kv> = other.metadata.kv().clone();
    let mut places = [(1, "here"), (1, "there")];
    thread::scope(|scope| {
        let renaming = scope.spawn(|| {
            for _ in 0..500 {
                one.rename(places[0], places[1]).unwrap();
                places.reverse();
            }
        });
        while !renaming.is_finished() {
            let mut found = 0;
            kv.read(&mut |reader| {
                found = 0;
                for text in ["here", "there"] {
                    let key = shoal_metadata::keys::Key::dirent(Ino::ROOT, &name(text)).encode();
                    found += usize::from(reader.get(&key)?.is_some());
                }
                Ok(())
            })
            .unwrap();
            assert_eq!(found, 1);
        }
    });
}
