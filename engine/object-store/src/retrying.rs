//! A store that tries again, for a bounded time, when the one inside does not answer.
//!
//! After an unknown outcome a second try may meet the effect of the first. Objects are immutable and their numbers are
//! never used twice, so an object of the same length that is there by then is the one that this put stored, and an
//! object that is gone by then was deleted by this delete. Nothing else is ever taken for success.

use crate::chance::Chance;
use crate::{BoxFuture, ListedObject, ObjectStore, StoreError, StoreResult};
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const DEADLINE: Duration = Duration::from_secs(10);
const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

pub struct RetryingStore {
    inner: Arc<dyn ObjectStore>,
    deadline: Duration,
    jitter: Chance,
}

/// The tries of one operation.
struct Tries<'a> {
    store: &'a RetryingStore,
    ends: Instant,
    pause: Duration,
    again: bool,
}

impl RetryingStore {
    pub fn new(inner: Arc<dyn ObjectStore>) -> Self {
        // Seeded by the time, so that many hosts which failed together do not come back together.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        RetryingStore { inner, deadline: DEADLINE, jitter: Chance::new(now.as_nanos() as u64) }
    }

    /// No new try begins later than this after the first. A try that hangs is not cut short.
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    fn tries(&self) -> Tries<'_> {
        Tries { store: self, ends: Instant::now() + self.deadline, pause: PAUSE_FIRST, again: false }
    }

    /// The length of an object, if it is there.
    async fn length(&self, key: &str) -> StoreResult<Option<u64>> {
        let mut tries = self.tries();
        loop {
            let mut length = None;
            let mut look = |object: ListedObject| {
                if object.key == key {
                    length = Some(object.bytes);
                }
                Ok(())
            };
            match self.inner.list(key, &mut look).await {
                Ok(()) => return Ok(length),
                Err(error) => tries.after(error).await?,
            }
        }
    }
}

impl Tries<'_> {
    /// Waits before the next try, or gives back the error if there shall be none.
    async fn after(&mut self, error: StoreError) -> StoreResult<()> {
        let pause = self.pause / 2 + self.pause.mul_f64(self.store.jitter.below(1000) as f64 / 2000.0);
        if !matches!(error, StoreError::Unavailable(_)) || Instant::now() + pause > self.ends {
            return Err(error);
        }
        tokio::time::sleep(pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        self.again = true;
        Ok(())
    }
}

impl ObjectStore for RetryingStore {
    fn put<'a>(&'a self, key: &'a str, segments: Vec<Bytes>) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            let bytes = segments.iter().map(|segment| segment.len() as u64).sum();
            let mut tries = self.tries();
            loop {
                match self.inner.put(key, segments.clone()).await {
                    Err(StoreError::Exists(taken)) if tries.again => {
                        let ours = self.length(key).await? == Some(bytes);
                        return if ours { Ok(()) } else { Err(StoreError::Exists(taken)) };
                    }
                    Err(error) => tries.after(error).await?,
                    Ok(()) => return Ok(()),
                }
            }
        })
    }

    fn get<'a>(&'a self, key: &'a str, range: Range<u64>) -> BoxFuture<'a, StoreResult<Bytes>> {
        Box::pin(async move {
            let mut tries = self.tries();
            loop {
                match self.inner.get(key, range.clone()).await {
                    Err(error) => tries.after(error).await?,
                    got => return got,
                }
            }
        })
    }

    fn get_whole<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Bytes>> {
        Box::pin(async move {
            let mut tries = self.tries();
            loop {
                match self.inner.get_whole(key).await {
                    Err(error) => tries.after(error).await?,
                    got => return got,
                }
            }
        })
    }

    fn sync<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            let mut tries = self.tries();
            loop {
                match self.inner.sync(keys).await {
                    Err(error) => tries.after(error).await?,
                    synced => return synced,
                }
            }
        })
    }

    fn sync_all(&self) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async move {
            let mut tries = self.tries();
            loop {
                match self.inner.sync_all().await {
                    Err(error) => tries.after(error).await?,
                    synced => return synced,
                }
            }
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            let mut tries = self.tries();
            loop {
                match self.inner.delete(key).await {
                    Err(StoreError::NotFound(_)) if tries.again => return Ok(()),
                    Err(error) => tries.after(error).await?,
                    Ok(()) => return Ok(()),
                }
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
            let mut tries = self.tries();
            loop {
                let mut told = false;
                let mut tell = |object| {
                    told = true;
                    found(object)
                };
                match self.inner.list(prefix, &mut tell).await {
                    Err(error) if told => return Err(error),
                    Err(error) => tries.after(error).await?,
                    Ok(()) => return Ok(()),
                }
            }
        })
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
            for number in 0..100 {
                let key = format!("v/{number}");
                store.put(&key, vec![Bytes::from(key.clone())]).await.unwrap();
                assert_eq!(store.get(&key, 0..key.len() as u64).await.unwrap(), key);
                store.sync(std::slice::from_ref(&key)).await.unwrap();
                store.delete(&key).await.unwrap();
            }
        });
        let injected = faulty.injected();
        assert!(injected.errors_before > 20 && injected.errors_after > 20, "{injected:?}");
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
    fn an_object_that_was_there_before_is_never_taken_for_ours() {
        let (_, store) = over_faults(0.0, DEADLINE);
        run(async {
            store.put("v/1", vec![Bytes::from_static(b"x")]).await.unwrap();
            assert!(matches!(store.put("v/1", vec![Bytes::from_static(b"y")]).await, Err(StoreError::Exists(_))));
        });
    }
}
