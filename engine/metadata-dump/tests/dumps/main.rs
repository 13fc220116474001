//! Dumps and loads, on volumes in memory and in SQLite.

// A failed unwrap in a test is a failed test, which is what it is for.
#![allow(clippy::unwrap_used)]

#[path = "../../../../ci/fuzz/checks/dump.rs"]
mod checks;
mod damage;
mod round_trip;
mod sealed;
// The volumes of the tests of the metadata itself.
#[allow(dead_code)]
#[path = "../../../metadata/tests/data/sample.rs"]
mod sample;
#[allow(dead_code)]
#[path = "../../../metadata/tests/data/support.rs"]
mod support;

use shoal_kv::{Kv, Pair};
use shoal_metadata_dump::{Header, write};
use shoal_types::Timestamp;

pub fn header() -> Header {
    Header {
        schema: 1,
        name: "test".into(),
        uuid: "00000000-0000-0000-0000-000000000001".into(),
        made_at: Timestamp::new(7, 0),
        program: "0".into(),
    }
}

pub fn dump(kv: &dyn Kv) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(kv.snapshot().unwrap().as_mut(), &header(), &mut bytes, &mut |_| {}).unwrap();
    bytes
}

pub fn bytes_of_hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

pub fn all(kv: &dyn Kv) -> Vec<Pair> {
    let mut snapshot = kv.snapshot().unwrap();
    let mut found = Vec::new();
    loop {
        match snapshot.next().unwrap() {
            pairs if pairs.is_empty() => return found,
            pairs => found.extend(pairs),
        }
    }
}
