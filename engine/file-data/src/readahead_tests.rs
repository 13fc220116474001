//! Claims about readahead.

use super::*;
use proptest::prelude::*;

const MIB: u64 = 1 << 20;
const MAX: u64 = 32 * MIB;

/// How much was fetched ahead, checked to be in order and without repetition.
fn fetched(ahead: &[Range<u64>]) -> u64 {
    assert!(ahead.windows(2).all(|pair| pair[0].end <= pair[1].start), "{ahead:?}");
    ahead.iter().map(|range| range.end - range.start).sum()
}

#[test]
fn the_first_read_fetches_nothing_and_the_second_a_mebibyte() {
    let mut readahead = Readahead::new(MAX);
    assert_eq!(readahead.on_read(0, 4096), None);
    assert!(!readahead.is_sequential());
    assert_eq!(readahead.on_read(4096, 4096), Some(8192..8192 + MIB));
    assert!(readahead.is_sequential());
}

#[test]
fn a_stream_is_fetched_once_and_ever_further_ahead_up_to_the_bound() {
    let mut readahead = Readahead::new(MAX);
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
    let mut readahead = Readahead::new(MAX);
    let mut place = 1u64;
    for _ in 0..1000 {
        place = place.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        assert_eq!(readahead.on_read((place >> 20) / 4096 * 4096, 4096), None);
    }
}

#[test]
fn a_jump_begins_small_again() {
    let mut readahead = Readahead::new(MAX);
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
    let mut readahead = Readahead::new(MAX);
    let mut ahead = vec![Vec::new(); 4];
    for request in 0..64 {
        for (reader, ahead) in ahead.iter_mut().enumerate() {
            ahead.extend(readahead.on_read(((reader as u64) << 32) | (request * MIB), MIB));
        }
    }
    for reader in ahead {
        assert!(fetched(&reader) >= 64 * MIB);
    }
}

#[test]
fn zero_turns_it_off_but_streams_are_still_told_apart() {
    let mut readahead = Readahead::new(0);
    assert_eq!(readahead.on_read(0, MIB), None);
    assert_eq!(readahead.on_read(MIB, MIB), None);
    assert!(readahead.is_sequential());
}

#[test]
fn offsets_at_the_end_of_everything_do_no_harm() {
    let mut readahead = Readahead::new(u64::MAX);
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
        let mut readahead = Readahead::new(MAX);
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
        let mut readahead = Readahead::new(MAX);
        let (mut at, mut ahead) = (0, Vec::new());
        for length in lengths {
            ahead.extend(readahead.on_read(at, length));
            at += length;
        }
        prop_assert!(fetched(&ahead) >= at.saturating_sub(6 * MIB));
    }
}
