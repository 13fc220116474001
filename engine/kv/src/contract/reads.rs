//! Claims about snapshots, reading one's own writes, and the shape of answers.

use super::{Open, all, change, get, scan};
use crate::{Direction, Durability, KeyRange, Kv, KvResult, Pair, Random, Reader, Transaction, Verdict};
use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

pub fn a_reader_sees_one_snapshot(open: &Open<'_>) {
    let store = open();
    let (reading, writing) = (store.client(), store.client());
    write_both(&writing, b"old");
    let mut runs = 0;
    reading
        .read(&mut |reader| {
            let first = reader.get(b"a")?;
            // Only its first run is disturbed: an engine without old versions gives up a snapshot that has passed.
            runs += 1;
            if runs == 1 {
                write_both(&writing, b"new");
            }
            assert_eq!(reader.get(b"b")?, first);
            let scanned = reader.scan(&KeyRange::prefix(b"b"), 9, Direction::Forward)?;
            assert!(scanned.into_iter().all(|(_, value)| Some(value) == first));
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(get(&reading, b"a").as_deref(), Some(b"new".as_slice()), "the next reader sees the commit");
}

pub fn a_transaction_sees_one_snapshot(open: &Open<'_>) {
    let store = open();
    let (reading, writing) = (store.client(), store.client());
    write_both(&writing, b"old");
    let (ask, asked) = mpsc::channel::<()>();
    let (answer, answered) = mpsc::channel::<()>();
    let writer = thread::spawn(move || {
        // The body may run more often than once; only its first run is answered, the others find the channel closed.
        if asked.recv().is_ok() {
            write_both(&writing, b"new");
            drop(answer);
        }
    });
    let body = move |transaction: &mut dyn Transaction, _| {
        let first = transaction.get_unchecked(b"a")?;
        // Not waited for longer than this: an engine that runs one body at a time keeps the writer out until its end.
        let _ = ask.send(());
        let _ = answered.recv_timeout(Duration::from_millis(50));
        assert_eq!(transaction.get_unchecked(b"b")?, first);
        Ok(((), Verdict::Abort))
    };
    reading.transact(Durability::Visible, body).unwrap_or_else(|error| panic!("{error}"));
    writer.join().expect("the writer commits");
    assert_eq!(get(&reading, b"b").as_deref(), Some(b"new".as_slice()));
}

pub fn a_snapshot_shows_one_moment_however_long_it_takes(open: &Open<'_>) {
    const KEYS: u32 = 2000;
    let store = open();
    let (reading, writing) = (store.client(), store.client());
    let key = |number: u32| [b"s".as_slice(), &number.to_be_bytes()].concat();
    change(&writing, move |transaction| {
        (0..KEYS).for_each(|number| transaction.put(&key(number), &number.to_be_bytes()));
        transaction.add(b"sum", 1);
        Ok(())
    });
    let expected = all(&writing, b"s");
    let mut snapshot = reading.snapshot().unwrap_or_else(|error| panic!("{error}"));
    let mut found = Vec::new();
    for round in 0.. {
        let pairs = snapshot.next().unwrap_or_else(|error| panic!("{error}"));
        if pairs.is_empty() {
            break;
        }
        found.extend(pairs);
        // Much changes before and behind the place.
        change(&writing, move |transaction| {
            transaction.put(&key(KEYS / 2), &[round]);
            transaction.put(&key(KEYS - 1 - u32::from(round)), b"new");
            transaction.put(&key(KEYS + u32::from(round)), b"new");
            transaction.put(&[&key(KEYS / 4), [round].as_slice()].concat(), b"new");
            transaction.delete(&key(KEYS / 3 + u32::from(round)));
            transaction.delete_range(&KeyRange { start: key(KEYS / 3 * 2), end: key(KEYS / 4 * 3) })?;
            transaction.add(b"sum", 1);
            transaction.append(&key(KEYS / 5), b"more");
            Ok(())
        });
    }
    let found: Vec<Pair> = found.into_iter().filter(|(key, _)| key.starts_with(b"s")).collect();
    assert!(found == expected, "{} pairs of {}, or others", found.len(), expected.len());
    drop(snapshot);
    let mut later = reading.snapshot().unwrap_or_else(|error| panic!("{error}"));
    let mut now = Vec::new();
    loop {
        let pairs = later.next().unwrap_or_else(|error| panic!("{error}"));
        if pairs.is_empty() {
            break;
        }
        now.extend(pairs.into_iter().filter(|(key, _)| key.starts_with(b"s")));
    }
    assert!(now == all(&writing, b"s"), "the next snapshot shows what has changed since");
}

fn write_both(kv: &Arc<dyn Kv>, value: &'static [u8]) {
    change(kv, move |transaction| {
        transaction.put(b"a", value);
        transaction.put(b"b", value);
        Ok(())
    });
}

pub fn a_transaction_reads_its_own_writes(open: &Open<'_>) {
    let store = open();
    let kv = store.client();
    change(&kv, |transaction| {
        for key in [b"k1", b"k2", b"k3", b"k4"] {
            transaction.put(key, b"base");
        }
        transaction.add(b"k5", 5);
        transaction.append(b"k6", b"one");
        Ok(())
    });
    change(&kv, |transaction| {
        transaction.delete(b"k1");
        transaction.put(b"k2", b"own");
        transaction.delete_range(&KeyRange { start: b"k3".to_vec(), end: b"k5".to_vec() })?;
        transaction.add(b"k4", 2);
        transaction.add(b"k5", -6);
        transaction.append(b"k6", b" two");
        transaction.max(b"k7", 7);
        let expected: Vec<Pair> = vec![
            (b"k2".to_vec(), b"own".to_vec()),
            (b"k4".to_vec(), 2i64.to_le_bytes().to_vec()),
            (b"k5".to_vec(), (-1i64).to_le_bytes().to_vec()),
            (b"k6".to_vec(), b"one two".to_vec()),
            (b"k7".to_vec(), 7u64.to_le_bytes().to_vec()),
        ];
        let range = KeyRange::prefix(b"k");
        assert_eq!(transaction.scan(&range, 99, Direction::Forward)?, expected);
        let backward: Vec<Pair> = expected.iter().rev().take(3).cloned().collect();
        assert_eq!(transaction.scan(&range, 3, Direction::Backward)?, backward);
        for (key, value) in &expected {
            assert_eq!(transaction.get(key)?.as_ref(), Some(value));
        }
        assert_eq!(transaction.get_many(&[b"k1", b"k3", b"k2"])?, [None, None, Some(b"own".to_vec())]);
        Ok(())
    });
    assert_eq!(all(&kv, b"k").len(), 5, "what was read is what was committed");
}

/// Long random runs: each transaction reads its own writes over what earlier ones have left, and at the end the store
/// holds what the map holds. Submitted without waiting, so that engines that group commits do so.
pub fn transactions_agree_with_an_ordered_map(open: &Open<'_>) {
    for seed in 0..6 {
        let store = open();
        let kv = store.client();
        let mut random = Random::new(seed);
        let mut model = BTreeMap::new();
        for _ in 0..40 {
            let steps: Vec<Step> = (0..random.below(8)).map(|_| Step::draw(&mut random)).collect();
            steps.iter().for_each(|step| step.apply_to_map(&mut model));
            let after = model.clone();
            change(&kv, move |transaction| {
                for step in &steps {
                    step.apply(transaction)?;
                }
                assert_eq!(transaction.scan(&KeyRange::prefix(b"m"), 99, Direction::Forward)?, pairs(&after));
                Ok(())
            });
            let range = KeyRange { start: vec![b'm', random.below(8) as u8], end: vec![b'm', random.below(9) as u8] };
            let expected: Vec<Pair> = pairs(&model).into_iter().filter(|(key, _)| range.contains(key)).rev().collect();
            assert_eq!(scan(&kv, &range, 99, Direction::Backward), expected, "seed {seed}");
        }
        assert_eq!(all(&kv, b"m"), pairs(&model), "seed {seed}");
    }
}

fn pairs(model: &BTreeMap<Vec<u8>, Vec<u8>>) -> Vec<Pair> {
    model.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Counters live on even keys, appended values on odd ones.
struct Step {
    kind: u64,
    key: Vec<u8>,
    other: Vec<u8>,
    amount: u64,
}

impl Step {
    fn draw(random: &mut Random) -> Step {
        let mut key = || vec![b'm', random.below(8) as u8];
        let (key, other) = (key(), key());
        Step { kind: random.below(5), key, other, amount: random.below(100) }
    }

    fn apply(&self, transaction: &mut dyn Transaction) -> KvResult<()> {
        match (self.kind, self.key[1] % 2) {
            (0, _) => transaction.put(&self.key, &self.amount.to_le_bytes()),
            (1, _) => transaction.delete(&self.key),
            (2, _) => transaction.delete_range(&self.range())?,
            (3, 0) => transaction.add(&self.key, self.amount as i64),
            (_, 0) => transaction.max(&self.key, self.amount),
            _ => transaction.append(&self.key, &[self.amount as u8]),
        }
        Ok(())
    }

    fn apply_to_map(&self, model: &mut BTreeMap<Vec<u8>, Vec<u8>>) {
        let old = super::number(model.get(&self.key).filter(|_| self.key[1].is_multiple_of(2)).cloned());
        let mut put = |number: u64| drop(model.insert(self.key.clone(), number.to_le_bytes().to_vec()));
        match (self.kind, self.key[1] % 2) {
            (0, _) => put(self.amount),
            (1, _) => drop(model.remove(&self.key)),
            (2, _) => model.retain(|key, _| !self.range().contains(key)),
            (3, 0) => put(old + self.amount),
            (_, 0) => put(old.max(self.amount)),
            _ => model.entry(self.key.clone()).or_default().push(self.amount as u8),
        }
    }

    fn range(&self) -> KeyRange {
        KeyRange { start: self.key.clone(), end: self.other.clone() }
    }
}

pub fn scans_keep_their_range_limit_and_direction(open: &Open<'_>) {
    let store = open();
    let kv = store.client();
    let keys: Vec<Vec<u8>> = (0..50u8).map(|n| vec![b's', n]).chain([vec![b's', 7, 0], vec![b's', 7, 0xff]]).collect();
    let stored = keys.clone();
    change(&kv, move |transaction| {
        stored.iter().for_each(|key| transaction.put(key, &key[1..]));
        Ok(())
    });
    let mut sorted = keys;
    sorted.sort();
    for (start, end) in [(0u8, 50u8), (7, 8), (8, 7), (7, 7), (49, 60), (60, 70)] {
        let range = KeyRange { start: vec![b's', start], end: vec![b's', end] };
        let inside: Vec<Pair> =
            sorted.iter().filter(|key| range.contains(key)).map(|key| (key.clone(), key[1..].to_vec())).collect();
        for limit in [0, 1, 2, 10, usize::MAX] {
            let forward: Vec<Pair> = inside.iter().take(limit).cloned().collect();
            let backward: Vec<Pair> = inside.iter().rev().take(limit).cloned().collect();
            assert_eq!(scan(&kv, &range, limit, Direction::Forward), forward, "{range:?} {limit}");
            assert_eq!(scan(&kv, &range, limit, Direction::Backward), backward, "{range:?} {limit}");
        }
    }
}

pub fn get_many_answers_in_the_order_of_the_keys(open: &Open<'_>) {
    let store = open();
    let kv = store.client();
    change(&kv, |transaction| {
        transaction.put(b"one", b"1");
        transaction.put(b"two", b"2");
        transaction.put(b"empty", b"");
        Ok(())
    });
    let expected = [Some(b"2".to_vec()), None, Some(Vec::new()), Some(b"1".to_vec()), Some(b"2".to_vec())];
    kv.read(&mut |reader: &mut dyn Reader| {
        assert_eq!(reader.get_many(&[b"two", b"none", b"empty", b"one", b"two"])?, expected);
        Ok(())
    })
    .unwrap_or_else(|error| panic!("{error}"));
}
