//! A store that fails on purpose: errors before an operation and after it took effect, short delays, and on request
//! answers that are lost, slow or falsified, and lists that are behind.
//!
//! What failed after it took effect is what a time-out looks like, or a connection that was reset in the middle of the
//! answer: the caller cannot know. One seed gives one sequence of choices (which operation gets which depends on their
//! order). Answers are never falsified, unless damaged reads or stale lists are asked for by name.

use crate::chance::Chance;
use crate::{BoxFuture, Figures, ListedObject, ObjectStore, StoreError, StoreResult};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::future::Future;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

pub struct FaultyStore {
    inner: Arc<dyn ObjectStore>,
    chance: Chance,
    error_rate: f64,
    damage_rate: f64,
    loss_rate: f64,
    slow_rate: f64,
    slow: Duration,
    stale_rate: f64,
    /// What lists that are behind still show.
    deleted: Mutex<VecDeque<String>>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    requests: AtomicU64,
    before: AtomicU64,
    after: AtomicU64,
    delayed: AtomicU64,
    damaged: AtomicU64,
    lost: AtomicU64,
    slow: AtomicU64,
    stale: AtomicU64,
}

/// How often which fault was injected, and among how many requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Injected {
    pub requests: u64,
    pub errors_before: u64,
    pub errors_after: u64,
    pub delays: u64,
    pub damaged_reads: u64,
    pub lost_answers: u64,
    pub slow_answers: u64,
    pub stale_lists: u64,
}

/// What happens to an operation.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Answered,
    FailsBefore,
    FailsAfter,
    /// It takes effect, and there is never an answer.
    Lost,
}

const DELAY_US_MAX: u64 = 5_000;
const DELETED_MAX: usize = 64;

impl FaultyStore {
    /// Each operation fails with probability `rate`, half of them after they took effect; as many are delayed.
    pub fn new(inner: Arc<dyn ObjectStore>, rate: f64, seed: u64) -> Self {
        FaultyStore {
            inner,
            chance: Chance::new(seed),
            error_rate: probability(rate),
            damage_rate: 0.0,
            loss_rate: 0.0,
            slow_rate: 0.0,
            slow: Duration::ZERO,
            stale_rate: 0.0,
            deleted: Mutex::default(),
            counts: Counts::default(),
        }
    }

    /// Also falsifies the bytes of this share of reads: one bit turned, or the end cut off. For tests of checksums.
    pub fn with_damaged_reads(mut self, rate: f64) -> Self {
        self.damage_rate = probability(rate);
        self
    }

    /// Never answers this share of operations, whose effect is there all the same. Not of lists.
    pub fn with_lost_answers(mut self, rate: f64) -> Self {
        self.loss_rate = probability(rate);
        self
    }

    /// Answers this share of operations so much later.
    pub fn with_slow_answers(mut self, rate: f64, later: Duration) -> Self {
        (self.slow_rate, self.slow) = (probability(rate), later);
        self
    }

    /// In this share of lists some objects are missing, and some that were deleted are still there, with no bytes.
    pub fn with_stale_lists(mut self, rate: f64) -> Self {
        self.stale_rate = probability(rate);
        self
    }

    pub fn injected(&self) -> Injected {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Injected {
            requests: read(&self.counts.requests),
            errors_before: read(&self.counts.before),
            errors_after: read(&self.counts.after),
            delays: read(&self.counts.delayed),
            damaged_reads: read(&self.counts.damaged),
            lost_answers: read(&self.counts.lost),
            slow_answers: read(&self.counts.slow),
            stale_lists: read(&self.counts.stale),
        }
    }

    fn choose(&self) -> Fate {
        match (self.chance.happens(self.error_rate), self.chance.happens(0.5)) {
            (true, true) => Fate::FailsBefore,
            (true, false) => Fate::FailsAfter,
            (false, _) if self.loss_rate > 0.0 && self.chance.happens(self.loss_rate) => Fate::Lost,
            (false, _) => Fate::Answered,
        }
    }

    async fn run<T>(&self, fate: Fate, what: &str, operation: impl Future<Output = StoreResult<T>>) -> StoreResult<T> {
        count(&self.counts.requests);
        if self.chance.happens(self.error_rate) {
            count(&self.counts.delayed);
            tokio::time::sleep(Duration::from_micros(self.chance.below(DELAY_US_MAX))).await;
        }
        if self.slow_rate > 0.0 && self.chance.happens(self.slow_rate) {
            count(&self.counts.slow);
            tokio::time::sleep(self.slow).await;
        }
        if fate == Fate::FailsBefore {
            count(&self.counts.before);
            return Err(StoreError::Unavailable(format!("{what}: refused by fault injection")));
        }
        let result = operation.await;
        // What went wrong by itself is told as it is.
        match fate {
            Fate::FailsAfter if result.is_ok() => {
                count(&self.counts.after);
                Err(StoreError::Unavailable(format!("{what}: no answer, by fault injection")))
            }
            Fate::Lost => {
                count(&self.counts.lost);
                std::future::pending().await
            }
            _ => result,
        }
    }

    fn damage(&self, content: Bytes) -> Bytes {
        if content.is_empty() || !self.chance.happens(self.damage_rate) {
            return content;
        }
        count(&self.counts.damaged);
        let at = self.chance.below(content.len() as u64) as usize;
        if self.chance.happens(0.5) {
            return content.slice(..at);
        }
        let mut altered = BytesMut::from(content.as_ref());
        altered[at] ^= 1 << self.chance.below(8);
        altered.freeze()
    }

    fn remember_deleted(&self, key: &str) {
        if self.stale_rate > 0.0 {
            let mut deleted = self.deleted.lock().expect("no holder panics");
            deleted.push_back(key.to_string());
            if deleted.len() > DELETED_MAX {
                deleted.pop_front();
            }
        }
    }

    async fn list_stale(
        &self,
        prefix: &str,
        found: &mut (dyn FnMut(ListedObject) -> StoreResult<()> + Send),
    ) -> StoreResult<()> {
        count(&self.counts.stale);
        let mut behind = |object| if self.chance.happens(0.5) { found(object) } else { Ok(()) };
        self.inner.list(prefix, &mut behind).await?;
        let deleted = self.deleted.lock().expect("no holder panics").clone();
        let gone = deleted.into_iter().filter(|key| key.starts_with(prefix));
        gone.into_iter().try_for_each(|key| found(ListedObject { key, bytes: 0, modified: None }))
    }
}

fn probability(rate: f64) -> f64 {
    assert!((0.0..=1.0).contains(&rate), "a rate is a probability");
    rate
}

fn count(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
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
        self.remember_deleted(key);
        Box::pin(self.run(self.choose(), key, self.inner.delete(key)))
    }

    /// Fails before it begins only: a caller that has been told of some objects cannot begin again.
    fn list<'a>(
        &'a self,
        prefix: &'a str,
        found: &'a mut (dyn FnMut(ListedObject) -> StoreResult<()> + Send),
    ) -> BoxFuture<'a, StoreResult<()>> {
        let fate =
            if matches!(self.choose(), Fate::Answered | Fate::Lost) { Fate::Answered } else { Fate::FailsBefore };
        match self.stale_rate > 0.0 && self.chance.happens(self.stale_rate) {
            true => Box::pin(self.run(fate, prefix, self.list_stale(prefix, found))),
            false => Box::pin(self.run(fate, prefix, self.inner.list(prefix, found))),
        }
    }

    fn remove_temporaries(&self, older_than: SystemTime) -> BoxFuture<'_, StoreResult<u64>> {
        self.inner.remove_temporaries(older_than)
    }

    fn remove_empty_folders<'a>(&'a self, folder: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        self.inner.remove_empty_folders(folder)
    }

    fn figures(&self) -> Option<Figures> {
        self.inner.figures()
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
        assert_eq!(store.injected(), Injected { requests: 51, damaged_reads: 50, ..Injected::default() });
    }

    #[test]
    fn a_stale_list_misses_what_is_there_and_shows_what_is_gone() {
        let store = faulty(0.0, 3).with_stale_lists(1.0);
        run(async {
            for number in 0..40 {
                store.put(&format!("v/{number}"), vec![Bytes::from_static(b"x")]).await.unwrap();
            }
            store.delete("v/7").await.unwrap();
            let mut keys = Vec::new();
            let mut found = |object: ListedObject| {
                keys.push(object.key);
                Ok(())
            };
            store.list("v/", &mut found).await.unwrap();
            assert!((5..36).contains(&keys.len()) && keys.contains(&"v/7".to_string()), "{keys:?}");
        });
    }
}
