//! A bounded map that forgets what has not been used lately: two generations, no lists, no per-entry bookkeeping.
//!
//! New and re-used entries live in the young generation; when it is full it becomes the old one and the former old one
//! is dropped. Holds at most twice `capacity` entries.

use std::collections::HashMap;
use std::hash::Hash;

pub(crate) struct RecentMap<K, V> {
    capacity: usize,
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Hash + Eq + Clone, V: Clone> RecentMap<K, V> {
    pub fn new(capacity: usize) -> Self {
        assert!(capacity > 0, "a cache of nothing is no cache");
        RecentMap { capacity, young: HashMap::new(), old: HashMap::new() }
    }

    pub fn get(&mut self, key: &K) -> Option<V> {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = self.old.remove_entry(key)?;
        self.insert(key, value.clone());
        Some(value)
    }

    pub fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.capacity {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_entries_survive_and_the_size_is_bounded() {
        let mut map = RecentMap::new(100);
        map.insert(u64::MAX, 0);
        for key in 0..10_000u64 {
            map.insert(key, key);
            assert_eq!(map.get(&u64::MAX), Some(0));
            assert!(map.young.len() + map.old.len() <= 200);
        }
        assert_eq!(map.get(&1), None);
    }
}
