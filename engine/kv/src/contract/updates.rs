//! Claims about commutative updates and versionstamps.

use super::{Open, all, change, get, number};
use crate::limits::STAMP_BYTES;
use std::thread;

pub fn concurrent_commutative_updates_sum_exactly_without_conflicts(open: &Open<'_>) {
    const THREADS: u64 = 4;
    const ROUNDS: u64 = 50;
    let store = open();
    let threads: Vec<_> = (0..THREADS)
        .map(|who| {
            let kv = store.client();
            thread::spawn(move || {
                for round in 0..ROUNDS {
                    change(&kv, move |transaction| {
                        transaction.add(b"sum", 3);
                        transaction.add(b"sum", -1);
                        transaction.max(b"top", who * 1000 + round);
                        transaction.append(b"list", &[who as u8]);
                        Ok(())
                    });
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("every change commits"));
    let kv = store.client();
    assert_eq!(number(get(&kv, b"sum")), THREADS * ROUNDS * 2);
    assert_eq!(number(get(&kv, b"top")), (THREADS - 1) * 1000 + ROUNDS - 1);
    let list = get(&kv, b"list").expect("it was appended to");
    for who in 0..THREADS {
        assert_eq!(list.iter().filter(|byte| **byte == who as u8).count() as u64, ROUNDS);
    }
    if let Some(conflicts) = store.conflicts() {
        assert_eq!(conflicts, 0, "commutative updates do not conflict with each other");
    }
}

pub fn stamps_grow_in_commit_order(open: &Open<'_>) {
    let store = open();
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let kv = store.client();
            thread::spawn(move || {
                for _ in 0..20 {
                    // Reading and writing one key puts the commits in a known order.
                    change(&kv, |transaction| {
                        let order = number(transaction.get(b"order")?);
                        transaction.put(b"order", &(order + 1).to_le_bytes());
                        transaction.put_versionstamped(b"feed", &order.to_be_bytes());
                        Ok(())
                    });
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("every change commits"));
    let feed = all(&store.client(), b"feed");
    assert!(feed.iter().all(|(key, _)| key.len() == b"feed".len() + STAMP_BYTES));
    let values: Vec<u64> =
        feed.iter().map(|(_, value)| u64::from_be_bytes(value.as_slice().try_into().expect("8 bytes"))).collect();
    assert_eq!(values, (0..60).collect::<Vec<_>>());
}
