//! Reads at equal distances: a column of a table, every n-th record, a file from its end to its beginning.
//!
//! Four reads of one length, each as far from the one before and nothing read between them, make a stride. From then on
//! the reads to come are known, and are fetched ahead as a stream's are, by a window that doubles.

use crate::readahead::{Ahead, next_window};
use std::collections::VecDeque;

#[derive(Clone, Debug, Default)]
pub(crate) struct Strides {
    /// Reads of late, the last one last.
    recent: VecDeque<Read>,
    /// The one used last stands last.
    known: Vec<Stride>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Read {
    offset: u64,
    length: u64,
}

#[derive(Clone, Debug)]
struct Stride {
    length: u64,
    /// Negative for who reads backwards.
    step: i64,
    /// Where the next read is expected; `None`: it would be before the beginning.
    next: Option<u64>,
    /// How many of the reads to come have been fetched ahead.
    fetched: u64,
    window: u64,
}

/// A read that belongs to a stride.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct StrideRead {
    /// Bytes from one read of the stride to the next.
    pub between: u64,
    /// What to fetch now.
    pub ahead: Option<Ahead>,
}

impl Strides {
    /// Takes note of a read. `None`: it belongs to no stride.
    pub fn on_read(&mut self, offset: u64, length: u64, window_bytes_max: u64) -> Option<StrideRead> {
        let read = Read { offset, length };
        let known = self.known.iter().enumerate().rev();
        let known = known.filter_map(|(at, stride)| Some((at, stride.reads_until(read)?))).next();
        let (mut stride, passed) = match known {
            Some((at, passed)) => (self.known.remove(at), passed),
            None => {
                let begun = self.begin(read);
                self.remember(read);
                (begun?, 1)
            }
        };
        let between = stride.step.unsigned_abs().saturating_sub(stride.length);
        let ahead = stride.advance(passed, window_bytes_max);
        if self.known.len() == STRIDES_MAX {
            self.known.remove(0);
        }
        self.known.push(stride);
        Some(StrideRead { between, ahead })
    }

    fn remember(&mut self, read: Read) {
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(read);
    }

    /// The stride that `read` is the fourth of, expecting `read` itself.
    fn begin(&self, read: Read) -> Option<Stride> {
        let length = read.length;
        let alike = self.recent.iter().rev().filter(|other| other.length == length);
        let step = alike.map(|other| read.offset.wrapping_sub(other.offset).cast_signed()).find(|step| {
            // Forwards and without gaps it would be a stream.
            let apart = step.unsigned_abs() > length || *step == -length.cast_signed();
            apart && self.has_three_before(read, *step)
        })?;
        Some(Stride { length, step, next: Some(read.offset), fetched: 0, window: 0 })
    }

    /// And has seen nothing else on the way from them.
    fn has_three_before(&self, read: Read, step: i64) -> bool {
        let before = |reads: i64| step.checked_mul(reads).and_then(|distance| read.offset.checked_sub_signed(distance));
        let seen = |reads| {
            let expected = before(reads).map(|offset| Read { offset, length: read.length });
            expected.is_some_and(|expected| self.recent.contains(&expected))
        };
        let Some(first) = before(3).filter(|_| (1..=3).all(seen)) else { return false };
        let way = first.min(read.offset)..=first.max(read.offset);
        self.recent.iter().filter(|other| way.contains(&other.offset)).count() == 3
    }
}

impl Stride {
    /// How many of the expected reads this one makes past; those before it may be late, or left out. 0: it's a late one.
    fn reads_until(&self, read: Read) -> Option<u64> {
        let distance = read.offset.wrapping_sub(self.next?).cast_signed();
        let reads = distance.checked_div(self.step).filter(|reads| reads * self.step == distance)?;
        let near = (-READS_IN_FLIGHT..READS_IN_FLIGHT).contains(&reads);
        (near && read.length <= self.length).then(|| (reads + 1).max(0).unsigned_abs())
    }

    fn advance(&mut self, passed: u64, window_bytes_max: u64) -> Option<Ahead> {
        let distance = self.step.checked_mul(passed.cast_signed());
        self.next = self.next.zip(distance).and_then(|(next, distance)| next.checked_add_signed(distance));
        self.fetched = self.fetched.saturating_sub(passed);
        let reads = |window: u64| (window / self.length.max(1)).clamp(1, READS_AHEAD_MAX);
        // Half a window is left to read while the next one is on its way.
        if window_bytes_max == 0 || (self.window > 0 && self.fetched > reads(self.window) / 2) {
            return None;
        }
        self.window = next_window(self.window, window_bytes_max);
        let wanted = reads(self.window);
        let start = self.next?.checked_add_signed(self.step.checked_mul(self.fetched.cast_signed())?)?;
        let ahead =
            Ahead { first: start..start.checked_add(self.length)?, step: self.step, count: wanted - self.fetched };
        self.fetched = wanted;
        Some(ahead)
    }
}

const RECENT_MAX: usize = 8;
const STRIDES_MAX: usize = 4;
/// Reads of one stride that may overtake each other.
const READS_IN_FLIGHT: i64 = 8;
/// Each is a request of its own.
const READS_AHEAD_MAX: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const WINDOW: u64 = 32 << 20;

    /// The offsets that were fetched ahead, each before it was read and none twice, but for the first four reads.
    fn fetched_ahead(offsets: &[u64], length: u64) -> usize {
        let (mut strides, mut fetched, mut hits) = (Strides::default(), BTreeSet::new(), 0);
        for offset in offsets {
            hits += usize::from(fetched.contains(offset));
            if let Some(ahead) = strides.on_read(*offset, length, WINDOW).and_then(|read| read.ahead) {
                for range in ahead.ranges() {
                    assert_eq!(range.end - range.start, length);
                    assert!(fetched.insert(range.start), "{range:?} was fetched before");
                }
            }
        }
        hits
    }

    #[test]
    fn every_read_from_the_fifth_on_has_been_fetched_ahead() {
        for (step, length) in [(1 << 20, 65_536), (3 << 20, 4096), (65_536 + 8, 65_536)] {
            let forwards: Vec<u64> = (0..500).map(|number| number * step + 12_345).collect();
            assert_eq!(fetched_ahead(&forwards, length), 496, "{step} {length}");
            let backwards: Vec<u64> = forwards.into_iter().rev().collect();
            assert_eq!(fetched_ahead(&backwards, length), 496, "{step} {length} backwards");
        }
        let to_the_beginning: Vec<u64> = (0..500).rev().map(|number| number * 4096).collect();
        assert_eq!(fetched_ahead(&to_the_beginning, 4096), 496);
    }

    #[test]
    fn the_window_grows_to_its_bound_and_never_before_the_beginning_of_the_file() {
        let mut strides = Strides::default();
        let mut counts = Vec::new();
        for number in (0..200u64).rev() {
            if let Some(ahead) = strides.on_read(number << 20, 1 << 18, 8 << 20).and_then(|read| read.ahead) {
                assert!(ahead.ranges().all(|range| range.start < number << 20));
                counts.push(ahead.count);
            }
        }
        assert_eq!(counts[..3], [4, 6, 12], "{counts:?}");
        assert!(counts.iter().sum::<u64>() >= 196, "{counts:?}");
    }

    #[test]
    fn two_readers_with_strides_of_their_own_are_both_followed() {
        let both: Vec<u64> = (0..400u64).flat_map(|number| [number << 20, (1 << 40) + (number << 22)]).collect();
        assert!(fetched_ahead(&both, 4096) >= 780);
    }

    #[test]
    fn requests_that_overtake_each_other_do_not_end_a_stride() {
        let swapped: Vec<u64> =
            (0..400u64).map(|number| (if number < 8 { number } else { number ^ 1 }) << 20).collect();
        assert!(fetched_ahead(&swapped, 4096) >= 380);
    }

    #[test]
    fn a_stream_out_of_order_and_random_reads_are_no_strides() {
        let mut strides = Strides::default();
        for number in 0..1000u64 {
            let jumbled = number ^ 1;
            assert_eq!(strides.on_read(jumbled * 131_072, 131_072, WINDOW), None, "{number}");
        }
        let mut place = 1u64;
        for _ in 0..10_000 {
            place = place.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            assert_eq!(strides.on_read((place >> 24) / 4096 * 4096, 4096, WINDOW), None);
        }
    }
}
