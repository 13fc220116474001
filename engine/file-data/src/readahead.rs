//! What to fetch ahead of a reader.
//!
//! Knows several streams through one open file, so that threads which each read a part of it in order are seen as what
//! they are. A stream tolerates that its requests arrive out of order, as they do when several are in flight. Fetching
//! ahead begins with the second request in order, with 1 MiB, and doubles up to the bound. Reads that fit no stream may
//! make a stride; others fetch nothing ahead.

use crate::strides::Strides;
use shoal_types::BLOCK_BYTES;
use std::ops::Range;

#[derive(Clone, Debug)]
pub struct Readahead {
    window_bytes_max: u64,
    /// A stream is worth fetching ahead from this request on.
    requests_min: u32,
    /// The one used last stands last.
    streams: Vec<Stream>,
    strides: Strides,
    sequential: bool,
}

/// What to fetch ahead: `count` ranges, each `step` bytes behind the one before (before it, if negative). They may reach
/// beyond the end of the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ahead {
    pub(crate) first: Range<u64>,
    pub(crate) step: i64,
    pub(crate) count: u64,
}

impl Ahead {
    fn one(range: Range<u64>) -> Self {
        Ahead { first: range, step: 0, count: 1 }
    }

    pub fn ranges(&self) -> impl Iterator<Item = Range<u64>> + use<> {
        let (Range { start, end }, step) = (self.first.clone(), self.step);
        (0..self.count).map_while(move |number| {
            let distance = step.checked_mul(number.cast_signed())?;
            Some(start.checked_add_signed(distance)?..end.checked_add_signed(distance)?)
        })
    }

    /// One range in the place of several, with what lies between them.
    fn bridged(self) -> Self {
        Self::one(self.ranges().reduce(|a, b| a.start.min(b.start)..a.end.max(b.end)).unwrap_or(0..0))
    }
}

/// One reader that goes forward.
#[derive(Clone, Debug)]
struct Stream {
    start: u64,
    /// The end of what it has asked for.
    front: u64,
    /// Bytes it has asked for since `start`; what is missing up to `front` is still in flight, or skipped.
    asked: u64,
    /// Largest request so far: the measure of how far apart requests in flight may be.
    request_bytes_max: u64,
    window: u64,
    /// The end of what has been fetched ahead.
    fetched: u64,
    requests: u32,
}

impl Readahead {
    /// `window_bytes_max` 0 turns fetching ahead off.
    pub fn new(window_bytes_max: u64) -> Self {
        let (streams, strides) = (Vec::new(), Strides::default());
        Readahead { window_bytes_max, requests_min: REQUESTS_MIN, streams, strides, sequential: false }
    }

    /// One that waits for so many requests in order, and few left out between them, where some are so by chance.
    pub fn after_requests(self, requests_min: u32) -> Self {
        Readahead { requests_min, ..self }
    }

    /// Takes note of a read; gives what to fetch ahead now, if anything. Ranges at most `gap` bytes apart are fetched as
    /// one, with what lies between.
    pub fn on_read(&mut self, offset: u64, length: u64, gap: u64) -> Option<Ahead> {
        let end = offset.saturating_add(length);
        let known = self.streams.iter().rposition(|stream| stream.continues_with(offset, end));
        self.sequential = known.is_some();
        let Some(known) = known else {
            if self.streams.len() == STREAMS_MAX {
                self.streams.remove(0);
            }
            self.streams.push(Stream::new(offset, end));
            let read = self.strides.on_read(offset, length, self.window_bytes_max)?;
            self.sequential = read.between <= gap;
            return read.ahead.map(|ahead| if self.sequential { ahead.bridged() } else { ahead });
        };
        let mut stream = self.streams.remove(known);
        let ahead = stream.advance(offset, end, self.window_bytes_max, self.requests_min);
        self.streams.push(stream);
        ahead.map(Ahead::one)
    }

    /// The last read was part of a stream, or of a stride with little between its reads: what is around will be read, too.
    pub fn is_sequential(&self) -> bool {
        self.sequential
    }
}

impl Stream {
    fn new(start: u64, front: u64) -> Self {
        let asked = front - start;
        Stream { start, front, asked, request_bytes_max: asked, window: 0, fetched: front, requests: 1 }
    }

    /// A read belongs here if it is near the front and the stream would not become full of gaps by it.
    fn continues_with(&self, offset: u64, end: u64) -> bool {
        let jitter = self.jitter();
        let near = offset >= self.front.saturating_sub(jitter) && offset <= self.front.saturating_add(jitter);
        let missing = self.front.max(end) - self.start.min(offset);
        near && missing.saturating_sub(self.asked).saturating_sub(end - offset) <= jitter
    }

    fn has_many_gaps(&self) -> bool {
        self.asked < (self.front - self.start) / 4 * 3
    }

    fn jitter(&self) -> u64 {
        self.request_bytes_max.saturating_mul(REQUESTS_IN_FLIGHT).min(JITTER_BYTES_MAX)
    }

    fn advance(&mut self, offset: u64, end: u64, window_bytes_max: u64, requests_min: u32) -> Option<Range<u64>> {
        self.requests = self.requests.saturating_add(1);
        self.start = self.start.min(offset);
        self.front = self.front.max(end);
        self.asked = self.asked.saturating_add(end - offset).min(self.front - self.start);
        self.request_bytes_max = self.request_bytes_max.max(end - offset);
        self.fetched = self.fetched.max(self.front);
        // Half a window is left to read while the next one is on its way; of a large one all but an object, so that as many
        // requests are under way as fit into it.
        let room_min = (self.window / 2).min(BLOCK_BYTES);
        let chance = self.requests < requests_min || (requests_min > REQUESTS_MIN && self.has_many_gaps());
        if window_bytes_max == 0 || chance || self.fetched - self.front > self.window - room_min {
            return None;
        }
        self.window = next_window(self.window, window_bytes_max);
        let ahead = self.fetched..self.front.saturating_add(self.window);
        self.fetched = self.fetched.max(ahead.end);
        (ahead.start < ahead.end).then_some(ahead)
    }
}

/// How far ahead a reader is followed after it has been by `window` bytes.
pub(crate) fn next_window(window: u64, bytes_max: u64) -> u64 {
    window.saturating_mul(2).max(WINDOW_BYTES_FIRST).min(bytes_max)
}

const STREAMS_MAX: usize = 8;
const REQUESTS_MIN: u32 = 2;
const WINDOW_BYTES_FIRST: u64 = 1 << 20;
/// Requests of one reader that may overtake each other.
const REQUESTS_IN_FLIGHT: u64 = 8;
const JITTER_BYTES_MAX: u64 = 8 << 20;

#[cfg(test)]
#[path = "readahead_tests.rs"]
mod tests;
