//! Any bytes as stored objects: what the fuzz target checks, in short.

// A failed unwrap in a test is a failed test, which is what it is for.
#![allow(clippy::unwrap_used)]

#[path = "../../../ci/fuzz/checks/objects.rs"]
mod checks;

use bytes::Bytes;
use checks::ID;
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_an_object_or_refused(bytes in vec(any::<u8>(), 0..400)) {
        checks::whole(&bytes);
        checks::part(&bytes);
    }

    /// Bytes of few values, so that some objects are compressed.
    #[test]
    fn a_damaged_object_is_refused(
        plain in vec(0u8..4, 1..400),
        at in any::<usize>(),
        flip in 1u8..,
        end in any::<usize>(),
        range in any::<[u8; 8]>(),
    ) {
        for format in checks::formats() {
            let stored = format.encode(ID, &[Bytes::from(plain.clone())]).concat();
            let read = format.decode_whole(ID, Bytes::from(stored.clone())).unwrap();
            prop_assert_eq!(read.concat(), &plain[..]);
            let mut damaged = stored.clone();
            damaged[at % stored.len()] ^= flip;
            let length = (plain.len() as u32 - 1).to_le_bytes();
            for bytes in [&stored[..], &stored[..end % stored.len()], &damaged] {
                checks::whole(bytes);
                checks::part(&[&length, &range[..], bytes].concat());
            }
            prop_assert!(format.decode_whole(ID, Bytes::from(damaged)).is_err());
        }
    }
}
