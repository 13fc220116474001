//! Which names cannot be there: all a mount knows of directories it has made itself.
//!
//! Programs look for a name before they make it, and the store would have to be asked each time. But a directory made here
//! was empty then, and as long as no other mount commits anything, every name in it since is one that went through here.
//! Those are kept in one Bloom filter for all directories: two bits a name, set before the commit that makes it and never
//! taken back. A name whose bits are not both set is missing; any other has to be asked for.
//!
//! When too many names have been added the filter is emptied, and all directories known so far are forgotten with it: they
//! belong to its last generation. A generation's number is noted before a directory is made, so that the names in one
//! that counts were all added after the filter was emptied. While it's being emptied the number is odd, and nothing is
//! believed.

use crate::limits::{WHOLE_DIRECTORIES_MAX, WHOLE_FILTER_BITS, WHOLE_NAMES_MAX};
use crate::seq_table::SeqTable;
use crate::stamps::name_hash;
use shoal_types::{Ino, Name};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

pub(crate) struct WholeDirectories {
    /// Inode → foreign epoch and generation under which it's whole.
    directories: SeqTable<1, 2>,
    filter: Box<[AtomicU64]>,
    names: AtomicU64,
    generation: AtomicU64,
}

/// The state of the world before a directory is made.
#[derive(Clone, Copy)]
pub(crate) struct BeforeMaking {
    epoch: Option<u64>,
    generation: u64,
}

impl WholeDirectories {
    pub fn new() -> Self {
        WholeDirectories {
            directories: SeqTable::new(WHOLE_DIRECTORIES_MAX),
            filter: (0..WHOLE_FILTER_BITS / 64).map(|_| AtomicU64::new(0)).collect(),
            names: AtomicU64::new(0),
            generation: AtomicU64::new(0),
        }
    }

    pub fn before_making(&self, epoch: Option<u64>) -> BeforeMaking {
        BeforeMaking { epoch, generation: self.generation.load(SeqCst) }
    }

    /// A directory was made, after `before` was noted.
    pub fn put(&self, directory: Ino, before: BeforeMaking) {
        if let Some(epoch) = before.epoch {
            self.directories.put(directory.mix(), &[directory.0], &[epoch, before.generation]);
        }
    }

    /// The name may be there from now on. To be called before the operation that may make it is submitted.
    pub fn add(&self, parent: Ino, name: &Name) {
        let mut new = false;
        for (word, bit) in self.bits(parent, name) {
            if word.load(SeqCst) & bit == 0 {
                new |= word.fetch_or(bit, SeqCst) & bit == 0;
            }
        }
        if new && self.names.fetch_add(1, SeqCst) >= WHOLE_NAMES_MAX {
            self.empty();
        }
    }

    /// There is no such name, as long as the foreign epoch is this one.
    pub fn excludes(&self, parent: Ino, name: &Name, epoch: Option<u64>) -> bool {
        let generation = self.generation.load(SeqCst);
        let whole = epoch.is_some_and(|epoch| {
            generation.is_multiple_of(2) && self.directories.get(parent.mix(), &[parent.0]) == Some([epoch, generation])
        });
        let unset = |(word, bit): (&AtomicU64, u64)| word.load(SeqCst) & bit == 0;
        // The number is looked at again: a bit may be unset because it has just been taken back.
        whole && self.bits(parent, name).into_iter().any(unset) && self.generation.load(SeqCst) == generation
    }

    fn empty(&self) {
        let generation = self.generation.load(SeqCst);
        let next = generation + 1;
        if !generation.is_multiple_of(2) || self.generation.compare_exchange(generation, next, SeqCst, SeqCst).is_err()
        {
            return;
        }
        self.filter.iter().for_each(|word| word.store(0, SeqCst));
        self.names.store(0, SeqCst);
        self.generation.store(next + 1, SeqCst);
    }

    fn bits(&self, parent: Ino, name: &Name) -> [(&AtomicU64, u64); 2] {
        let hash = name_hash(parent, name);
        [hash, hash >> 32].map(|hash| {
            let bit = hash as usize % WHOLE_FILTER_BITS;
            (&self.filter[bit / 64], 1 << (bit % 64))
        })
    }
}

/// The halves of a hash are independent numbers of a bit.
const _: () = assert!(WHOLE_FILTER_BITS.is_power_of_two() && WHOLE_FILTER_BITS <= 1 << 32);

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u64) -> Name {
        Name::new(number.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_name_is_missing_only_if_it_was_never_added_to_a_directory_made_in_this_world() {
        let whole = WholeDirectories::new();
        let (made, other) = (Ino(7), Ino(8));
        whole.put(made, whole.before_making(Some(1)));
        for number in 0..1000 {
            assert!(whole.excludes(made, &name(number), Some(1)));
            whole.add(made, &name(number));
            assert!(!whole.excludes(made, &name(number), Some(1)));
        }
        assert!(!whole.excludes(made, &name(1000), Some(2)), "others have changed something since");
        assert!(!whole.excludes(made, &name(1000), None));
        assert!(!whole.excludes(other, &name(1000), Some(1)), "it was there before this mount");
        whole.put(other, whole.before_making(None));
        assert!(!whole.excludes(other, &name(1000), None));
    }

    #[test]
    fn a_full_filter_forgets_what_it_knew_and_serves_what_is_made_afterwards() {
        let whole = WholeDirectories::new();
        let (old, between, new) = (Ino(2), Ino(3), Ino(4));
        whole.put(old, whole.before_making(Some(1)));
        let (before, mut added) = (whole.before_making(Some(1)), 0);
        while whole.generation.load(SeqCst) == before.generation {
            whole.add(old, &name(added));
            added += 1;
        }
        assert!(!whole.excludes(old, &name(u64::MAX), Some(1)));
        whole.put(between, before);
        assert!(!whole.excludes(between, &name(0), Some(1)), "its names may have been taken back");
        whole.put(new, whole.before_making(Some(1)));
        assert!(whole.excludes(new, &name(0), Some(1)));
    }
}
