//! What the shards of a mount remember of names and attributes, each for all of them. Nothing here is believed without
//! its stamp and the foreign epoch (see `stamps.rs`): both are noted before the store is read, and compared at each use.
//!
//! Of the trash and its hours nothing is remembered: things come into them that nobody names, so no stamp is raised for it.

use crate::limits::{CACHED_ATTRIBUTES_MAX, CACHED_ENTRIES_MAX};
use crate::seq_table::SeqTable;
use crate::stamps::name_hash;
use shoal_types::{Attributes, FileKind, Ino, InodeFlags, Name, Timestamp};

pub(crate) struct NameCache {
    /// Parent, length of the name, its bytes → inode (0: there is no such name), stamp, epoch.
    entries: SeqTable<{ 2 + NAME_WORDS }, 3>,
    /// Inode → `to_words`, stamp, epoch.
    attributes: SeqTable<1, { ATTRIBUTE_WORDS + 2 }>,
}

/// The state of the world that a cached value belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    pub stamp: u64,
    /// `None` from an engine that can't tell whether others have changed anything: nothing is cached then.
    pub epoch: Option<u64>,
}

/// What a name is known to stand for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Entry {
    Inode(Ino),
    Missing,
}

/// Longer names are not cached. A slot of either table is about 128 bytes.
const NAME_WORDS: usize = 10;
const NAME_BYTES_MAX: usize = NAME_WORDS * 8;
const ATTRIBUTE_WORDS: usize = 11;
/// No inode has this number.
const MISSING: u64 = 0;

impl NameCache {
    pub fn new() -> Self {
        NameCache { entries: SeqTable::new(CACHED_ENTRIES_MAX), attributes: SeqTable::new(CACHED_ATTRIBUTES_MAX) }
    }

    pub fn entry(&self, parent: Ino, name: &Name, seen: Seen) -> Option<Entry> {
        let [ino, stamp, epoch] = self.entries.get(name_hash(parent, name), &entry_key(parent, name)?)?;
        (seen == Seen { stamp, epoch: Some(epoch) }).then_some(match ino {
            MISSING => Entry::Missing,
            ino => Entry::Inode(Ino(ino)),
        })
    }

    pub fn put_entry(&self, parent: Ino, name: &Name, entry: Entry, seen: Seen) {
        if parent.is_trash() {
            return;
        }
        let (Some(epoch), Some(key)) = (seen.epoch, entry_key(parent, name)) else { return };
        let ino = match entry {
            Entry::Missing => MISSING,
            Entry::Inode(ino) => ino.0,
        };
        self.entries.put(name_hash(parent, name), &key, &[ino, seen.stamp, epoch]);
    }

    pub fn attributes(&self, ino: Ino, seen: Seen) -> Option<Attributes> {
        let [attributes @ .., stamp, epoch] = self.attributes.get(ino.mix(), &[ino.0])?;
        if seen != (Seen { stamp, epoch: Some(epoch) }) {
            return None;
        }
        from_words(ino, &attributes)
    }

    /// The kind of an inode never changes, so any memory of it will do.
    pub fn kind(&self, ino: Ino) -> Option<FileKind> {
        let words = self.attributes.get(ino.mix(), &[ino.0])?;
        FileKind::from_u8(words[0] as u8)
    }

    pub fn put_attributes(&self, attributes: &Attributes, seen: Seen) {
        if attributes.ino.is_trash() {
            return;
        }
        let Some(epoch) = seen.epoch else { return };
        let mut words = [0; ATTRIBUTE_WORDS + 2];
        words[..ATTRIBUTE_WORDS].copy_from_slice(&to_words(attributes));
        words[ATTRIBUTE_WORDS..].copy_from_slice(&[seen.stamp, epoch]);
        self.attributes.put(attributes.ino.mix(), &[attributes.ino.0], &words);
    }
}

fn entry_key(parent: Ino, name: &Name) -> Option<[u64; 2 + NAME_WORDS]> {
    let bytes = name.as_bytes();
    let mut padded = [0; NAME_BYTES_MAX];
    padded.get_mut(..bytes.len())?.copy_from_slice(bytes);
    let mut key = [0; 2 + NAME_WORDS];
    (key[0], key[1]) = (parent.0, bytes.len() as u64);
    for (word, bytes) in key[2..].iter_mut().zip(padded.as_chunks::<8>().0) {
        *word = u64::from_ne_bytes(*bytes);
    }
    Some(key)
}

fn to_words(attributes: &Attributes) -> [u64; ATTRIBUTE_WORDS] {
    let Attributes { ino: _, kind, flags, mode, uid, gid, rdev, nlink, length, allocated, atime, mtime, ctime, btime } =
        *attributes;
    let seconds = |time: Timestamp| time.seconds.cast_unsigned();
    let nanos = |first: Timestamp, second: Timestamp| pair(first.nanoseconds, second.nanoseconds);
    [
        kind as u64 | u64::from(mode) << 8 | u64::from(flags.0) << 32,
        pair(uid, gid),
        pair(rdev, nlink),
        length,
        allocated,
        seconds(atime),
        seconds(mtime),
        seconds(ctime),
        seconds(btime),
        nanos(atime, mtime),
        nanos(ctime, btime),
    ]
}

fn from_words(ino: Ino, words: &[u64; ATTRIBUTE_WORDS]) -> Option<Attributes> {
    let [kind_mode_flags, owner, device_and_links, length, allocated, atime, mtime, ctime, btime, nanos, more_nanos] =
        *words;
    let time = |seconds: u64, nanoseconds| Timestamp::new(seconds.cast_signed(), nanoseconds);
    Some(Attributes {
        ino,
        kind: FileKind::from_u8(kind_mode_flags as u8)?,
        flags: InodeFlags(second(kind_mode_flags)),
        mode: (kind_mode_flags >> 8) as u16,
        uid: first(owner),
        gid: second(owner),
        rdev: first(device_and_links),
        nlink: second(device_and_links),
        length,
        allocated,
        atime: time(atime, first(nanos)),
        mtime: time(mtime, second(nanos)),
        ctime: time(ctime, first(more_nanos)),
        btime: time(btime, second(more_nanos)),
    })
}

fn pair(first: u32, second: u32) -> u64 {
    u64::from(first) | u64::from(second) << 32
}

fn first(pair: u64) -> u32 {
    pair as u32
}

fn second(pair: u64) -> u32 {
    (pair >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_believed_only_in_the_world_it_was_read_in() {
        let cache = NameCache::new();
        let name = Name::new(b"a").unwrap();
        let seen = Seen { stamp: 1, epoch: Some(1) };
        for entry in [Entry::Inode(Ino(7)), Entry::Missing] {
            cache.put_entry(Ino(1), &name, entry, seen);
            assert_eq!(cache.entry(Ino(1), &name, seen), Some(entry));
            assert_eq!(cache.entry(Ino(1), &name, Seen { stamp: 2, ..seen }), None);
            assert_eq!(cache.entry(Ino(1), &name, Seen { epoch: Some(2), ..seen }), None);
        }
        let blind = Seen { stamp: 1, epoch: None };
        cache.put_entry(Ino(1), &name, Entry::Missing, blind);
        assert_eq!(cache.entry(Ino(1), &name, blind), None);
    }

    #[test]
    fn names_are_compared_whole_and_long_ones_left_out() {
        let cache = NameCache::new();
        let seen = Seen { stamp: 1, epoch: Some(1) };
        for length in [1, 7, 8, 9, 79, 80, 81, 255] {
            let name = Name::new(&vec![b'x'; length]).unwrap();
            cache.put_entry(Ino(1), &name, Entry::Inode(Ino(length as u64)), seen);
            let cached = (length <= NAME_BYTES_MAX).then_some(Entry::Inode(Ino(length as u64)));
            assert_eq!(cache.entry(Ino(1), &name, seen), cached);
            assert_eq!(cache.entry(Ino(2), &name, seen), None);
        }
    }

    #[test]
    fn every_attribute_comes_back() {
        let cache = NameCache::new();
        let seen = Seen { stamp: 3, epoch: Some(4) };
        let attributes = Attributes {
            ino: Ino(5),
            kind: FileKind::BlockDevice,
            flags: InodeFlags(u32::MAX - 5),
            mode: 0o7531,
            uid: u32::MAX,
            gid: 6,
            rdev: 0x8001,
            nlink: 9,
            length: u64::MAX - 1,
            allocated: 1 << 40,
            atime: Timestamp::new(-1, 999_999_999),
            mtime: Timestamp::new(i64::MAX, 1),
            ctime: Timestamp::new(2, 3),
            btime: Timestamp::new(0, 0),
        };
        cache.put_attributes(&attributes, seen);
        assert_eq!(cache.attributes(Ino(5), seen), Some(attributes));
        assert_eq!(cache.attributes(Ino(5), Seen { stamp: 4, ..seen }), None);
        assert_eq!((cache.kind(Ino(5)), cache.kind(Ino(6))), (Some(FileKind::BlockDevice), None));
    }
}
