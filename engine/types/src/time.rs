//! Wall-clock time as files carry it. Time always arrives as an argument; nothing here reads a clock.

use serde::{Deserialize, Serialize};

/// Seconds and nanoseconds since the Unix epoch; `nanoseconds < 1_000_000_000` always, also before 1970.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Timestamp {
    pub seconds: i64,
    pub nanoseconds: u32,
}

impl Timestamp {
    pub const ZERO: Timestamp = Timestamp { seconds: 0, nanoseconds: 0 };

    pub fn new(seconds: i64, nanoseconds: u32) -> Self {
        assert!(nanoseconds < 1_000_000_000, "nanoseconds carry into seconds before they get here");
        Timestamp { seconds, nanoseconds }
    }

    /// Nanoseconds since the epoch, clamped to `0..=u64::MAX`: the form that MAX accumulators compare.
    pub fn as_nanos(self) -> u64 {
        if self.seconds < 0 {
            return 0;
        }
        (self.seconds as u64).saturating_mul(1_000_000_000).saturating_add(u64::from(self.nanoseconds))
    }

    pub fn from_nanos(nanos: u64) -> Self {
        Timestamp { seconds: (nanos / 1_000_000_000) as i64, nanoseconds: (nanos % 1_000_000_000) as u32 }
    }
}
