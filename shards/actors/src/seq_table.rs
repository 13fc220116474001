//! A bounded table that every shard reads and writes without a lock: each slot is a sequence lock of its own.
//!
//! A cache in the strict sense: an entry may vanish at any time, and one that meets another writer is not put at all.
//! Keys are compared whole, so a found value was put under that key. Memory is taken from the system as slots are used.
//!
//! A slot is `version, key words, value words`. Version 0 is an empty slot, an odd one is being written. The writer makes
//! the version odd, then changes the words, then makes it even; a reader that finds the same even version before and
//! after has read one writer's words (Boehm, "Can Seqlocks Get Along With Programming Language Memory Models?", 2012).

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, fence};

pub(crate) struct SeqTable<const KEY: usize, const VALUE: usize> {
    words: Box<[AtomicU64]>,
    sets: usize,
    /// Which way of a full set gives way next.
    turn: AtomicU64,
}

/// Slots that one hash may take.
const WAYS: usize = 4;

impl<const KEY: usize, const VALUE: usize> SeqTable<KEY, VALUE> {
    const SLOT_WORDS: usize = 1 + KEY + VALUE;

    /// Room for `slots` entries, a multiple of four.
    pub fn new(slots: usize) -> Self {
        assert!(slots > 0 && slots.is_multiple_of(WAYS), "slots come in sets of {WAYS}");
        let zeros = vec![0u64; slots * Self::SLOT_WORDS].into_boxed_slice();
        // SAFETY: AtomicU64 has the size, alignment (on 64-bit targets) and bit validity of u64, and the box is the only
        // owner of the words. Made this way because zeroed memory is not touched before it is used.
        let words = unsafe { Box::from_raw(Box::into_raw(zeros) as *mut [AtomicU64]) };
        SeqTable { words, sets: slots / WAYS, turn: AtomicU64::new(0) }
    }

    pub fn get(&self, hash: u64, key: &[u64; KEY]) -> Option<[u64; VALUE]> {
        self.ways(hash).find_map(|slot| {
            let before = slot[0].load(Acquire);
            if before == 0 || before % 2 == 1 || !holds(slot, key) {
                return None;
            }
            let value = std::array::from_fn(|word| slot[1 + KEY + word].load(Relaxed));
            fence(Acquire);
            (slot[0].load(Relaxed) == before).then_some(value)
        })
    }

    pub fn put(&self, hash: u64, key: &[u64; KEY], value: &[u64; VALUE]) {
        let slot = self.slot_for(hash, key);
        let version = slot[0].load(Relaxed);
        if version % 2 == 1 || slot[0].compare_exchange(version, version + 1, AcqRel, Relaxed).is_err() {
            return;
        }
        fence(Release);
        for (word, new) in slot[1..].iter().zip(key.iter().chain(value)) {
            word.store(*new, Relaxed);
        }
        slot[0].store(version + 2, Release);
    }

    /// Where the key is already, else an empty slot, else the next one in turn.
    fn slot_for(&self, hash: u64, key: &[u64; KEY]) -> &[AtomicU64] {
        let same = self.ways(hash).find(|slot| slot[0].load(Relaxed) != 0 && holds(slot, key));
        let empty = || self.ways(hash).find(|slot| slot[0].load(Relaxed) == 0);
        let next = || {
            let way = self.turn.fetch_add(1, Relaxed) as usize % WAYS;
            self.ways(hash).nth(way).expect("a set has all its ways")
        };
        same.or_else(empty).unwrap_or_else(next)
    }

    fn ways(&self, hash: u64) -> impl Iterator<Item = &[AtomicU64]> {
        let set_words = WAYS * Self::SLOT_WORDS;
        let start = (hash % self.sets as u64) as usize * set_words;
        self.words[start..start + set_words].chunks_exact(Self::SLOT_WORDS)
    }
}

fn holds<const KEY: usize>(slot: &[AtomicU64], key: &[u64; KEY]) -> bool {
    slot[1..].iter().zip(key).all(|(word, wanted)| word.load(Relaxed) == *wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_value_of_a_key_is_found_and_others_give_way_only_when_the_set_is_full() {
        let table = SeqTable::<2, 1>::new(4);
        assert_eq!(table.get(9, &[1, 2]), None);
        for key in 0..4 {
            table.put(9, &[1, key], &[key]);
            table.put(9, &[1, key], &[10 + key]);
        }
        for key in 0..4 {
            assert_eq!(table.get(9, &[1, key]), Some([10 + key]));
        }
        table.put(9, &[1, 4], &[14]);
        assert_eq!(table.get(9, &[1, 4]), Some([14]));
        assert_eq!((0..4).filter(|key| table.get(9, &[1, *key]).is_some()).count(), 3);
    }

    #[test]
    fn a_reader_never_sees_words_of_two_writers() {
        let table = SeqTable::<1, 8>::new(4);
        std::thread::scope(|scope| {
            for writer in 0..2u64 {
                let table = &table;
                scope.spawn(move || {
                    for round in 0..100_000 {
                        let key = round % 6;
                        table.put(0, &[key], &[key << 32 | writer << 31 | round; 8]);
                    }
                });
            }
            for _ in 0..2 {
                scope.spawn(|| {
                    for round in 0..200_000u64 {
                        let key = round % 6;
                        if let Some(value) = table.get(0, &[key]) {
                            assert_eq!(value, [value[0]; 8]);
                            assert_eq!(value[0] >> 32, key);
                        }
                    }
                });
            }
        });
    }
}
