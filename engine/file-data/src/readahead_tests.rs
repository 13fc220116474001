//! Claims about readahead.

use super::*;
use proptest::prelude::*;

const MIB: u64 = 1 << 20;
const MAX: u64 = 32 * MIB;

/// `Readahead` where every gap costs a request of its own, and so what it fetches ahead of a stream is one range.
struct Streams(Readahead);

impl Streams {
    fn new(window_bytes_max: u64) -> Self {
        Streams(Readahead::new(window_bytes_max))
    }

    fn on_read(&mut self, offset: u64, length: u64) -> Option<Range<u64>> {
        let ahead = self.0.on_read(offset, length, 0)?;
        assert_eq!(ahead.count, 1, "no stride is expected here");
        ahead.ranges().next()
    }

    fn is_sequential(&self) -> bool {
        self.0.is_sequential()
    }
}

/// How much was fetched ahead, checked to be in order and without repetition.
fn fetched(ahead: &[Range<u64>]) -> u64 {
    assert!(ahead.windows(2).all(|pair| pair[0].end <= pair[1].start), "{ahead:?}");
    ahead.iter().map(|range| range.end - range.start).sum()
}

#[test]
fn the_first_read_fetches_nothing_and_the_second_a_mebibyte() {
    let mut readahead = Streams::new(MAX);
    assert_eq!(readahead.on_read(0, 4096), None);
    assert!(!readahead.is_sequential());
    assert_eq!(readahead.on_read(4096, 4096), Some(8192..8192 + MIB));
    assert!(readahead.is_sequential());
}

#[test]
fn a_stream_is_fetched_once_and_ever_further_ahead_up_to_the_bound() {
    let mut readahead = Streams::new(MAX);
    let mut ahead = Vec::new();
    let mut far_max = 0;
    for request in 0..1000u64 {
        ahead.extend(readahead.on_read(request * MIB / 8, MIB / 8));
        let end = ahead.last().map_or(0, |range: &Range<u64>| range.end);
        if request > 0 {
            assert!(end > (request + 1) * MIB / 8, "something is always on its way");
        }
        far_max = far_max.max(end.saturating_sub((request + 1) * MIB / 8));
    }
    assert_eq!(far_max, MAX);
    assert!(fetched(&ahead) >= 1000 * MIB / 8);
    assert!(ahead.windows(2).all(|pair| pair[0].end == pair[1].start), "{ahead:?}");
}

#[test]
fn random_reads_fetch_nothing_ahead() {
    let mut readahead = Streams::new(MAX);
    let mut place = 1u64;
    for _ in 0..1000 {
        place = place.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        assert_eq!(readahead.on_read((place >> 20) / 4096 * 4096, 4096), None);
    }
}

#[test]
fn a_jump_begins_small_again() {
    let mut readahead = Streams::new(MAX);
    for request in 0..100 {
        readahead.on_read(request * MIB, MIB);
    }
    let far = 1 << 40;
    assert_eq!(readahead.on_read(far, MIB), None);
    assert!(!readahead.is_sequential());
    assert_eq!(readahead.on_read(far + MIB, MIB), Some(far + 2 * MIB..far + 3 * MIB));
}

#[test]
fn readers_of_several_parts_are_each_followed() {
    let mut readahead = Streams::new(MAX);
    let mut ahead = vec![Vec::new(); 4];
    for request in 0..64 {
        for (reader, ahead) in ahead.iter_mut().enumerate() {
            ahead.extend(readahead.on_read((((reader * reader) as u64) << 32) | (request * MIB), MIB));
        }
    }
    for reader in ahead {
        assert!(fetched(&reader) >= 64 * MIB);
    }
}

#[test]
fn a_stride_is_fetched_read_by_read_unless_little_lies_between() {
    let (length, step) = (65_536, MIB);
    for gap in [0, step - length - 1, step - length] {
        let mut readahead = Readahead::new(MAX);
        let bridges = gap == step - length;
        let mut ranges = Vec::new();
        for number in 0..100 {
            let ahead = readahead.on_read(number * step, length, gap);
            ranges.extend(ahead.iter().flat_map(Ahead::ranges));
            assert_eq!(readahead.is_sequential(), bridges && number >= 3);
        }
        match bridges {
            false => assert!(ranges.iter().all(|range| range.start % step == 0 && range.end % step == length)),
            true => assert!(fetched(&ranges) >= 96 * step, "{ranges:?}"),
        }
        assert!(ranges.iter().any(|range| range.start > 110 * step), "{ranges:?}");
    }
}

#[test]
fn a_patient_one_waits_for_more_requests_in_order() {
    let mut readahead = Readahead::new(MAX).after_requests(4);
    for number in 0..3 {
        assert_eq!(readahead.on_read(number * MIB, MIB, 0), None);
    }
    let ahead = readahead.on_read(3 * MIB, MIB, 0).and_then(|ahead| ahead.ranges().next());
    assert_eq!(ahead, Some(4 * MIB..5 * MIB));
    for number in 0..20 {
        assert_eq!(readahead.on_read((100 + 2 * number) * MIB, MIB, 0), None, "half of it is left out");
    }
}

#[test]
fn zero_turns_it_off_but_streams_are_still_told_apart() {
    let mut readahead = Streams::new(0);
    assert_eq!(readahead.on_read(0, MIB), None);
    assert_eq!(readahead.on_read(MIB, MIB), None);
    assert!(readahead.is_sequential());
}

#[test]
fn offsets_at_the_end_of_everything_do_no_harm() {
    let mut readahead = Streams::new(u64::MAX);
    for _ in 0..3 {
        readahead.on_read(u64::MAX - 4096, 4096);
        readahead.on_read(u64::MAX - 4096, u64::MAX);
    }
    for _ in 0..3 {
        readahead.on_read(0, u64::MAX);
        readahead.on_read(u64::MAX, u64::MAX);
    }
    assert!(readahead.is_sequential());
}

proptest! {
    #[test]
    fn requests_that_overtake_each_other_are_one_stream(order in proptest::collection::vec(0usize..6, 300)) {
        // Six requests of 1 MiB are in flight; any of them may arrive next.
        let mut flight: Vec<u64> = (0..6).collect();
        let mut readahead = Streams::new(MAX);
        let mut ahead = Vec::new();
        for (next, choice) in (6..).zip(order) {
            // Nobody waits for ever: the oldest is overtaken by six others at most.
            let oldest = *flight.iter().min().expect("six are in flight");
            let overdue = flight.iter().position(|at| *at == oldest && oldest + 6 < next);
            let request = std::mem::replace(&mut flight[overdue.unwrap_or(choice)], next);
            ahead.extend(readahead.on_read(request * MIB, MIB));
            prop_assert!(next == 6 || readahead.is_sequential(), "request {} when {} came in", request, next);
        }
        prop_assert!(fetched(&ahead) >= 250 * MIB);
    }

    #[test]
    fn no_byte_of_a_single_stream_is_fetched_ahead_twice(lengths in proptest::collection::vec(1u64..3 * MIB, 2..100)) {
        let mut readahead = Streams::new(MAX);
        let (mut at, mut ahead) = (0, Vec::new());
        for length in lengths {
            ahead.extend(readahead.on_read(at, length));
            at += length;
        }
        prop_assert!(fetched(&ahead) >= at.saturating_sub(6 * MIB));
    }
}
