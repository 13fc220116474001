//! Claims about how a job ends.

use super::{Open, all, change, fresh_record, get, happened, number};
use crate::limits::{KEY_BYTES_MAX, TRANSACTION_BYTES_MAX, VALUE_BYTES_MAX};
use crate::{Attempt, Durability, Job, KvError, KvResult, Transaction, Verdict};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};

pub fn an_abort_or_error_leaves_nothing(open: &Open<'_>) {
    let store = open();
    let kv = store.client();
    change(&kv, |transaction| {
        transaction.put(b"x kept", b"1");
        Ok(())
    });
    for fails in [false, true] {
        let result = kv.transact(Durability::Visible, move |transaction, _| {
            transaction.delete_range(&crate::KeyRange::prefix(b"x"))?;
            transaction.put(b"x new", b"");
            transaction.add(b"x count", 1);
            transaction.put_versionstamped(b"x stamped", b"");
            if fails {
                return Err(KvError::Other("the body gives up".into()));
            }
            Ok((17, Verdict::Abort))
        });
        let expected = if fails { Err(KvError::Other("the body gives up".into())) } else { Ok(17) };
        assert_eq!(result, expected);
        assert_eq!(all(&kv, b"x"), [(b"x kept".to_vec(), b"1".to_vec())]);
    }
}

pub fn limits_are_refused(open: &Open<'_>) {
    let store = open();
    let kv = store.client();
    let breaches: [fn(&mut dyn Transaction); 4] = [
        |transaction| transaction.put(&vec![b'l'; KEY_BYTES_MAX + 1], b""),
        |transaction| transaction.put(b"l", &vec![0; VALUE_BYTES_MAX + 1]),
        |transaction| transaction.append(b"l full", b"one more"),
        |transaction| {
            for part in 0..=(TRANSACTION_BYTES_MAX / VALUE_BYTES_MAX) as u8 {
                transaction.put(&[b'l', part], &[0; VALUE_BYTES_MAX]);
            }
        },
    ];
    change(&kv, |transaction| {
        transaction.put(b"l full", &[0; VALUE_BYTES_MAX]);
        transaction.put(&[b'm'; KEY_BYTES_MAX], b"");
        Ok(())
    });
    for breach in breaches {
        let result = kv.transact(Durability::Visible, move |transaction, _| {
            transaction.put(b"l small", b"");
            breach(transaction);
            Ok(((), Verdict::Commit))
        });
        assert!(matches!(result, Err(KvError::Limit(_) | KvError::UnknownResult(_))), "{result:?}");
        assert_eq!(all(&kv, b"l").len(), 1, "the whole transaction is refused");
    }
    assert_eq!(get(&kv, &[b'm'; KEY_BYTES_MAX]), Some(Vec::new()), "the longest key is none too many");
}

pub fn a_durable_commit_is_visible_when_it_returns(open: &Open<'_>) {
    let store = open();
    let (kv, other) = (store.client(), store.client());
    for round in 0..10u8 {
        kv.transact(Durability::Durable, move |transaction, _| {
            transaction.put(b"durable", &[round]);
            Ok(((), Verdict::Commit))
        })
        .expect("it commits");
        assert_eq!(get(&other, b"durable"), Some(vec![round]));
    }
    // An fsync with nothing left to write.
    kv.transact(Durability::Durable, |_, _| Ok(((), Verdict::Commit))).expect("it commits");
}

pub fn operation_records_make_every_operation_happen_once(open: &Open<'_>) {
    let store = open();
    let kv = store.client();
    let (sender, receiver) = mpsc::channel();
    for _ in 0..200 {
        kv.submit(Box::new(Increment { record: fresh_record(), sender: sender.clone() }), Durability::Visible);
    }
    drop(sender);
    let outcomes: Vec<_> = receiver.iter().collect();
    assert_eq!(outcomes.len(), 200);
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(number(get(&kv, b"increments")), 200);
}

struct Increment {
    record: Vec<u8>,
    sender: mpsc::Sender<KvResult<Verdict>>,
}

impl Job for Increment {
    fn run(&mut self, transaction: &mut dyn Transaction, attempt: Attempt) -> KvResult<Verdict> {
        if happened(transaction, attempt, &self.record)? {
            return Ok(Verdict::Abort);
        }
        transaction.put(&self.record, b"");
        transaction.add(b"increments", 1);
        Ok(Verdict::Commit)
    }

    fn done(self: Box<Self>, outcome: KvResult<Verdict>) {
        let _ = self.sender.send(outcome);
    }
}

pub fn every_job_is_told_its_end_exactly_once(open: &Open<'_>) {
    let store = open();
    let kv = store.client();
    let told: Vec<Arc<AtomicU32>> = (0..300).map(|_| Arc::default()).collect();
    for (number, told) in told.iter().enumerate() {
        let end = match number % 3 {
            0 => Ok(Verdict::Commit),
            1 => Ok(Verdict::Abort),
            _ => Err(KvError::Other("refused".into())),
        };
        let durability = if number % 2 == 0 { Durability::Visible } else { Durability::Durable };
        kv.submit(Box::new(Counted { end, told: told.clone() }), durability);
    }
    kv.close().unwrap_or_else(|error| panic!("{error}"));
    assert!(told.iter().all(|told| told.load(Ordering::SeqCst) == 1));
}

struct Counted {
    end: KvResult<Verdict>,
    told: Arc<AtomicU32>,
}

impl Job for Counted {
    fn run(&mut self, transaction: &mut dyn Transaction, _: Attempt) -> KvResult<Verdict> {
        transaction.put(b"counted", b"");
        self.end.clone()
    }

    fn done(self: Box<Self>, outcome: KvResult<Verdict>) {
        assert_eq!(outcome, self.end);
        self.told.fetch_add(1, Ordering::SeqCst);
    }
}

pub fn close_waits_for_queued_jobs_and_refuses_later_ones(open: &Open<'_>) {
    let store = open();
    let (kv, witness) = (store.client(), store.client());
    let (sender, receiver) = mpsc::channel();
    for _ in 0..500 {
        kv.submit(Box::new(Increment { record: fresh_record(), sender: sender.clone() }), Durability::Visible);
    }
    kv.close().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(receiver.try_iter().filter(Result::is_ok).count(), 500, "all had ended when close returned");
    assert_eq!(number(get(&witness, b"increments")), 500);
    kv.submit(Box::new(Increment { record: fresh_record(), sender }), Durability::Visible);
    assert!(matches!(receiver.recv(), Ok(Err(KvError::Unavailable(_)))));
    assert_eq!(kv.close(), Ok(()), "closing twice is harmless");
}
