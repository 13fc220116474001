//! A store that asks a second time for what is late, and takes the answer that comes first.
//!
//! Services answer most reads soon and a few very late. A read that takes longer than nearly all of its size did so far is
//! asked for once more. Only reads: they change nothing. At most one in twenty, but for a small reserve: when all answers
//! are late, a second question makes them later.

use crate::budget::Budget;
use crate::store::forward_the_rest;
use crate::{BoxFuture, Figures, ObjectStore, StoreResult};
use bytes::Bytes;
use futures_util::future::{Either, select};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

pub struct HedgedStore {
    inner: Arc<dyn ObjectStore>,
    small: Latency,
    large: Latency,
    budget: Budget,
    asked_twice: AtomicU64,
}

/// What all but one in twenty stayed below, as an estimate that follows what it is told.
struct Latency {
    /// 0: nothing is known yet.
    late_us: AtomicU64,
}

const SMALL_BYTES_MAX: u64 = 256 << 10;
const HEDGES_PER_SUCCESS: f64 = 0.05;
const HEDGES_RESERVE: u32 = 10;
/// What an unknown store is given.
const LATE_FIRST: Duration = Duration::from_secs(1);
/// Sooner than this it is not worth a request.
const LATE_MIN: Duration = Duration::from_millis(20);

impl HedgedStore {
    pub fn new(inner: Arc<dyn ObjectStore>) -> Self {
        let budget = Budget::new(HEDGES_PER_SUCCESS, HEDGES_RESERVE, 0);
        HedgedStore { inner, small: Latency::new(), large: Latency::new(), budget, asked_twice: AtomicU64::new(0) }
    }

    pub fn asked_twice(&self) -> u64 {
        self.asked_twice.load(Ordering::Relaxed)
    }

    async fn first<'a>(
        &'a self,
        latency: &Latency,
        ask: impl Fn() -> BoxFuture<'a, StoreResult<Bytes>>,
    ) -> StoreResult<Bytes> {
        let begun = Instant::now();
        let late = Box::pin(tokio::time::sleep(latency.late()));
        let got = match select(ask(), late).await {
            Either::Left((got, _)) => got,
            Either::Right((_, first)) if self.budget.take() => {
                self.asked_twice.fetch_add(1, Ordering::Relaxed);
                match select(first, ask()).await {
                    Either::Left((Err(_), other)) | Either::Right((Err(_), other)) => other.await,
                    Either::Left((got, _)) | Either::Right((got, _)) => got,
                }
            }
            Either::Right((_, first)) => first.await,
        };
        if got.is_ok() {
            latency.learn(begun.elapsed());
            self.budget.earn();
        }
        got
    }
}

impl Latency {
    fn new() -> Self {
        Latency { late_us: AtomicU64::new(0) }
    }

    fn late(&self) -> Duration {
        match self.late_us.load(Ordering::Relaxed) {
            0 => LATE_FIRST,
            late => Duration::from_micros(late).max(LATE_MIN),
        }
    }

    /// One step towards the sample: up steps are nineteen times as long, so they meet where one in twenty is above.
    fn learn(&self, took: Duration) {
        let took = took.as_micros() as u64;
        let step = |late: u64| match late {
            0 => Some(took * 4 + 1),
            late if took > late => Some(late + late / 20 * 19 / 20 + 19),
            late => Some(late - late / 400),
        };
        let _ = self.late_us.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step);
    }
}

impl ObjectStore for HedgedStore {
    fn put<'a>(&'a self, key: &'a str, segments: Vec<Bytes>) -> BoxFuture<'a, StoreResult<()>> {
        self.inner.put(key, segments)
    }

    fn get<'a>(&'a self, key: &'a str, range: Range<u64>) -> BoxFuture<'a, StoreResult<Bytes>> {
        let bytes = range.end.saturating_sub(range.start);
        let latency = if bytes <= SMALL_BYTES_MAX { &self.small } else { &self.large };
        Box::pin(self.first(latency, move || self.inner.get(key, range.clone())))
    }

    fn get_whole<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Bytes>> {
        Box::pin(self.first(&self.large, move || self.inner.get_whole(key)))
    }

    forward_the_rest!();

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        self.inner.delete(key)
    }

    fn figures(&self) -> Option<Figures> {
        self.inner.figures()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Subject;
    use crate::{FaultyStore, OpendalStore};

    crate::contract_tests!(Subject::new(Arc::new(HedgedStore::new(Arc::new(OpendalStore::memory().unwrap())))));

    /// Time stands still but where somebody waits, so what takes long here is counted and not waited for.
    fn paused<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(work)
    }

    fn over_slow(share: f64) -> (Arc<FaultyStore>, HedgedStore) {
        let memory = Arc::new(OpendalStore::memory().unwrap());
        let slow = Arc::new(FaultyStore::new(memory, 0.0, 3).with_slow_answers(share, Duration::from_secs(5)));
        (slow.clone(), HedgedStore::new(slow))
    }

    #[test]
    fn a_read_that_is_late_is_asked_for_once_more_and_the_first_answer_counts() {
        paused(async {
            let (slow, store) = over_slow(0.03);
            slow.put("v/1", vec![Bytes::from_static(b"x")]).await.unwrap();
            let begun = Instant::now();
            for _ in 0..2000 {
                assert_eq!(store.get("v/1", 0..1).await.unwrap(), "x");
            }
            let injected = slow.injected();
            assert!(injected.slow_answers > 30, "{injected:?}");
            assert!(store.asked_twice() >= 30 && injected.requests <= 2000 * 106 / 100, "{injected:?}");
            let each = begun.elapsed() / injected.slow_answers as u32;
            assert!(each < Duration::from_millis(700), "a late answer costs {each:?} of 5 s");
        });
    }

    #[test]
    fn where_all_answers_are_late_hardly_any_is_asked_for_twice() {
        paused(async {
            let (slow, store) = over_slow(1.0);
            slow.put("v/1", vec![Bytes::from_static(b"x")]).await.unwrap();
            for _ in 0..500 {
                assert_eq!(store.get("v/1", 0..1).await.unwrap(), "x");
            }
            assert!(store.asked_twice() <= 500 / 20 + u64::from(HEDGES_RESERVE), "{}", store.asked_twice());
        });
    }
}
