//! The contract, and what only this engine promises.

use super::*;
use crate::writer::Taken;
use shoal_kv::contract::ContractStore;
use shoal_kv::{Attempt, KeyRange, Transaction, Verdict};
use std::sync::mpsc::{Receiver, Sender, channel};
use tempfile::TempDir;

struct Database {
    folder: TempDir,
}

impl Database {
    fn new() -> Self {
        Database { folder: tempfile::tempdir().unwrap() }
    }

    fn open(&self) -> Arc<SqliteKv> {
        SqliteKv::open(&self.folder.path().join("volume"), true).unwrap()
    }
}

impl ContractStore for Database {
    fn client(&self) -> Arc<dyn Kv> {
        self.open()
    }

    /// Bodies never meet: nothing is ever refused.
    fn conflicts(&self) -> Option<u64> {
        Some(0)
    }
}

shoal_kv::contract_tests!(|| Box::new(Database::new()) as Box<dyn ContractStore>);

/// A job made of a closure, which reports its end.
struct Step<F> {
    body: F,
    sender: Sender<KvResult<Verdict>>,
}

impl<F: FnMut(&mut dyn Transaction) -> KvResult<Verdict> + Send> Job for Step<F> {
    fn run(&mut self, transaction: &mut dyn Transaction, _: Attempt) -> KvResult<Verdict> {
        (self.body)(transaction)
    }

    fn done(self: Box<Self>, outcome: KvResult<Verdict>) {
        // A test may not care.
        let _ = self.sender.send(outcome);
    }
}

type Outcomes = Receiver<KvResult<Verdict>>;

fn submit(kv: &SqliteKv, body: impl FnMut(&mut dyn Transaction) -> KvResult<Verdict> + Send + 'static) -> Outcomes {
    let (sender, outcome) = channel();
    kv.submit(Box::new(Step { body, sender }), Durability::Visible);
    outcome
}

/// Keeps everybody from writing, so that what is submitted meanwhile makes one group.
fn hold_writer(kv: &SqliteKv) -> Held<'_> {
    Held { kv, taken: Some(kv.shared.writer.take()) }
}

struct Held<'a> {
    kv: &'a SqliteKv,
    taken: Option<Taken<'a>>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        drop(self.taken.take());
        self.kv.shared.jobs.wake();
    }
}

fn get(kv: &SqliteKv, key: &[u8]) -> Option<Vec<u8>> {
    let mut value = None;
    kv.read(&mut |reader| {
        value = reader.get(key)?;
        Ok(())
    })
    .unwrap();
    value
}

#[test]
fn a_group_is_one_commit_and_its_failing_jobs_leave_the_others_alone() {
    let database = Database::new();
    let kv = database.open();
    let held = hold_writer(&kv);
    let before = kv.commits();
    let outcomes: Vec<Outcomes> = (0..100u8)
        .map(|number| {
            submit(&kv, move |transaction| {
                transaction.put(&[b'k', number], b"v");
                transaction.add(b"count", 1);
                transaction.put_versionstamped(b"stamp", &[number]);
                match number % 5 {
                    0 => Ok(Verdict::Abort),
                    1 => Err(KvError::Other("refused".into())),
                    2 => panic!("a bug in a body"),
                    _ => Ok(Verdict::Commit),
                }
            })
        })
        .collect();
    // A counter over bytes that are no counter: found only when the job's updates are settled.
    let damaged = submit(&kv, |transaction| {
        transaction.put(b"lost", b"");
        transaction.add(b"text", 1);
        Ok(Verdict::Commit)
    });
    drop(held);
    for (number, outcome) in outcomes.iter().enumerate() {
        let outcome = outcome.recv().unwrap();
        match number % 5 {
            0 => assert_eq!(outcome, Ok(Verdict::Abort)),
            1 | 2 => assert!(matches!(outcome, Err(KvError::Other(_)))),
            _ => assert_eq!(outcome, Ok(Verdict::Commit)),
        }
    }
    assert_eq!(damaged.recv().unwrap(), Ok(Verdict::Commit), "no text was there yet");
    assert_eq!(kv.commits(), before + 1);
    assert_eq!(get(&kv, b"count"), Some(40i64.to_le_bytes().to_vec()));
    let mut stamped = Vec::new();
    kv.read(&mut |reader| {
        stamped = reader.scan(&KeyRange::prefix(b"stamp"), 1000, shoal_kv::Direction::Forward)?;
        Ok(())
    })
    .unwrap();
    let order: Vec<u8> = stamped.into_iter().map(|(_, value)| value[0]).collect();
    let expected: Vec<u8> = (0..100).filter(|number| number % 5 > 2).collect();
    assert_eq!(order, expected);
}

#[test]
fn a_job_with_a_damaged_counter_fails_alone() {
    let database = Database::new();
    let kv = database.open();
    let put = submit(&kv, |transaction| {
        transaction.put(b"text", b"no counter");
        Ok(Verdict::Commit)
    });
    assert_eq!(put.recv().unwrap(), Ok(Verdict::Commit));
    let held = hold_writer(&kv);
    let good = submit(&kv, |transaction| {
        transaction.put(b"kept", b"");
        Ok(Verdict::Commit)
    });
    let bad = submit(&kv, |transaction| {
        transaction.put(b"lost", b"");
        transaction.add(b"text", 1);
        Ok(Verdict::Commit)
    });
    drop(held);
    assert_eq!(good.recv().unwrap(), Ok(Verdict::Commit));
    assert!(matches!(bad.recv().unwrap(), Err(KvError::Damaged(_))));
    assert_eq!((get(&kv, b"kept"), get(&kv, b"lost")), (Some(Vec::new()), None));
}

#[test]
fn a_failed_commit_fails_the_whole_group_and_leaves_nothing() {
    let database = Database::new();
    let kv = database.open();
    // A trigger stands for whatever can go wrong while a group is written.
    let other = rusqlite::Connection::open(&kv.shared.path).unwrap();
    let trigger = "CREATE TRIGGER trouble BEFORE INSERT ON kv WHEN NEW.k = x'66'
                   BEGIN SELECT RAISE(ABORT, 'trouble'); END";
    other.execute_batch(trigger).unwrap();
    let held = hold_writer(&kv);
    let outcomes: Vec<Outcomes> = [b"a", b"f", b"z"]
        .map(|key| {
            submit(&kv, move |transaction| {
                transaction.put(key, b"");
                Ok(Verdict::Commit)
            })
        })
        .into();
    let refusing = submit(&kv, |transaction| {
        assert!(transaction.get(b"a")?.is_some());
        Ok(Verdict::Abort)
    });
    drop(held);
    for outcome in outcomes.iter().chain([&refusing]) {
        let error = outcome.recv().unwrap().unwrap_err();
        assert!(error.to_string().contains("trouble"), "{error}");
    }
    assert_eq!((get(&kv, b"a"), get(&kv, b"z")), (None, None));
    let next = submit(&kv, |transaction| {
        transaction.put(b"a", b"");
        Ok(Verdict::Commit)
    });
    assert_eq!(next.recv().unwrap(), Ok(Verdict::Commit), "the writer goes on");
}

#[test]
fn a_job_runs_where_it_is_submitted_unless_somebody_writes() {
    let database = Database::new();
    let kv = database.open();
    let thread_of_next_job = |kv: &SqliteKv| {
        let (sender, receiver) = channel();
        drop(submit(kv, move |transaction| {
            transaction.put(b"k", b"");
            sender.send(std::thread::current().id()).unwrap();
            Ok(Verdict::Commit)
        }));
        receiver
    };
    assert_eq!(thread_of_next_job(&kv).recv().unwrap(), std::thread::current().id());
    let held = hold_writer(&kv);
    let elsewhere = thread_of_next_job(&kv);
    drop(held);
    assert_ne!(elsewhere.recv().unwrap(), std::thread::current().id());
    // Another process in the middle of a transaction: to submit must not wait for its end.
    let other = rusqlite::Connection::open(&kv.shared.path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let elsewhere = thread_of_next_job(&kv);
    other.execute_batch("ROLLBACK").unwrap();
    assert_ne!(elsewhere.recv().unwrap(), std::thread::current().id());
}

#[test]
fn jobs_of_many_threads_are_all_done_whoever_runs_them() {
    let database = Database::new();
    let kv = database.open();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let add = |_| {
                    submit(&kv, |transaction| {
                        transaction.add(b"count", 1);
                        Ok(Verdict::Commit)
                    })
                };
                // One at a time, and then many at once.
                (0..200).map(add).for_each(|outcome| assert_eq!(outcome.recv().unwrap(), Ok(Verdict::Commit)));
                let outcomes: Vec<Outcomes> = (0..200).map(add).collect();
                outcomes.iter().for_each(|outcome| assert_eq!(outcome.recv().unwrap(), Ok(Verdict::Commit)));
            });
        }
    });
    assert_eq!(get(&kv, b"count"), Some(3200i64.to_le_bytes().to_vec()));
}

#[test]
fn a_long_wal_is_copied_back_and_begun_anew() {
    let database = Database::new();
    let kv = database.open();
    let wal = open::companion(&kv.shared.path, "-wal");
    let value = vec![7; 64 << 10];
    let enough = 4 * limits::CHECKPOINT_PAGES as usize * limits::PAGE_BYTES / value.len();
    for number in 0..enough as u32 {
        let (key, value) = ((number % 64).to_be_bytes(), value.clone());
        let put = submit(&kv, move |transaction| {
            transaction.put(&key, &value);
            Ok(Verdict::Commit)
        });
        assert_eq!(put.recv().unwrap(), Ok(Verdict::Commit));
    }
    let longest = 3 * limits::CHECKPOINT_PAGES as u64 * limits::PAGE_BYTES as u64;
    assert!(std::fs::metadata(wal).unwrap().len() < longest);
}

#[test]
fn hot_values_never_hide_a_foreign_commit() {
    let database = Database::new();
    let clients = [database.open(), database.open()];
    for round in 0..50u64 {
        let kv: &dyn Kv = clients[(round % 2) as usize].as_ref();
        let seen = kv
            .transact(Durability::Visible, move |transaction, _| {
                let seen = transaction.get(b"turn")?;
                transaction.put(b"turn", &(round + 1).to_le_bytes());
                Ok((seen, Verdict::Commit))
            })
            .unwrap();
        assert_eq!(seen, (round > 0).then(|| round.to_le_bytes().to_vec()));
    }
}

#[test]
fn closing_the_last_handle_folds_the_wal_and_what_was_committed_stays() {
    let database = Database::new();
    let kv = database.open();
    let put = submit(&kv, |transaction| {
        transaction.put(b"kept", b"v");
        Ok(Verdict::Commit)
    });
    put.recv().unwrap().unwrap();
    let wal = open::companion(&kv.shared.path, "-wal");
    assert!(wal.exists());
    kv.close().unwrap();
    assert!(!wal.exists());
    assert!(matches!(kv.read(&mut |_| Ok(())), Err(KvError::Unavailable(_))));
    assert_eq!(get(&database.open(), b"kept"), Some(b"v".to_vec()));
}

#[test]
fn the_last_handle_may_be_dropped_by_a_job() {
    struct Holder(Arc<SqliteKv>, Sender<()>);
    impl Job for Holder {
        fn run(&mut self, _: &mut dyn Transaction, _: Attempt) -> KvResult<Verdict> {
            Ok(Verdict::Commit)
        }
        fn done(self: Box<Self>, _: KvResult<Verdict>) {
            let Holder(kv, sender) = *self;
            drop(kv);
            sender.send(()).unwrap();
        }
    }
    let database = Database::new();
    for durability in [Durability::Visible, Durability::Durable] {
        let kv = database.open();
        let (sender, receiver) = channel();
        let shared = kv.shared.clone();
        let held = shared.writer.take();
        kv.submit(Box::new(Holder(kv.clone(), sender)), durability);
        drop(kv);
        drop(held);
        shared.jobs.wake();
        receiver.recv().unwrap();
    }
}
