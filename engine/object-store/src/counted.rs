//! A store that counts what it is asked and how long that takes.

use crate::store::forward_the_rest;
use crate::{BoxFuture, ObjectStore, StoreError, StoreResult};
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::Instant;

pub struct CountedStore {
    inner: Arc<dyn ObjectStore>,
    counters: Arc<StoreCounters>,
}

/// Several ways to one store may count together.
#[derive(Default)]
pub struct StoreCounters([Counters; KINDS]);

/// Requests of one kind; lock-free.
#[derive(Default)]
struct Counters {
    requests: AtomicU64,
    failed: AtomicU64,
    given_up: AtomicU64,
    bytes: AtomicU64,
    /// By the binary logarithm of the microseconds they took.
    took: [AtomicU64; TIMES],
}

/// What a store has been asked so far, failed tries and second questions included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    pub put: KindFigures,
    /// Of whole objects and of ranges.
    pub get: KindFigures,
    pub delete: KindFigures,
    /// How many requests are let through at once now, where that adapts.
    pub at_once: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KindFigures {
    pub requests: u64,
    /// By an error; that an object is not there, or is there already, is none.
    pub failed: u64,
    /// They took too long, or the same was asked once more and answered sooner.
    pub given_up: u64,
    /// Of those that were answered.
    pub bytes: u64,
    /// Half of them took less than this, and 99 of 100 less than that: microseconds, rounded up to a power of two.
    pub half_within_us: u64,
    pub most_within_us: u64,
}

#[derive(Clone, Copy)]
enum Kind {
    Put,
    Get,
    Delete,
}

const KINDS: usize = 3;
const TIMES: usize = 32;

impl CountedStore {
    pub fn new(inner: Arc<dyn ObjectStore>, counters: Arc<StoreCounters>) -> Self {
        CountedStore { inner, counters }
    }

    async fn count<T>(
        &self,
        kind: Kind,
        request: impl Future<Output = StoreResult<T>>,
        bytes: impl FnOnce(&T) -> u64,
    ) -> StoreResult<T> {
        let mut under_way = UnderWay::begin(&self.counters.0[kind as usize]);
        let result = request.await;
        under_way.ended = true;
        let counters = under_way.counters;
        match &result {
            Ok(answer) => counters.bytes.fetch_add(bytes(answer), Relaxed),
            Err(StoreError::NotFound(_) | StoreError::Exists(_)) => 0,
            Err(_) => counters.failed.fetch_add(1, Relaxed),
        };
        result
    }
}

struct UnderWay<'a> {
    counters: &'a Counters,
    begun: Instant,
    ended: bool,
}

impl<'a> UnderWay<'a> {
    fn begin(counters: &'a Counters) -> Self {
        counters.requests.fetch_add(1, Relaxed);
        UnderWay { counters, begun: Instant::now(), ended: false }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.counters.took[bucket(self.begun.elapsed())].fetch_add(1, Relaxed);
        self.counters.given_up.fetch_add(u64::from(!self.ended), Relaxed);
    }
}

fn bucket(took: Duration) -> usize {
    (u64::BITS - (took.as_micros() as u64).leading_zeros()).min(TIMES as u32 - 1) as usize
}

impl Counters {
    fn figures(&self) -> KindFigures {
        let took = self.took.each_ref().map(|count| count.load(Relaxed));
        let all: u64 = took.iter().sum();
        let within = |share: f64| {
            let mut seen = 0;
            let enough = (all as f64 * share).ceil() as u64;
            let slowest = took.iter().position(|count| {
                seen += count;
                seen >= enough
            });
            slowest.filter(|_| all > 0).map_or(0, |bucket| 1 << bucket)
        };
        KindFigures {
            requests: self.requests.load(Relaxed),
            failed: self.failed.load(Relaxed),
            given_up: self.given_up.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            half_within_us: within(0.5),
            most_within_us: within(0.99),
        }
    }
}

impl ObjectStore for CountedStore {
    fn put<'a>(&'a self, key: &'a str, segments: Vec<Bytes>) -> BoxFuture<'a, StoreResult<()>> {
        let bytes = segments.iter().map(|segment| segment.len() as u64).sum();
        Box::pin(self.count(Kind::Put, self.inner.put(key, segments), move |()| bytes))
    }

    fn get<'a>(&'a self, key: &'a str, range: Range<u64>) -> BoxFuture<'a, StoreResult<Bytes>> {
        Box::pin(self.count(Kind::Get, self.inner.get(key, range), |bytes| bytes.len() as u64))
    }

    fn get_whole<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Bytes>> {
        Box::pin(self.count(Kind::Get, self.inner.get_whole(key), |bytes| bytes.len() as u64))
    }

    forward_the_rest!();

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(self.count(Kind::Delete, self.inner.delete(key), |()| 0))
    }

    fn figures(&self) -> Option<Figures> {
        let [put, get, delete] = self.counters.0.each_ref().map(Counters::figures);
        Some(Figures { put, get, delete, at_once: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Subject;
    use crate::{FaultyStore, LimitedStore, OpendalStore, Rates};

    fn counted(inner: impl ObjectStore) -> CountedStore {
        CountedStore::new(Arc::new(inner), Arc::default())
    }

    crate::contract_tests!(Subject::new(Arc::new(counted(OpendalStore::memory().unwrap()))));

    #[tokio::test]
    async fn requests_bytes_and_failures_are_counted_by_kind() {
        let store = counted(OpendalStore::memory().unwrap());
        store.put("v/a", vec![Bytes::from_static(b"abc"), Bytes::from_static(b"de")]).await.unwrap();
        store.get("v/a", 1..3).await.unwrap();
        store.get_whole("v/a").await.unwrap();
        store.get_whole("v/b").await.unwrap_err();
        store.delete("v/a").await.unwrap();
        let Figures { put, get, delete, at_once } = store.figures().unwrap();
        assert_eq!((put.requests, put.bytes, put.failed), (1, 5, 0));
        assert_eq!((get.requests, get.bytes, get.failed), (3, 7, 0), "that there is no such object is an answer");
        assert_eq!((delete.requests, delete.bytes, at_once), (1, 0, None));
        let down = counted(FaultyStore::new(Arc::new(OpendalStore::memory().unwrap()), 1.0, 1));
        let failed = futures_util::future::join_all((0..50).map(|_| down.delete("v/a"))).await;
        let failed = failed.iter().filter(|result| !matches!(result, Ok(()) | Err(StoreError::NotFound(_)))).count();
        assert_eq!(down.figures().unwrap().delete.failed, failed as u64);
        assert!(failed > 0);
        let slow = counted(LimitedStore::new(
            Arc::new(OpendalStore::memory().unwrap()),
            Rates { requests: Some(1), ..Rates::default() },
        ));
        slow.put("v/a", Vec::new()).await.unwrap();
        tokio::time::timeout(Duration::from_millis(1), slow.delete("v/a")).await.unwrap_err();
        let figures = slow.figures().unwrap().delete;
        assert_eq!((figures.requests, figures.failed, figures.given_up), (1, 0, 1));
    }

    #[test]
    fn times_are_told_as_bounds_that_half_and_nearly_all_stay_below() {
        let counters = Counters::default();
        assert_eq!(counters.figures().half_within_us, 0, "nothing was asked");
        for (requests, took) in [(60, 900), (39, 3_000), (1, 500_000)] {
            counters.took[bucket(Duration::from_micros(took))].fetch_add(requests, Relaxed);
        }
        let figures = counters.figures();
        assert_eq!((figures.half_within_us, figures.most_within_us), (1024, 4096));
        assert_eq!(bucket(Duration::from_secs(1 << 20)), TIMES - 1);
    }
}
