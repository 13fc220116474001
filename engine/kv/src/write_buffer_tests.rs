//! The write buffer against the plainest model: a map on which every write happens at once.

use super::*;
use crate::Random;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

fn scan_map(map: &Map, range: &KeyRange, limit: usize, direction: Direction) -> Vec<Pair> {
    let pairs = map.iter().filter(|(key, _)| range.contains(key)).map(|(key, value)| (key.clone(), value.clone()));
    match direction {
        Direction::Forward => pairs.take(limit).collect(),
        Direction::Backward => {
            let all: Vec<_> = pairs.collect();
            all.into_iter().rev().take(limit).collect()
        }
    }
}

struct MapReader<'a>(&'a Map);

impl Reader for MapReader<'_> {
    fn get(&mut self, key: &[u8]) -> KvResult<Option<Vec<u8>>> {
        Ok(self.0.get(key).cloned())
    }

    fn scan(&mut self, range: &KeyRange, limit: usize, direction: Direction) -> KvResult<Vec<Pair>> {
        Ok(scan_map(self.0, range, limit, direction))
    }
}

fn key(random: &mut Random) -> Vec<u8> {
    vec![b'a' + random.below(16) as u8]
}

fn range(random: &mut Random) -> KeyRange {
    KeyRange { start: key(random), end: key(random) }
}

/// One random write, to the buffer and to the model. Keys up to `l` are counters, the later ones are appended to.
fn write(random: &mut Random, buffer: &mut WriteBuffer, model: &mut Map) {
    let key = key(random);
    let number = random.below(100);
    let counter = |model: &Map| model.get(&key).map_or(0, |v| u64::from_le_bytes(v.as_slice().try_into().unwrap()));
    match (random.below(5), key[0] <= b'l') {
        (0, _) => {
            buffer.put(&key, &number.to_le_bytes());
            model.insert(key, number.to_le_bytes().to_vec());
        }
        (1, _) => {
            buffer.delete(&key);
            model.remove(&key);
        }
        (2, _) => {
            let range = range(random);
            buffer.delete_range(&range).unwrap();
            model.retain(|key, _| !range.contains(key));
        }
        (3, true) => {
            buffer.add(&key, number as i64);
            let sum = counter(model) + number;
            model.insert(key, sum.to_le_bytes().to_vec());
        }
        (_, true) => {
            buffer.max(&key, number);
            let max = counter(model).max(number);
            model.insert(key, max.to_le_bytes().to_vec());
        }
        (_, false) => {
            buffer.append(&key, &[number as u8]);
            model.entry(key).or_default().push(number as u8);
        }
    }
}

fn assert_same(seed: u64, random: &mut Random, buffer: &WriteBuffer, base: &Map, model: &Map) {
    for name in b'a'..b'a' + 16 {
        let expected = model.get(&vec![name]).cloned();
        assert_eq!(buffer.resolve(&[name], base.get(&vec![name]).cloned()), Ok(expected.clone()), "seed {seed}");
        if let Some(settled) = buffer.settled(&[name]) {
            assert_eq!(settled.map(<[u8]>::to_vec), expected, "seed {seed}");
        }
    }
    for direction in [Direction::Forward, Direction::Backward] {
        for limit in [0, 1, 3, usize::MAX] {
            let range = range(random);
            let found = buffer.scan(&range, limit, direction, &mut MapReader(base)).unwrap();
            assert_eq!(found, scan_map(model, &range, limit, direction), "seed {seed} {range:?} {limit} {direction:?}");
        }
    }
}

#[test]
fn reads_see_every_earlier_write_over_any_base() {
    for seed in 0..2000 {
        let mut random = Random::new(seed);
        let base: Map = (0..random.below(12)).map(|n| (key(&mut random), n.to_le_bytes().to_vec())).collect();
        let (mut buffer, mut model) = (WriteBuffer::default(), base.clone());
        for _ in 0..random.below(12) {
            write(&mut random, &mut buffer, &mut model);
            assert_same(seed, &mut random, &buffer, &base, &model);
        }
    }
}

#[test]
fn layered_and_applied_buffers_equal_the_writes_in_order() {
    for seed in 0..1000 {
        let mut random = Random::new(seed);
        let base: Map = (0..random.below(12)).map(|n| (key(&mut random), n.to_le_bytes().to_vec())).collect();
        let (mut group, mut model) = (WriteBuffer::default(), base.clone());
        for _ in 0..3 {
            let mut job = WriteBuffer::default();
            for _ in 0..random.below(6) {
                write(&mut random, &mut job, &mut model);
            }
            let mut below = base.clone();
            for name in b'a'..b'a' + 16 {
                match group.resolve(&[name], base.get(&vec![name]).cloned()).unwrap() {
                    Some(value) => below.insert(vec![name], value),
                    None => below.remove(&vec![name]),
                };
            }
            job.settle(&mut MapReader(&below)).unwrap();
            group.absorb(job, None);
            assert_same(seed, &mut random, &group, &base, &model);
        }
        let mut applied = base;
        let parts = group.into_parts();
        for (start, end) in parts.cleared.iter() {
            applied.retain(|key, _| !(start <= key.as_slice() && key.as_slice() < end));
        }
        for (key, effect) in parts.effects {
            match effect {
                Effect::Put(value) => drop(applied.insert(key, value)),
                Effect::Delete => drop(applied.remove(&key)),
                other => panic!("seed {seed}: {other:?} after settling"),
            }
        }
        assert_eq!(applied, model, "seed {seed}");
    }
}

#[test]
fn a_breach_of_a_limit_is_remembered() {
    let breaches: [fn(&mut WriteBuffer); 4] = [
        |buffer| buffer.put(&vec![0; KEY_BYTES_MAX + 1], b""),
        |buffer| buffer.put(b"k", &vec![0; VALUE_BYTES_MAX + 1]),
        |buffer| buffer.put_versionstamped(&vec![0; KEY_BYTES_MAX - STAMP_BYTES + 1], b""),
        |buffer| (0..=TRANSACTION_BYTES_MAX / VALUE_BYTES_MAX).for_each(|_| buffer.put(b"k", &[0; VALUE_BYTES_MAX])),
    ];
    for breach in breaches {
        let mut buffer = WriteBuffer::default();
        buffer.put(&[0; KEY_BYTES_MAX], &[0; VALUE_BYTES_MAX]);
        assert_eq!(buffer.check(), Ok(()));
        breach(&mut buffer);
        buffer.put(b"small", b"");
        assert!(matches!(buffer.check(), Err(KvError::Limit(_))));
    }
}

#[test]
fn a_counter_over_other_bytes_is_damage_and_not_a_number() {
    let mut buffer = WriteBuffer::default();
    buffer.put(b"k", b"abc");
    buffer.add(b"k", 1);
    assert!(matches!(buffer.check(), Err(KvError::Damaged(_))));
}
