//! Where things of a volume stand among all keys of the cluster.
//!
//! ```text
//! shoal/PREFIX 00 00                      mark: there is a volume here
//! shoal/PREFIX 00 01 slot(8)              slot of a connection
//! shoal/PREFIX 00 02                      how long after its stamp a transaction may commit
//! shoal/PREFIX 00 03 key 00 01            value of a key; 00 bytes in the key are 00 ff
//! shoal/PREFIX 00 03 key 00 01 lane(1)    lane of a counter
//! ```
//!
//! So the lanes of a counter stand between it and the next key, and a range of keys is a range here.

use shoal_kv::KeyRange;

#[derive(Clone)]
pub(crate) struct Space {
    root: Vec<u8>,
}

/// What a key of ours is about.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Place {
    Value(Vec<u8>),
    Lane(Vec<u8>),
}

impl Space {
    pub fn new(prefix: &str) -> Self {
        Space { root: [ROOT, prefix.as_bytes(), &[0]].concat() }
    }

    pub fn mark(&self) -> Vec<u8> {
        [self.root.as_slice(), &[MARK]].concat()
    }

    pub fn slack(&self) -> Vec<u8> {
        [self.root.as_slice(), &[SLACK]].concat()
    }

    pub fn slot(&self, slot: u64) -> Vec<u8> {
        [self.root.as_slice(), &[SLOT], &slot.to_be_bytes()].concat()
    }

    pub fn value(&self, key: &[u8]) -> Vec<u8> {
        let mut place = Vec::with_capacity(self.root.len() + key.len() + 3);
        place.extend_from_slice(&self.root);
        place.push(VALUE);
        for byte in key {
            place.push(*byte);
            if *byte == 0 {
                place.push(0xff);
            }
        }
        place.extend_from_slice(&END);
        place
    }

    pub fn lane(&self, key: &[u8], lane: u8) -> Vec<u8> {
        let mut place = self.value(key);
        place.push(lane);
        place
    }

    /// Of the keys in a range, with their lanes.
    pub fn range(&self, range: &KeyRange) -> KeyRange {
        KeyRange { start: self.value(&range.start), end: self.value(&range.end) }
    }

    pub fn slots(&self) -> KeyRange {
        let area = |area: u8| [self.root.as_slice(), &[area]].concat();
        KeyRange { start: area(SLOT), end: area(SLACK) }
    }

    pub fn all_but_the_mark(&self) -> KeyRange {
        let area = |area: u8| [self.root.as_slice(), &[area]].concat();
        KeyRange { start: area(SLOT), end: area(VALUE + 1) }
    }

    /// `None` for what is no value's place and no lane's.
    pub fn parse(&self, place: &[u8]) -> Option<Place> {
        let mut rest = place.strip_prefix(self.root.as_slice())?.strip_prefix(&[VALUE])?;
        let mut key = Vec::with_capacity(rest.len());
        loop {
            match rest {
                [0, 1] => return Some(Place::Value(key)),
                [0, 1, _] => return Some(Place::Lane(key)),
                [0, 0xff, after @ ..] => {
                    key.push(0);
                    rest = after;
                }
                [byte @ 1..=0xff, after @ ..] => {
                    key.push(*byte);
                    rest = after;
                }
                _ => return None,
            }
        }
    }
}

/// The lanes of the value at this place.
pub(crate) fn lanes(value: &[u8]) -> KeyRange {
    let mut end = value.to_vec();
    *end.last_mut().expect("a place has an end") += 1;
    KeyRange { start: [value, &[0]].concat(), end }
}

/// As keys stand in the placement driver: groups of eight bytes, each followed by how many of them count.
pub(crate) fn encode_for_placement(key: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity((key.len() / GROUP + 1) * (GROUP + 1));
    for start in (0..=key.len()).step_by(GROUP) {
        let group = &key[start..key.len().min(start + GROUP)];
        encoded.extend_from_slice(group);
        encoded.resize(encoded.len() + GROUP - group.len(), 0);
        encoded.push(FULL - (GROUP - group.len()) as u8);
    }
    encoded
}

/// `None`: it is no such key.
pub(crate) fn decode_from_placement(encoded: &[u8]) -> Option<Vec<u8>> {
    let mut key = Vec::with_capacity(encoded.len());
    for group in encoded.chunks(GROUP + 1) {
        let (mark, bytes) = group.split_last().filter(|_| group.len() == GROUP + 1)?;
        let padding = usize::from(FULL - mark);
        key.extend_from_slice(bytes.get(..GROUP.checked_sub(padding)?)?);
    }
    Some(key)
}

const ROOT: &[u8] = b"shoal/";
const MARK: u8 = 0;
const SLOT: u8 = 1;
const SLACK: u8 = 2;
const VALUE: u8 = 3;
const END: [u8; 2] = [0, 1];
const GROUP: usize = 8;
const FULL: u8 = 0xff;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_stand_in_the_order_of_their_keys_and_lanes_behind_their_value() {
        let space = Space::new("v");
        let keys: [&[u8]; 9] = [b"\0", b"\0\0", b"\0\x01", b"\0\xff", b"\x01", b"a", b"a\0", b"a\0\0", b"a\x01"];
        let mut places = Vec::new();
        for key in keys {
            assert_eq!(space.parse(&space.value(key)), Some(Place::Value(key.to_vec())));
            assert_eq!(space.parse(&space.lane(key, 0xff)), Some(Place::Lane(key.to_vec())));
            assert!(lanes(&space.value(key)).contains(&space.lane(key, 0)));
            assert!(lanes(&space.value(key)).contains(&space.lane(key, 0xff)));
            assert!(!lanes(&space.value(key)).contains(&space.value(key)));
            places.extend([space.value(key), space.lane(key, 0), space.lane(key, 0xff)]);
        }
        assert!(places.is_sorted());
        assert!(places.iter().all(|place| space.all_but_the_mark().contains(place)));
        assert_eq!(space.parse(&space.slot(7)), None);
        assert!(space.slots().contains(&space.slot(7)) && !space.all_but_the_mark().contains(&space.mark()));
    }

    #[test]
    fn keys_of_the_placement_driver_are_read_back_and_in_order() {
        let keys: [&[u8]; 6] = [b"", b"a", b"a\0", b"abcdefgh", b"abcdefgh\0", b"abcdefghi"];
        let encoded: Vec<_> = keys.iter().map(|key| encode_for_placement(key)).collect();
        assert!(encoded.is_sorted());
        assert_eq!(encoded[3].len(), 18);
        for (key, encoded) in keys.iter().zip(&encoded) {
            assert_eq!(decode_from_placement(encoded).as_deref(), Some(*key));
        }
        assert_eq!(decode_from_placement(b"abc"), None);
        assert_eq!(decode_from_placement(b""), Some(Vec::new()));
    }
}
