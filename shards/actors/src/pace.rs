//! How fast the object store answers: whether bytes between two reads are better fetched along with them.
//!
//! A request takes some time whatever its size, and more for each byte. Small reads tell the first, large ones the second;
//! both are averages that follow what they are told.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

#[derive(Default)]
pub(crate) struct Pace {
    /// A request by itself, in nanoseconds. 0: nothing is known yet.
    request_ns: AtomicU64,
    /// A mebibyte. 0: nothing is known yet.
    mebibyte_ns: AtomicU64,
}

impl Pace {
    pub fn note(&self, bytes: u64, took: Duration) {
        let took = took.as_nanos() as u64;
        let (request, mebibyte) = (self.request_ns.load(Relaxed), self.mebibyte_ns.load(Relaxed));
        if bytes <= SMALL_BYTES_MAX {
            follow(&self.request_ns, took.saturating_sub(mebibyte.saturating_mul(bytes) / MEBIBYTE));
        } else if bytes >= MEBIBYTE {
            follow(&self.mebibyte_ns, took.saturating_sub(request).saturating_mul(MEBIBYTE) / bytes);
        }
    }

    /// The bytes that come in the time of a request, within bounds: a gap so wide costs no more than a second request.
    pub fn gap_bytes(&self) -> u64 {
        match (self.request_ns.load(Relaxed), self.mebibyte_ns.load(Relaxed)) {
            (0, _) | (_, 0) => GAP_BYTES_MIN,
            (request, mebibyte) => (request.saturating_mul(MEBIBYTE) / mebibyte).clamp(GAP_BYTES_MIN, GAP_BYTES_MAX),
        }
    }

    /// A request takes a millisecond or more, by itself as far as that is known.
    pub fn is_far(&self) -> bool {
        let known = [&self.request_ns, &self.mebibyte_ns].map(|average| average.load(Relaxed));
        known.into_iter().find(|average| *average > 0).is_some_and(|average| average >= FAR_NS_MIN)
    }
}

/// Eight reads are remembered, so to say; of two that end at once one may be lost.
fn follow(average: &AtomicU64, sample: u64) {
    let sample = sample.max(1);
    let old = average.load(Relaxed);
    let new = if old == 0 { sample } else { old - old / 8 + sample / 8 };
    average.store(new.max(1), Relaxed);
}

const MEBIBYTE: u64 = 1 << 20;
const SMALL_BYTES_MAX: u64 = 256 << 10;
/// A frame: less than that is never fetched.
const GAP_BYTES_MIN: u64 = 128 << 10;
const GAP_BYTES_MAX: u64 = 4 << 20;
const FAR_NS_MIN: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn after(request: Duration, mebibyte: Duration) -> u64 {
        let pace = Pace::default();
        for _ in 0..100 {
            pace.note(128 << 10, request + mebibyte / 8);
            pace.note(4 << 20, request + mebibyte * 4);
        }
        pace.gap_bytes()
    }

    #[test]
    fn a_gap_is_as_wide_as_what_comes_in_the_time_of_a_request() {
        let far = after(Duration::from_millis(20), Duration::from_millis(10));
        assert!((1_900_000..2_300_000).contains(&far), "{far}");
        assert_eq!(after(Duration::from_micros(50), Duration::from_millis(1)), GAP_BYTES_MIN);
        assert_eq!(after(Duration::from_secs(1), Duration::from_millis(1)), GAP_BYTES_MAX);
    }

    #[test]
    fn a_store_that_becomes_slower_is_believed() {
        let pace = Pace::default();
        let tell = |request| {
            for _ in 0..100 {
                pace.note(4096, request);
                pace.note(1 << 20, request + Duration::from_millis(10));
            }
            pace.gap_bytes()
        };
        let (near, far) = (tell(Duration::from_millis(2)), tell(Duration::from_millis(30)));
        assert!(far > 10 * near, "{near} {far}");
    }

    #[test]
    fn a_store_is_far_if_small_reads_take_long_and_otherwise_if_large_ones_do() {
        let pace = Pace::default();
        assert!(!pace.is_far(), "nothing is assumed of a store that was not asked");
        assert_eq!(pace.gap_bytes(), GAP_BYTES_MIN);
        pace.note(1 << 20, Duration::from_millis(5));
        assert!(pace.is_far());
        pace.note(4096, Duration::from_micros(100));
        assert!(!pace.is_far());
        (0..100).for_each(|_| pace.note(4096, Duration::from_millis(2)));
        assert!(pace.is_far());
    }
}
