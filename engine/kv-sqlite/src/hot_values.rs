//! Small values that the writer has read, kept over groups: the records of busy folders, their counters, the settings.
//!
//! Holds committed values only, and only as long as no one else commits: the writer clears it when SQLite tells it of a
//! foreign commit, and folds its own groups in after each commit. Absence is not kept: a create looks for its own new
//! name, and nobody asks for that twice.

use crate::limits::{HOT_VALUE_BYTES_MAX, HOT_VALUES_MAX};
use shoal_kv::{Effect, WriteSet};
use std::collections::BTreeMap;

#[derive(Default)]
pub(crate) struct HotValues {
    values: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl HotValues {
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.values.get(key).map(Vec::as_slice)
    }

    pub fn insert(&mut self, key: &[u8], value: &[u8]) {
        if value.len() > HOT_VALUE_BYTES_MAX {
            return;
        }
        // What is hot comes back at once; no bookkeeping for order of use.
        if self.values.len() >= HOT_VALUES_MAX {
            self.values.clear();
        }
        self.values.insert(key.to_vec(), value.to_vec());
    }

    pub fn clear(&mut self) {
        self.values.clear();
    }

    /// Follows a group that has been committed.
    pub fn follow(&mut self, writes: WriteSet) {
        if self.values.is_empty() {
            return;
        }
        for (start, end) in writes.cleared.iter() {
            self.values.extract_if(start.to_vec()..end.to_vec(), |_, _| true).for_each(drop);
        }
        for (key, effect) in writes.effects {
            match effect {
                Effect::Put(value) if value.len() <= HOT_VALUE_BYTES_MAX => {
                    if let Some(known) = self.values.get_mut(&key) {
                        *known = value;
                    }
                }
                _ => drop(self.values.remove(&key)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_kv::{KeyRange, WriteBuffer};

    #[test]
    fn committed_writes_replace_and_remove_what_was_known() {
        let mut hot = HotValues::default();
        for key in [b"a", b"b", b"c", b"d"] {
            hot.insert(key, b"old");
        }
        let mut buffer = WriteBuffer::default();
        buffer.put(b"a", b"new");
        buffer.delete(b"b");
        buffer.delete_range(&KeyRange::prefix(b"c")).unwrap();
        buffer.put(b"d", &[0; HOT_VALUE_BYTES_MAX + 1]);
        buffer.put(b"e", b"never read");
        hot.follow(buffer.into_parts());
        assert_eq!(hot.get(b"a"), Some(b"new".as_slice()));
        assert!([b"b", b"c", b"d", b"e"].iter().all(|key| hot.get(*key).is_none()));
    }

    #[test]
    fn the_bounds_hold() {
        let mut hot = HotValues::default();
        hot.insert(b"large", &[0; HOT_VALUE_BYTES_MAX + 1]);
        assert_eq!(hot.get(b"large"), None);
        for number in 0..2 * HOT_VALUES_MAX {
            hot.insert(&number.to_be_bytes(), b"");
            assert!(hot.values.len() <= HOT_VALUES_MAX);
        }
    }
}
