//! A store that fails on purpose: errors before an operation and after it took effect, and short delays.
//!
//! What failed after it took effect is what a time-out looks like: the caller cannot know. One seed gives one sequence
//! of choices (which operation gets which depends on their order). Answers are never falsified, unless damaged reads
//! are asked for by name.

use crate::chance::Chance;
use crate::{BoxFuture, ListedObject, ObjectStore, StoreError, StoreResult};
use bytes::{Bytes, BytesMut};
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub struct FaultyStore {
    inner: Arc<dyn ObjectStore>,
    chance: Chance,
    error_rate: f64,
    damage_rate: f64,
    before: AtomicU64,
    after: AtomicU64,
    delayed: AtomicU64,
    damaged: AtomicU64,
}

/// How often which fault was injected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Injected {
    pub errors_before: u64,
    pub errors_after: u64,
    pub delays: u64,
    pub damaged_reads: u64,
}

/// When an operation that was chosen to fail does so.
#[derive(Clone, Copy, PartialEq)]
enum Failing {
    Never,
    Before,
    After,
}

const DELAY_US_MAX: u64 = 5_000;

impl FaultyStore {
    /// Each operation fails with probability `rate`, half of them after they took effect; as many are delayed.
    pub fn new(inner: Arc<dyn ObjectStore>, rate: f64, seed: u64) -> Self {
        assert!((0.0..=1.0).contains(&rate), "a rate is a probability");
        FaultyStore {
            inner,
            chance: Chance::new(seed),
            error_rate: rate,
            damage_rate: 0.0,
            before: AtomicU64::new(0),
            after: AtomicU64::new(0),
            delayed: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
        }
    }

    /// Also falsifies the bytes of this share of reads: one bit turned, or the end cut off. For tests of checksums.
    pub fn with_damaged_reads(mut self, rate: f64) -> Self {
        assert!((0.0..=1.0).contains(&rate), "a rate is a probability");
        self.damage_rate = rate;
        self
    }

    pub fn injected(&self) -> Injected {
        Injected {
            errors_before: self.before.load(Ordering::Relaxed),
            errors_after: self.after.load(Ordering::Relaxed),
            delays: self.delayed.load(Ordering::Relaxed),
            damaged_reads: self.damaged.load(Ordering::Relaxed),
        }
    }

    fn choose(&self) -> Failing {
        match (self.chance.happens(self.error_rate), self.chance.happens(0.5)) {
            (false, _) => Failing::Never,
            (true, true) => Failing::Before,
            (true, false) => Failing::After,
        }
    }

    async fn run<T>(
        &self,
        failing: Failing,
        what: &str,
        operation: impl Future<Output = StoreResult<T>>,
    ) -> StoreResult<T> {
        if self.chance.happens(self.error_rate) {
            self.delayed.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_micros(self.chance.below(DELAY_US_MAX))).await;
        }
        if failing == Failing::Before {
            self.before.fetch_add(1, Ordering::Relaxed);
            return Err(StoreError::Unavailable(format!("{what}: refused by fault injection")));
        }
        let result = operation.await;
        // What went wrong by itself is told as it is.
        if failing == Failing::After && result.is_ok() {
            self.after.fetch_add(1, Ordering::Relaxed);
            return Err(StoreError::Unavailable(format!("{what}: no answer, by fault injection")));
        }
        result
    }

    fn damage(&self, content: Bytes) -> Bytes {
        if content.is_empty() || !self.chance.happens(self.damage_rate) {
            return content;
        }
        self.damaged.fetch_add(1, Ordering::Relaxed);
        let at = self.chance.below(content.len() as u64) as usize;
        if self.chance.happens(0.5) {
            return content.slice(..at);
        }
        let mut altered = BytesMut::from(content.as_ref());
        altered[at] ^= 1 << self.chance.below(8);
        altered.freeze()
    }
}

impl ObjectStore for FaultyStore {
    fn put<'a>(&'a self, key: &'a str, segments: Vec<Bytes>) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(self.run(self.choose(), key, self.inner.put(key, segments)))
    }

    fn get<'a>(&'a self, key: &'a str, range: Range<u64>) -> BoxFuture<'a, StoreResult<Bytes>> {
        let got = self.run(self.choose(), key, self.inner.get(key, range));
        Box::pin(async move { Ok(self.damage(got.await?)) })
    }

    fn get_whole<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Bytes>> {
        let got = self.run(self.choose(), key, self.inner.get_whole(key));
        Box::pin(async move { Ok(self.damage(got.await?)) })
    }

    fn sync<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(self.run(self.choose(), "sync", self.inner.sync(keys)))
    }

    fn sync_all(&self) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(self.run(self.choose(), "sync", self.inner.sync_all()))
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(self.run(self.choose(), key, self.inner.delete(key)))
    }

    /// Fails before it begins only: a caller that has been told of some objects cannot begin again.
    fn list<'a>(
        &'a self,
        prefix: &'a str,
        found: &'a mut (dyn FnMut(ListedObject) -> StoreResult<()> + Send),
    ) -> BoxFuture<'a, StoreResult<()>> {
        let failing = if self.choose() == Failing::Never { Failing::Never } else { Failing::Before };
        Box::pin(self.run(failing, prefix, self.inner.list(prefix, found)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OpendalStore;
    use crate::contract::run;

    fn faulty(rate: f64, seed: u64) -> FaultyStore {
        FaultyStore::new(Arc::new(OpendalStore::memory().unwrap()), rate, seed)
    }

    async fn outcomes(store: &FaultyStore) -> Vec<bool> {
        let mut outcomes = Vec::new();
        for number in 0..200 {
            outcomes.push(store.put(&format!("v/{number}"), vec![Bytes::from_static(b"x")]).await.is_ok());
        }
        outcomes
    }

    #[test]
    fn one_seed_injects_the_same_faults_and_counts_them() {
        let (first, second) = (faulty(0.3, 9), faulty(0.3, 9));
        let outcome = run(outcomes(&first));
        assert_eq!(outcome, run(outcomes(&second)));
        assert_eq!(first.injected(), second.injected());
        let failures = outcome.iter().filter(|succeeded| !**succeeded).count() as u64;
        let injected = first.injected();
        assert_eq!(injected.errors_before + injected.errors_after, failures);
        assert!(injected.errors_before > 10 && injected.errors_after > 10 && injected.delays > 10, "{injected:?}");
        assert_eq!(injected.damaged_reads, 0);
    }

    #[test]
    fn an_error_after_the_fact_leaves_the_effect_and_one_before_leaves_none() {
        let store = faulty(1.0, 3);
        run(async {
            for number in 0..50 {
                let key = format!("v/{number}");
                let after = store.injected().errors_after;
                assert!(store.put(&key, vec![Bytes::from_static(b"x")]).await.is_err());
                let took_effect = store.injected().errors_after > after;
                assert_eq!(store.inner.get(&key, 0..1).await.is_ok(), took_effect);
            }
        });
    }

    #[test]
    fn damaged_reads_differ_from_what_was_put_and_are_counted() {
        let store = faulty(0.0, 3).with_damaged_reads(1.0);
        run(async {
            store.put("v/1", vec![Bytes::from_static(b"content")]).await.unwrap();
            for _ in 0..50 {
                assert_ne!(store.get("v/1", 0..7).await.unwrap(), Bytes::from_static(b"content"));
            }
        });
        assert_eq!(store.injected(), Injected { damaged_reads: 50, ..Injected::default() });
    }
}
