//! What one shard remembers of names and attributes. Nothing here is believed without its stamp and the foreign epoch
//! (see `stamps.rs`): both are noted before the store is read, and compared at each use.

use crate::limits::CACHED_ENTRIES_MAX;
use crate::recent_map::RecentMap;
use shoal_types::{Attributes, Ino, Name};
use std::cell::RefCell;

pub(crate) struct NameCache {
    entries: RefCell<RecentMap<(Ino, Name), Cached<Ino>>>,
    attributes: RefCell<RecentMap<Ino, Cached<Attributes>>>,
    opened: RefCell<RecentMap<Ino, u64>>,
}

/// The state of the world that a cached value belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    pub stamp: u64,
    /// `None` from an engine that can't tell whether others have changed anything: nothing is cached then.
    pub epoch: Option<u64>,
}

#[derive(Clone)]
struct Cached<T> {
    seen: Seen,
    value: T,
}

impl<T> Cached<T> {
    fn current(self, seen: Seen) -> Option<T> {
        (self.seen == seen).then_some(self.value)
    }
}

impl NameCache {
    pub fn new() -> Self {
        NameCache {
            entries: RefCell::new(RecentMap::new(CACHED_ENTRIES_MAX)),
            attributes: RefCell::new(RecentMap::new(CACHED_ENTRIES_MAX)),
            opened: RefCell::new(RecentMap::new(CACHED_ENTRIES_MAX)),
        }
    }

    pub fn entry(&self, parent: Ino, name: &Name, seen: Seen) -> Option<Ino> {
        self.entries.borrow_mut().get(&(parent, name.clone()))?.current(seen)
    }

    pub fn put_entry(&self, parent: Ino, name: &Name, ino: Ino, seen: Seen) {
        if seen.epoch.is_some() {
            self.entries.borrow_mut().insert((parent, name.clone()), Cached { seen, value: ino });
        }
    }

    pub fn attributes(&self, ino: Ino, seen: Seen) -> Option<Attributes> {
        self.attributes.borrow_mut().get(&ino)?.current(seen)
    }

    pub fn put_attributes(&self, attributes: &Attributes, seen: Seen) {
        if seen.epoch.is_some() {
            self.attributes.borrow_mut().insert(attributes.ino, Cached { seen, value: attributes.clone() });
        }
    }

    /// Takes note of an open; `true` when no other mount has changed anything since this shard last saw the file opened,
    /// so that pages which the kernel keeps since then are right.
    pub fn note_open(&self, ino: Ino, epoch: Option<u64>) -> bool {
        let Some(epoch) = epoch else { return false };
        let mut opened = self.opened.borrow_mut();
        let unchanged = opened.get(&ino) == Some(epoch);
        opened.insert(ino, epoch);
        unchanged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_kept_only_while_nobody_else_has_changed_anything() {
        let cache = NameCache::new();
        assert!(!cache.note_open(Ino(2), Some(5)));
        assert!(cache.note_open(Ino(2), Some(5)));
        assert!(!cache.note_open(Ino(2), Some(6)));
        assert!(!cache.note_open(Ino(2), None));
    }

    #[test]
    fn a_value_is_believed_only_in_the_world_it_was_read_in() {
        let cache = NameCache::new();
        let name = Name::new(b"a").unwrap();
        let seen = Seen { stamp: 1, epoch: Some(1) };
        cache.put_entry(Ino(1), &name, Ino(7), seen);
        assert_eq!(cache.entry(Ino(1), &name, seen), Some(Ino(7)));
        assert_eq!(cache.entry(Ino(1), &name, Seen { stamp: 2, ..seen }), None);
        assert_eq!(cache.entry(Ino(1), &name, Seen { epoch: Some(2), ..seen }), None);
        let blind = Seen { stamp: 1, epoch: None };
        cache.put_entry(Ino(1), &name, Ino(7), blind);
        assert_eq!(cache.entry(Ino(1), &name, blind), None);
    }
}
