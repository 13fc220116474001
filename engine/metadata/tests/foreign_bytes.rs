//! Any bytes as keys and values: what the fuzz targets check, in short.

#[path = "../../../ci/fuzz/checks/metadata.rs"]
mod checks;

use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_a_record_or_refused(kind in 0..checks::RECORDS, format in 0u8..4, rest in vec(any::<u8>(), 0..200)) {
        checks::record(kind, &rest);
        checks::record(kind, &[&[format], &rest[..]].concat());
    }

    #[test]
    fn any_bytes_are_a_key_or_refused(tag in "[Vbcfklmnopqsuwz]", rest in vec(any::<u8>(), 0..40)) {
        checks::key(&rest);
        checks::key(&[tag.as_bytes(), &rest].concat());
    }

    /// What most keys are made of: small numbers in eight bytes, with marks between them.
    #[test]
    fn likely_bytes_are_a_key_or_refused(tag in "[nqs]", parts in vec((0u64..300, 0u8..=0x7f, 0usize..10), 0..4)) {
        let part = |(number, mark, length): (u64, u8, usize)| [&number.to_be_bytes()[..], &vec![mark; length]].concat();
        checks::key(&[tag.into_bytes(), parts.into_iter().flat_map(part).collect()].concat());
    }
}
