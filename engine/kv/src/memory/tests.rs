//! The contract in four settings, and what is true of this engine alone.

use super::*;
use crate::contract::ContractStore;
use crate::{Direction, KeyRange};
use std::time::Duration;

impl ContractStore for MemoryStore {
    fn client(&self) -> Arc<dyn Kv> {
        MemoryStore::client(self)
    }

    fn conflicts(&self) -> Option<u64> {
        Some(self.store.conflicts())
    }
}

fn open(workers: usize, faults: Faults) -> Box<dyn ContractStore> {
    Box::new(MemoryStore::new(MemoryOptions { workers, faults, ..MemoryOptions::default() }))
}

mod one_worker {
    use super::*;
    crate::contract_tests!(|| open(1, Faults::default()));
}

mod racing {
    use super::*;
    crate::contract_tests!(|| open(4, Faults::default()));
}

mod one_worker_with_faults {
    use super::*;
    crate::contract_tests!(|| open(1, Faults { seed: 1, conflict_rate: 0.2, unknown_rate: 0.2, ..Faults::default() }));
}

mod racing_with_faults {
    use super::*;
    crate::contract_tests!(|| {
        let delay = Duration::from_micros(200);
        open(4, Faults { seed: 2, conflict_rate: 0.1, unknown_rate: 0.2, delay_rate: 0.1, delay })
    });
}

/// What happened to 200 guarded increments: each job's attempts and the final value.
fn trace(seed: u64) -> (Vec<Vec<Attempt>>, i64) {
    let kv = MemoryKv::with_faults(Faults { seed, conflict_rate: 0.3, unknown_rate: 0.3, ..Faults::default() });
    let kv: Arc<dyn Kv> = kv;
    let attempts = (0..200u32)
        .map(|job| {
            let mut attempts = Vec::new();
            let body = move |transaction: &mut dyn Transaction, attempt: Attempt| {
                attempts.push(attempt);
                let record = [b"record ".as_slice(), &job.to_be_bytes()].concat();
                if transaction.get(&record)?.is_none() {
                    transaction.put(&record, b"");
                    transaction.add(b"sum", 1);
                }
                Ok((attempts.clone(), Verdict::Commit))
            };
            kv.transact(Durability::Visible, body).unwrap()
        })
        .collect();
    let mut sum = 0;
    kv.read(&mut |reader| {
        sum = i64::from_le_bytes(reader.get(b"sum")?.unwrap().try_into().unwrap());
        Ok(())
    })
    .unwrap();
    (attempts, sum)
}

#[test]
fn one_seed_gives_one_run_and_records_make_it_exact() {
    let (attempts, sum) = trace(5);
    assert_eq!(sum, 200);
    assert_eq!((attempts.clone(), sum), trace(5));
    assert_ne!(attempts, trace(6).0);
    assert!(attempts.iter().flatten().any(|attempt| attempt.maybe_committed), "unknown results were injected");
}

#[test]
fn commits_that_are_always_unknown_end_as_unknown() {
    let kv: Arc<dyn Kv> = MemoryKv::with_faults(Faults { unknown_rate: 1.0, ..Faults::default() });
    assert!(kv.results_may_be_unknown());
    let result = kv.transact(Durability::Visible, |transaction, _| {
        transaction.put(b"k", b"v");
        Ok(((), Verdict::Commit))
    });
    assert!(matches!(result, Err(KvError::UnknownResult(_))));
}

#[test]
fn old_versions_are_forgotten_once_no_snapshot_needs_them() {
    let store = MemoryStore::new(MemoryOptions::default());
    let kv: Arc<dyn Kv> = store.client();
    let held = Snapshot::take(&store.store);
    for round in 0..100u8 {
        let body = move |transaction: &mut dyn Transaction, _| {
            transaction.put(b"kept", &[round]);
            transaction.put(&[b'x', round], b"");
            transaction.delete_range(&KeyRange::prefix(&[b'x', round.wrapping_sub(1)]))?;
            Ok(((), Verdict::Commit))
        };
        kv.transact(Durability::Visible, body).unwrap();
    }
    assert!(store.store.versions_kept() > 100, "the held snapshot needs them");
    drop(held);
    kv.transact(Durability::Visible, |transaction, _| {
        transaction.put(b"kept", b"");
        transaction.delete(&[b'x', 99]);
        Ok(((), Verdict::Commit))
    })
    .unwrap();
    kv.transact(Durability::Visible, |transaction, _| {
        transaction.put(b"kept", b"again");
        Ok(((), Verdict::Commit))
    })
    .unwrap();
    let mut last = Snapshot::take(&store.store);
    let all = KeyRange { start: Vec::new(), end: vec![0xff] };
    assert_eq!(last.scan(&all, 10, Direction::Forward).unwrap(), [(b"kept".to_vec(), b"again".to_vec())]);
    assert!(store.store.versions_kept() <= 2, "only what is current stays");
}
