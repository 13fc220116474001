//! Operations take effect once: through unknown results, beyond the bound on records, and when the store closes.

use crate::support::*;
use shoal_kv::{Direction, Durability, Faults, KeyRange, Kv, MemoryKv, MemoryOptions, MemoryStore};
use shoal_metadata::keys::Key;
use shoal_metadata::{MetaOp, RegisterSession};
use shoal_types::{FileKind, Ino};
use std::sync::Arc;
use std::sync::mpsc;

fn unreliable(seed: u64) -> Faults {
    Faults { seed, conflict_rate: 0.1, unknown_rate: 0.4, ..Faults::default() }
}

/// How many operation records there are.
fn records(kv: &Arc<dyn Kv>) -> usize {
    let mut count = 0;
    kv.read(&mut |reader| {
        let pairs = reader.scan(&KeyRange::prefix(b"s"), usize::MAX, Direction::Forward)?;
        count = pairs.iter().filter(|(key, _)| matches!(Key::parse(key), Some(Key::Operation(..)))).count();
        Ok(())
    })
    .unwrap();
    count
}

#[test]
fn more_operations_than_there_are_slots_all_happen_once_and_keep_bounded_records() {
    let store = MemoryStore::new(MemoryOptions { workers: 4, faults: unreliable(1), ..MemoryOptions::default() });
    let kv: Arc<dyn Kv> = store.client();
    let mount = volume(kv.clone());
    let (sender, receiver) = mpsc::channel();
    for number in 0..3000 {
        let create = mount.creation(1, &format!("{number}"), mount.first_ino + number, FileKind::Fifo);
        let sender = sender.clone();
        let done = move |result| sender.send(result).unwrap();
        mount.metadata.submit(MetaOp::Create(create), Durability::Visible, done);
    }
    drop(sender);
    let results: Vec<_> = receiver.iter().collect();
    assert_eq!(results.len(), 3000);
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(mount.metadata.get_attributes(Ino::ROOT).unwrap().length, 3000);
    assert!((1..=1024).contains(&records(&kv)), "{} records", records(&kv));
    mount.assert_sound();
}

#[test]
fn an_operation_may_be_submitted_from_the_end_of_another() {
    let mount = volume(MemoryKv::with_faults(unreliable(2)));
    let (sender, receiver) = mpsc::channel();
    chain(mount.clone(), 200, sender);
    receiver.recv().unwrap();
    assert_eq!(mount.metadata.get_attributes(Ino::ROOT).unwrap().length, 200);
}

fn chain(mount: Mount, left: u64, sender: mpsc::Sender<()>) {
    if left == 0 {
        return sender.send(()).unwrap();
    }
    let create = mount.creation(1, &format!("{left}"), mount.first_ino + left, FileKind::Regular);
    let metadata = mount.metadata.clone();
    metadata.submit(MetaOp::Create(create), Durability::Visible, move |result| {
        result.unwrap();
        chain(mount, left - 1, sender);
    });
}

#[test]
fn every_operation_is_told_its_end_when_the_store_closes_under_it() {
    let kv: Arc<dyn Kv> = MemoryKv::with_faults(unreliable(3));
    let mount = volume(kv.clone());
    let (sender, receiver) = mpsc::channel();
    for number in 0..20_000 {
        let create = mount.creation(1, &format!("{number}"), mount.first_ino + number, FileKind::Fifo);
        let sender = sender.clone();
        mount.metadata.submit(MetaOp::Create(create), Durability::Visible, move |result| {
            sender.send(result.is_ok()).unwrap();
        });
    }
    drop(sender);
    kv.close().unwrap();
    let told: Vec<bool> = receiver.iter().collect();
    assert_eq!(told.len(), 20_000);
    let succeeded = told.iter().filter(|ok| **ok).count() as u64;
    assert_eq!(mount.metadata.get_attributes(Ino::ROOT).unwrap().length, succeeded);
}

#[test]
fn a_registration_whose_result_was_unknown_is_found_again_and_not_repeated() {
    for seed in 0..20 {
        let mount = volume(MemoryKv::with_faults(unreliable(seed)));
        for pid in 2..20 {
            let record = shoal_metadata::SessionRecord { pid, ..record() };
            let register = MetaOp::RegisterSession(RegisterSession { record: record.clone(), now: at(pid.into()) });
            let session = mount.run(register).unwrap().into_registered().unwrap();
            let sessions = mount.metadata.sessions().unwrap();
            let ours: Vec<_> = sessions.iter().filter(|info| info.record == record).map(|info| info.session).collect();
            assert_eq!(ours, [session], "seed {seed}");
        }
    }
}

#[test]
fn an_engine_that_always_knows_its_results_keeps_no_records() {
    let kv: Arc<dyn Kv> = MemoryKv::new();
    let mount = volume(kv.clone());
    mount.create(1, "f", 2, FileKind::Regular).unwrap();
    assert_eq!(records(&kv), 0);
}

#[test]
fn a_sync_ends_after_what_was_acknowledged_before_it() {
    let mount = volume(MemoryKv::new());
    mount.create(1, "f", 2, FileKind::Regular).unwrap();
    let (sender, receiver) = mpsc::channel();
    mount.metadata.sync(move |result| sender.send(result).unwrap());
    assert_eq!(receiver.recv().unwrap(), Ok(()));
}
