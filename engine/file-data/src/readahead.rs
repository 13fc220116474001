//! What to fetch ahead of a reader.
//!
//! Knows several streams through one open file, so that threads which each read a part of it in order are seen as what
//! they are. A stream tolerates that its requests arrive out of order, as they do when several are in flight. Fetching
//! ahead begins with the second request in order, with 1 MiB, and doubles up to the bound; a read that fits no stream
//! fetches nothing ahead.

use std::ops::Range;

#[derive(Clone, Debug)]
pub struct Readahead {
    window_bytes_max: u64,
    /// The one used last stands last.
    streams: Vec<Stream>,
    sequential: bool,
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
}

impl Readahead {
    /// `window_bytes_max` 0 turns fetching ahead off.
    pub fn new(window_bytes_max: u64) -> Self {
        Readahead { window_bytes_max, streams: Vec::new(), sequential: false }
    }

    /// Takes note of a read; gives the range to fetch ahead now, if any. It may reach beyond the end of the file.
    pub fn on_read(&mut self, offset: u64, length: u64) -> Option<Range<u64>> {
        let end = offset.saturating_add(length);
        let known = self.streams.iter().rposition(|stream| stream.continues_with(offset, end));
        self.sequential = known.is_some();
        let Some(known) = known else {
            if self.streams.len() == STREAMS_MAX {
                self.streams.remove(0);
            }
            self.streams.push(Stream::new(offset, end));
            return None;
        };
        let mut stream = self.streams.remove(known);
        let ahead = stream.advance(offset, end, self.window_bytes_max);
        self.streams.push(stream);
        ahead
    }

    /// The last read was part of a stream.
    pub fn is_sequential(&self) -> bool {
        self.sequential
    }
}

impl Stream {
    fn new(start: u64, front: u64) -> Self {
        let asked = front - start;
        Stream { start, front, asked, request_bytes_max: asked, window: 0, fetched: front }
    }

    /// A read belongs here if it is near the front and the stream would not become full of gaps by it.
    fn continues_with(&self, offset: u64, end: u64) -> bool {
        let jitter = self.jitter();
        let near = offset >= self.front.saturating_sub(jitter) && offset <= self.front.saturating_add(jitter);
        let missing = self.front.max(end) - self.start.min(offset);
        near && missing.saturating_sub(self.asked).saturating_sub(end - offset) <= jitter
    }

    fn jitter(&self) -> u64 {
        self.request_bytes_max.saturating_mul(REQUESTS_IN_FLIGHT).min(JITTER_BYTES_MAX)
    }

    fn advance(&mut self, offset: u64, end: u64, window_bytes_max: u64) -> Option<Range<u64>> {
        self.start = self.start.min(offset);
        self.front = self.front.max(end);
        self.asked = self.asked.saturating_add(end - offset).min(self.front - self.start);
        self.request_bytes_max = self.request_bytes_max.max(end - offset);
        self.fetched = self.fetched.max(self.front);
        // Half a window is left to read while the next one is on its way.
        if window_bytes_max == 0 || self.fetched - self.front > self.window / 2 {
            return None;
        }
        self.window = self.window.saturating_mul(2).max(WINDOW_BYTES_FIRST).min(window_bytes_max);
        let ahead = self.fetched..self.front.saturating_add(self.window);
        self.fetched = self.fetched.max(ahead.end);
        (ahead.start < ahead.end).then_some(ahead)
    }
}

const STREAMS_MAX: usize = 8;
const WINDOW_BYTES_FIRST: u64 = 1 << 20;
/// Requests of one reader that may overtake each other.
const REQUESTS_IN_FLIGHT: u64 = 8;
const JITTER_BYTES_MAX: u64 = 8 << 20;

#[cfg(test)]
#[path = "readahead_tests.rs"]
mod tests;
