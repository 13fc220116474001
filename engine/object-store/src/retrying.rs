//! A store that tries again, for a bounded time, when the one inside does not answer.
//!
//! After an unknown outcome a second try may meet the effect of the first. Objects are immutable and their numbers are
//! never used twice, so an object of the same bytes that is there by then is the one that this put stored, and an object
//! that is gone by then was deleted by this delete. Nothing else is ever taken for success.
//!
//! Retries have a budget (see `budget.rs`): with any number of failures, what the store is asked stays within 1.2 times
//! what we were asked, but for a reserve and a trickle. Who finds the budget spent waits, and fails at the deadline.

use crate::budget::Budget;
use crate::chance::Chance;
use crate::{BoxFuture, Figures, ListedObject, ObjectStore, StoreError, StoreResult};
use bytes::Bytes;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

const DEADLINE: Duration = Duration::from_secs(30);
const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);
const RETRIES_PER_SUCCESS: f64 = 0.15;
const RETRIES_RESERVE: u32 = 100;
const RETRIES_PER_SECOND_MIN: u32 = 10;
/// An answer that takes longer counts as lost: this, and the time that the bytes take at the lowest rate that is of use.
const TRY_TIME: Duration = Duration::from_secs(10);
const BYTES_PER_SECOND_MIN: u64 = 256 << 10;
/// So often, what is another's object is looked at before it is taken for one.
const LOOKS_MAX: usize = 3;
/// Where nobody knows how many there will be.
const BYTES_EXPECTED: u64 = 4 << 20;

pub struct RetryingStore {
    inner: Arc<dyn ObjectStore>,
    deadline: Duration,
    /// `None`: a try that hangs is not cut short.
    try_time: Option<Duration>,
    budget: Budget,
    jitter: Chance,
}

/// The outcome, and whether there was an earlier try whose outcome is not known.
struct Answer<T> {
    result: StoreResult<T>,
    again: bool,
}

impl RetryingStore {
    pub fn new(inner: Arc<dyn ObjectStore>) -> Self {
        // Seeded by the time, so that many hosts which failed together do not come back together.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let budget = Budget::new(RETRIES_PER_SUCCESS, RETRIES_RESERVE, RETRIES_PER_SECOND_MIN);
        let jitter = Chance::new(now.as_nanos() as u64);
        RetryingStore { inner, deadline: DEADLINE, try_time: Some(TRY_TIME), budget, jitter }
    }

    /// No new try begins later than this after the first.
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// What a try may take, without its bytes. Without a bound for a store whose operations can't be given up: a local disk.
    pub fn with_try_time(mut self, try_time: Option<Duration>) -> Self {
        self.try_time = try_time;
        self
    }

    /// Tries until there is an answer or the time is up. `bytes` go over the wire; `None`: it takes what it takes.
    async fn answer<'a, T>(
        &self,
        bytes: Option<u64>,
        mut attempt: impl FnMut() -> BoxFuture<'a, StoreResult<T>> + Send,
    ) -> Answer<T> {
        let ends = Instant::now() + self.deadline;
        let mut pause = PAUSE_FIRST;
        let mut again = false;
        loop {
            let result = self.within(bytes, attempt()).await;
            if result.is_ok() {
                self.budget.earn();
            }
            if !matches!(result, Err(StoreError::Unavailable(_))) || !self.may_try_again(pause, ends).await {
                return Answer { result, again };
            }
            pause = (pause * 2).min(PAUSE_MAX);
            again = true;
        }
    }

    async fn within<T>(&self, bytes: Option<u64>, work: impl Future<Output = StoreResult<T>>) -> StoreResult<T> {
        let (Some(bytes), Some(try_time)) = (bytes, self.try_time) else { return work.await };
        let time_max = try_time + Duration::from_millis(bytes * 1000 / BYTES_PER_SECOND_MIN);
        let late = |_| Err(StoreError::Unavailable(format!("no answer within {time_max:?}")));
        tokio::time::timeout(time_max, work).await.unwrap_or_else(late)
    }

    /// Waits before the next try. `false`: there shall be none.
    async fn may_try_again(&self, pause: Duration, ends: Instant) -> bool {
        loop {
            let pause = pause / 2 + pause.mul_f64(self.jitter.below(1000) as f64 / 2000.0);
            if Instant::now() + pause > ends {
                return false;
            }
            tokio::time::sleep(pause).await;
            if self.budget.take() {
                return true;
            }
        }
    }

    /// Whether an object holds these bytes. What differs may have come damaged, so it is looked at again.
    async fn holds(&self, key: &str, segments: &[Bytes]) -> StoreResult<bool> {
        for _ in 0..LOOKS_MAX {
            let stored = self.answer(Some(length(segments)), || self.inner.get_whole(key)).await.result;
            match stored {
                Ok(stored) if same_bytes(&stored, segments) => return Ok(true),
                Ok(_) => {}
                Err(StoreError::NotFound(_)) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}

fn length(segments: &[Bytes]) -> u64 {
    segments.iter().map(|segment| segment.len() as u64).sum()
}

fn same_bytes(stored: &[u8], segments: &[Bytes]) -> bool {
    let rest = segments.iter().try_fold(stored, |rest, segment| rest.strip_prefix(segment.as_ref()));
    rest.is_some_and(<[u8]>::is_empty)
}

impl ObjectStore for RetryingStore {
    fn put<'a>(&'a self, key: &'a str, segments: Vec<Bytes>) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            let attempt = || self.inner.put(key, segments.clone());
            match self.answer(Some(length(&segments)), attempt).await {
                Answer { result: Err(StoreError::Exists(taken)), again: true } => {
                    match self.holds(key, &segments).await? {
                        true => Ok(()),
                        false => Err(StoreError::Exists(taken)),
                    }
                }
                Answer { result, .. } => result,
            }
        })
    }

    fn get<'a>(&'a self, key: &'a str, range: Range<u64>) -> BoxFuture<'a, StoreResult<Bytes>> {
        let bytes = range.end.saturating_sub(range.start);
        Box::pin(async move { self.answer(Some(bytes), || self.inner.get(key, range.clone())).await.result })
    }

    fn get_whole<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Bytes>> {
        Box::pin(async move { self.answer(Some(BYTES_EXPECTED), || self.inner.get_whole(key)).await.result })
    }

    fn sync<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move { self.answer(None, || self.inner.sync(keys)).await.result })
    }

    fn sync_all(&self) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async move { self.answer(None, || self.inner.sync_all()).await.result })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            match self.answer(Some(0), || self.inner.delete(key)).await {
                Answer { result: Err(StoreError::NotFound(_)), again: true } => Ok(()),
                Answer { result, .. } => result,
            }
        })
    }

    /// Tried again only while nothing was found: `found` is told of each object once.
    fn list<'a>(
        &'a self,
        prefix: &'a str,
        found: &'a mut (dyn FnMut(ListedObject) -> StoreResult<()> + Send),
    ) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            // One try has it at a time; the lock only tells the compiler so.
            let listener = &Mutex::new((found, false));
            let attempt = move || -> BoxFuture<'_, StoreResult<StoreResult<()>>> {
                Box::pin(async move {
                    let mut tell = |object| {
                        let (found, told) = &mut *listener.lock().expect("no holder panics");
                        *told = true;
                        found(object)
                    };
                    match self.inner.list(prefix, &mut tell).await {
                        Err(error) if !listener.lock().expect("no holder panics").1 => Err(error),
                        ended => Ok(ended),
                    }
                })
            };
            self.answer(None, attempt).await.result?
        })
    }

    fn remove_temporaries(&self, older_than: SystemTime) -> BoxFuture<'_, StoreResult<u64>> {
        Box::pin(async move { self.answer(None, || self.inner.remove_temporaries(older_than)).await.result })
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
    use crate::contract::{Subject, run};
    use crate::{FaultyStore, FsStore, OpendalStore};

    fn faulty_folder() -> Subject {
        let folder = tempfile::tempdir().unwrap();
        let store = FsStore::open(folder.path()).unwrap();
        // One operation in ten fails: most claims meet a few, and none meets ten in a row.
        let store = FaultyStore::new(Arc::new(store), 0.1, 1);
        Subject::new(Arc::new(RetryingStore::new(Arc::new(store)))).without_deciding_races().keeping(folder)
    }

    crate::contract_tests!(faulty_folder());

    fn over_faults(rate: f64, deadline: Duration) -> (Arc<FaultyStore>, RetryingStore) {
        let faulty = Arc::new(FaultyStore::new(Arc::new(OpendalStore::memory().unwrap()), rate, 7));
        (faulty.clone(), RetryingStore::new(faulty).with_deadline(deadline))
    }

    #[test]
    fn callers_see_none_of_the_faults_of_a_store_that_mostly_answers() {
        let (faulty, store) = over_faults(0.3, DEADLINE);
        run(async {
            for number in 0..50 {
                let key = format!("v/{number}");
                store.put(&key, vec![Bytes::from(key.clone())]).await.unwrap();
                assert_eq!(store.get(&key, 0..key.len() as u64).await.unwrap(), key);
                store.sync(std::slice::from_ref(&key)).await.unwrap();
                store.delete(&key).await.unwrap();
            }
        });
        let injected = faulty.injected();
        assert!(injected.errors_before > 10 && injected.errors_after > 10, "{injected:?}");
    }

    #[test]
    fn a_store_that_never_answers_is_given_up_within_the_deadline() {
        let (faulty, store) = over_faults(1.0, Duration::from_millis(100));
        let refused = run(store.sync(&[]));
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        let injected = faulty.injected();
        let tries = injected.errors_before + injected.errors_after;
        assert!((2..20).contains(&tries), "{tries} tries");
    }

    #[test]
    fn an_answer_that_does_not_come_is_asked_for_once_more() {
        let memory = Arc::new(OpendalStore::memory().unwrap());
        let losing = Arc::new(FaultyStore::new(memory, 0.0, 5).with_lost_answers(0.3));
        let store = RetryingStore::new(losing.clone()).with_try_time(Some(Duration::from_millis(20)));
        run(async {
            for number in 0..20 {
                let key = format!("v/{number}");
                store.put(&key, vec![Bytes::from_static(b"12"), Bytes::from_static(b"3")]).await.unwrap();
                assert_eq!(store.get(&key, 0..3).await.unwrap(), "123");
                store.delete(&key).await.unwrap();
            }
        });
        assert!(losing.injected().lost_answers > 5);
    }

    #[test]
    fn what_a_failing_store_is_asked_is_bounded_by_the_budget() {
        let (faulty, store) = over_faults(1.0, Duration::from_millis(500));
        run(futures_util::future::join_all((0..1000).map(|_| store.sync(&[]))));
        let asked = faulty.injected().requests;
        let retries_max = u64::from(RETRIES_RESERVE + RETRIES_PER_SECOND_MIN * 2);
        assert!((1000 + u64::from(RETRIES_RESERVE)..=1000 + retries_max).contains(&asked), "{asked}");
    }

    #[test]
    fn an_object_of_ours_is_known_though_it_comes_damaged_now_and_then() {
        let memory = Arc::new(OpendalStore::memory().unwrap());
        let store = RetryingStore::new(Arc::new(FaultyStore::new(memory, 0.0, 5).with_damaged_reads(0.2)));
        run(async {
            for number in 0..40 {
                let (key, content) = (format!("v/{number}"), [Bytes::from(vec![number; 100])]);
                store.put(&key, content.to_vec()).await.unwrap();
                assert!(store.holds(&key, &content).await.unwrap(), "{key}");
            }
        });
    }

    #[test]
    fn an_object_that_was_there_before_is_never_taken_for_ours() {
        let (_, store) = over_faults(0.0, DEADLINE);
        run(async {
            store.put("v/1", vec![Bytes::from_static(b"x")]).await.unwrap();
            assert!(matches!(store.put("v/1", vec![Bytes::from_static(b"y")]).await, Err(StoreError::Exists(_))));
            assert!(!store.holds("v/1", &[Bytes::from_static(b"y")]).await.unwrap());
            assert!(!store.holds("v/2", &[Bytes::from_static(b"y")]).await.unwrap());
            assert!(store.holds("v/1", &[Bytes::new(), Bytes::from_static(b"x")]).await.unwrap());
        });
    }
}
