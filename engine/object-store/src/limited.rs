//! A store that is used at a bounded rate: so many bytes a second up, so many down, and so many requests.
//!
//! Each rate holds by itself, and for all users of the store together. Retries and hedges below are not
//! counted: a fifth at most comes on top. The bytes of a read are counted before it where they are known, else after it.

use crate::store::forward_the_rest;
use crate::{BoxFuture, Figures, ObjectStore, StoreResult};
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

pub struct LimitedStore {
    inner: Arc<dyn ObjectStore>,
    up: Option<Rate>,
    down: Option<Rate>,
    requests: Option<Rate>,
}

/// The most in a second; `None` is no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rates {
    pub bytes_up: Option<u64>,
    pub bytes_down: Option<u64>,
    pub requests: Option<u64>,
}

/// Hands out time on a line: each transfer begins when those before it are through. Lock-free.
struct Rate {
    per_second: u64,
    since: Instant,
    /// From `since` on, when the line is free.
    free_at_ns: AtomicU64,
}

/// A line that was idle may catch up on so much.
const BURST: Duration = Duration::from_millis(100);

impl LimitedStore {
    pub fn new(inner: Arc<dyn ObjectStore>, rates: Rates) -> Self {
        let Rates { bytes_up, bytes_down, requests } = rates;
        let [up, down, requests] = [bytes_up, bytes_down, requests].map(|rate| rate.map(Rate::new));
        LimitedStore { inner, up, down, requests }
    }

    async fn wait(&self, bytes: Option<&Rate>, count: u64) {
        self.request().await;
        if let Some(rate) = bytes {
            rate.wait(count).await;
        }
    }

    async fn request(&self) {
        if let Some(rate) = &self.requests {
            rate.wait(1).await;
        }
    }
}

impl Rate {
    fn new(per_second: u64) -> Self {
        assert!(per_second > 0, "a rate lets something through");
        Rate { per_second, since: Instant::now(), free_at_ns: AtomicU64::new(0) }
    }

    async fn wait(&self, count: u64) {
        tokio::time::sleep_until(self.since + self.begin(count)).await;
    }

    /// When what counts for so much may begin.
    fn begin(&self, count: u64) -> Duration {
        let takes = u128::from(count) * 1_000_000_000 / u128::from(self.per_second);
        let idle_since = self.since.elapsed().saturating_sub(BURST).as_nanos() as u64;
        let next = |free_at: u64| Some(free_at.max(idle_since).saturating_add(takes as u64));
        let free_at = self.free_at_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        Duration::from_nanos(free_at.expect("there is always a next time").max(idle_since))
    }
}

impl ObjectStore for LimitedStore {
    fn put<'a>(&'a self, key: &'a str, segments: Vec<Bytes>) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            self.wait(self.up.as_ref(), segments.iter().map(|segment| segment.len() as u64).sum()).await;
            self.inner.put(key, segments).await
        })
    }

    fn get<'a>(&'a self, key: &'a str, range: Range<u64>) -> BoxFuture<'a, StoreResult<Bytes>> {
        Box::pin(async move {
            self.wait(self.down.as_ref(), range.end.saturating_sub(range.start)).await;
            self.inner.get(key, range).await
        })
    }

    fn get_whole<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Bytes>> {
        Box::pin(async move {
            self.wait(self.down.as_ref(), 0).await;
            let got = self.inner.get_whole(key).await?;
            if let Some(rate) = &self.down {
                rate.begin(got.len() as u64);
            }
            Ok(got)
        })
    }

    forward_the_rest!();

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            self.request().await;
            self.inner.delete(key).await
        })
    }

    fn figures(&self) -> Option<Figures> {
        self.inner.figures()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OpendalStore;
    use crate::contract::Subject;

    fn limited(up: u64, down: u64, requests: u64) -> LimitedStore {
        let rates = Rates { bytes_up: Some(up), bytes_down: Some(down), requests: Some(requests) };
        LimitedStore::new(Arc::new(OpendalStore::memory().unwrap()), rates)
    }

    crate::contract_tests!(Subject::new(Arc::new(limited(1 << 30, 1 << 30, 1 << 20))));

    #[test]
    fn many_transfers_together_keep_to_the_rate_of_their_direction() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let store = limited(1_000_000, 4_000_000, 1 << 30);
            let keys: Vec<String> = (0..40).map(|number| format!("v/{number}")).collect();
            let begun = Instant::now();
            futures_util::future::join_all(keys.iter().map(|key| store.put(key, vec![Bytes::from(vec![7; 100_000])])))
                .await;
            // The last one begins when those before it are through.
            let took = begun.elapsed();
            assert!((3_700..=3_950).contains(&took.as_millis()), "{took:?}");
            let begun = Instant::now();
            for key in &keys[..20] {
                store.get(key, 0..100_000).await.unwrap();
                store.get_whole(key).await.unwrap();
            }
            let took = begun.elapsed();
            assert!((800..=1_000).contains(&took.as_millis()), "{took:?}");
        });
    }

    #[test]
    fn requests_of_all_kinds_keep_to_their_rate() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let store = limited(1 << 40, 1 << 40, 100);
            let begun = Instant::now();
            for number in 0..50 {
                let key = format!("v/{number}");
                store.put(&key, vec![Bytes::from_static(b"x")]).await.unwrap();
                store.get(&key, 0..1).await.unwrap();
                store.get_whole(&key).await.unwrap();
                store.delete(&key).await.unwrap();
            }
            let took = begun.elapsed();
            assert!((1_850..=2_000).contains(&took.as_millis()), "{took:?}");
        });
    }
}
