//! Whatever has happened to a dump, it is read as it was or refused.

use crate::checks;
use crate::sample::sample;
use crate::{all, bytes_of_hex, dump};
use proptest::collection::vec;
use proptest::prelude::*;
use shoal_kv::{Pair, Snapshot};

#[test]
fn every_cut_and_every_changed_byte_is_noticed() {
    let sample = sample();
    let bytes = dump(sample.volume.metadata.kv().as_ref());
    assert_eq!(checks::read(&bytes), Ok(all(sample.volume.metadata.kv().as_ref())));
    for end in 0..bytes.len() {
        assert!(checks::read(&bytes[..end]).is_err(), "cut at {end} of {}", bytes.len());
    }
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(checks::read(&damaged).is_err(), "a bit of byte {at}");
    }
    assert!(checks::read(&[bytes.as_slice(), &[0]].concat()).is_err());
    assert!(checks::read(&[bytes.as_slice(), &bytes].concat()).is_err());
}

/// As format 1 was written when it was new: it is read for ever.
#[test]
fn the_first_format_is_read() {
    let bytes = bytes_of_hex(GOLDEN);
    let pair = |key: &[u8], value: &[u8]| (key.to_vec(), value.to_vec());
    let expected = [pair(b"V", b"settings"), pair(b"a", &[b'x'; 100]), pair(b"b", b"")];
    assert_eq!(checks::read(&bytes), Ok(expected.to_vec()));
    let mut again = Vec::new();
    let mut reader = shoal_metadata_dump::DumpReader::open(bytes.as_slice()).unwrap();
    let header = reader.header().clone();
    shoal_metadata_dump::write(&mut reader, &header, &mut again, &mut |_| {}).unwrap();
    assert_eq!(checks::read(&again), Ok(expected.to_vec()));
    assert_eq!(header, crate::header());
}

/// Pairs that somebody made up.
struct Given(Vec<Pair>);

impl Snapshot for Given {
    fn next(&mut self) -> shoal_kv::KvResult<Vec<Pair>> {
        Ok(std::mem::take(&mut self.0))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_a_dump_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        checks::any(&bytes);
        checks::any(&[b"shoaldmp\x01\0\0\0", &bytes[..]].concat());
        checks::any(&[b"shoaldms\x01\0\0\0", &bytes[..]].concat());
    }

    #[test]
    fn any_pairs_come_back(
        pairs in proptest::collection::btree_map(vec(any::<u8>(), 1..50), vec(0u8..4, 0..3000), 0..300),
        at in any::<usize>(),
        flip in 1u8..,
    ) {
        let pairs: Vec<Pair> = pairs.into_iter().collect();
        let mut bytes = Vec::new();
        shoal_metadata_dump::write(&mut Given(pairs.clone()), &crate::header(), &mut bytes, &mut |_| {}).unwrap();
        prop_assert_eq!(checks::read(&bytes), Ok(pairs));
        let at = at % bytes.len();
        bytes[at] ^= flip;
        prop_assert!(checks::read(&bytes).is_err());
        checks::any(&bytes[at..]);
    }
}

const GOLDEN: &str = "
    73686f616c646d70010000002f0000000104746573742430303030303030302d303030302d303030302d303030302d3030303030303030
    303030310e000130eb1474eb0103000000810000002d00000028b52ffd2081250100f00100080000005673657474696e67730100640000
    006178010000000000620100410a9aa6cf56a402010000000000000003000000000000008100000000000000d9d1f70e
";
