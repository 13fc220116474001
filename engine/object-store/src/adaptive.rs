//! A store that is asked as much at once as it bears.
//!
//! A service that is asked too much refuses requests or leaves them unanswered, and asking again makes it worse. When a
//! quarter of the latest requests has failed, half as many are let through at once; when all goes well and somebody has
//! had to wait, more are: twice as many up to where it last went wrong, and an eighth more from there on (as TCP does it,
//! RFC 5681). Single failures change nothing.

use crate::store::forward_the_rest;
use crate::{BoxFuture, Figures, ObjectStore, StoreError, StoreResult};
use bytes::Bytes;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use tokio::sync::{Semaphore, SemaphorePermit};

pub struct AdaptiveStore {
    inner: Arc<dyn ObjectStore>,
    slots: Semaphore,
    state: Mutex<State>,
}

struct State {
    at_once: usize,
    at_once_max: usize,
    /// Slots that are still used and shall go.
    owed: usize,
    /// Growth is slow beyond this.
    went_wrong_at: usize,
    fails: bool,
    /// Grows with each cut: what was asked before one says nothing about the time after it.
    cuts: u64,
    /// Of the requests since the last look.
    done: usize,
    failed: usize,
    somebody_waited: bool,
}

/// A request under way. One that is given up has failed.
struct UnderWay<'a> {
    store: &'a AdaptiveStore,
    slot: Option<SemaphorePermit<'a>>,
    cuts: u64,
    failed: bool,
}

const AT_ONCE_MIN: usize = 2;
const REQUESTS_PER_LOOK_MIN: usize = 16;

impl AdaptiveStore {
    pub fn new(inner: Arc<dyn ObjectStore>, at_once_max: usize) -> Self {
        assert!(at_once_max >= AT_ONCE_MIN, "fewer are not worth adapting");
        let state = State {
            at_once: at_once_max,
            at_once_max,
            owed: 0,
            went_wrong_at: at_once_max,
            fails: false,
            cuts: 0,
            done: 0,
            failed: 0,
            somebody_waited: false,
        };
        AdaptiveStore { inner, slots: Semaphore::new(at_once_max), state: Mutex::new(state) }
    }

    async fn ask<T>(&self, request: impl Future<Output = StoreResult<T>>) -> StoreResult<T> {
        let slot = match self.slots.try_acquire() {
            Ok(slot) => slot,
            Err(_) => {
                self.state.lock().expect("no holder panics").somebody_waited = true;
                self.slots.acquire().await.expect("it is never closed")
            }
        };
        let cuts = self.state.lock().expect("no holder panics").cuts;
        let mut under_way = UnderWay { store: self, slot: Some(slot), cuts, failed: true };
        let result = request.await;
        under_way.failed = matches!(result, Err(StoreError::Unavailable(_)));
        result
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut state = self.store.state.lock().expect("no holder panics");
        let more = if state.cuts == self.cuts { state.note(self.failed) } else { 0 };
        if state.owed > 0 {
            state.owed -= 1;
            self.slot.take().expect("it is held until now").forget();
        }
        drop(state);
        self.store.slots.add_permits(more);
    }
}

impl State {
    /// A request has ended. Gives back how many slots to add.
    fn note(&mut self, failed: bool) -> usize {
        self.done += 1;
        self.failed += usize::from(failed);
        if self.done < self.at_once.max(REQUESTS_PER_LOOK_MIN) {
            return 0;
        }
        let (before, fails) = (self.at_once, self.failed * 4 >= self.done);
        if fails {
            self.at_once = (before / 2).max(AT_ONCE_MIN);
            self.cuts += 1;
            if !self.fails {
                self.went_wrong_at = self.at_once;
            }
        } else if self.somebody_waited {
            let step = if before < self.went_wrong_at { before } else { before / 8 + 1 };
            self.at_once = (before + step).min(self.at_once_max);
        }
        (self.fails, self.done, self.failed, self.somebody_waited) = (fails, 0, 0, false);
        self.owed += before.saturating_sub(self.at_once);
        let grown = self.at_once.saturating_sub(before);
        let kept = grown.min(self.owed);
        self.owed -= kept;
        grown - kept
    }
}

impl ObjectStore for AdaptiveStore {
    fn put<'a>(&'a self, key: &'a str, segments: Vec<Bytes>) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(self.ask(self.inner.put(key, segments)))
    }

    fn get<'a>(&'a self, key: &'a str, range: Range<u64>) -> BoxFuture<'a, StoreResult<Bytes>> {
        Box::pin(self.ask(self.inner.get(key, range)))
    }

    fn get_whole<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Bytes>> {
        Box::pin(self.ask(self.inner.get_whole(key)))
    }

    forward_the_rest!();

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(self.ask(self.inner.delete(key)))
    }

    fn figures(&self) -> Option<Figures> {
        let at_once = self.state.lock().expect("no holder panics").at_once as u64;
        self.inner.figures().map(|figures| Figures { at_once: Some(at_once), ..figures })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Subject;
    use crate::{ListedObject, OpendalStore};
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::time::Duration;

    crate::contract_tests!(Subject::new(Arc::new(AdaptiveStore::new(Arc::new(OpendalStore::memory().unwrap()), 4))));

    /// Takes ten milliseconds for a request, and refuses those beyond `bears` at once.
    #[derive(Default)]
    struct Busy {
        bears: AtomicUsize,
        under_way: AtomicUsize,
        served: AtomicUsize,
        refused: AtomicUsize,
    }

    impl Busy {
        async fn ask(&self) -> StoreResult<()> {
            let refused = self.under_way.fetch_add(1, SeqCst) >= self.bears.load(SeqCst);
            tokio::time::sleep(Duration::from_millis(10)).await;
            self.under_way.fetch_sub(1, SeqCst);
            if refused {
                self.refused.fetch_add(1, SeqCst);
                return Err(StoreError::Unavailable("slow down".into()));
            }
            self.served.fetch_add(1, SeqCst);
            Ok(())
        }
    }

    impl ObjectStore for Busy {
        fn put<'a>(&'a self, _: &'a str, _: Vec<Bytes>) -> BoxFuture<'a, StoreResult<()>> {
            Box::pin(self.ask())
        }

        fn get<'a>(&'a self, _: &'a str, _: Range<u64>) -> BoxFuture<'a, StoreResult<Bytes>> {
            Box::pin(async { self.ask().await.map(|()| Bytes::new()) })
        }

        fn get_whole<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Bytes>> {
            self.get(key, 0..0)
        }

        fn sync<'a>(&'a self, _: &'a [String]) -> BoxFuture<'a, StoreResult<()>> {
            Box::pin(async { Ok(()) })
        }

        fn sync_all(&self) -> BoxFuture<'_, StoreResult<()>> {
            Box::pin(async { Ok(()) })
        }

        fn delete<'a>(&'a self, _: &'a str) -> BoxFuture<'a, StoreResult<()>> {
            Box::pin(self.ask())
        }

        fn list<'a>(
            &'a self,
            _: &'a str,
            _: &'a mut (dyn FnMut(ListedObject) -> StoreResult<()> + Send),
        ) -> BoxFuture<'a, StoreResult<()>> {
            Box::pin(async { Ok(()) })
        }
    }

    fn at_once(store: &AdaptiveStore) -> usize {
        store.state.lock().unwrap().at_once
    }

    /// 48 that ask one request after the other.
    async fn ask(store: &AdaptiveStore, requests_each: usize) {
        let one = |number: usize| async move {
            for request in 0..requests_each {
                let _ = match (number + request) % 2 {
                    0 => store.put("k", Vec::new()).await,
                    _ => store.get("k", 0..1).await.map(drop),
                };
            }
        };
        futures_util::future::join_all((0..48).map(one)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_is_asked_about_as_much_as_it_bears_and_more_when_it_bears_more() {
        let busy = Arc::new(Busy::default());
        busy.bears.store(10, SeqCst);
        let store = AdaptiveStore::new(busy.clone(), 48);
        ask(&store, 20).await;
        busy.served.store(0, SeqCst);
        busy.refused.store(0, SeqCst);
        ask(&store, 100).await;
        let (served, refused) = (busy.served.load(SeqCst), busy.refused.load(SeqCst));
        assert!(refused * 4 < served, "{refused} refused, {served} served");
        assert!((5..=14).contains(&at_once(&store)), "{} at once", at_once(&store));
        busy.bears.store(48, SeqCst);
        ask(&store, 50).await;
        assert_eq!(at_once(&store), 48);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_down_is_hardly_asked_and_after_it_is_back_it_is_asked_as_before() {
        let busy = Arc::new(Busy::default());
        let store = AdaptiveStore::new(busy.clone(), 48);
        ask(&store, 10).await;
        assert_eq!(at_once(&store), AT_ONCE_MIN);
        busy.bears.store(100, SeqCst);
        ask(&store, 20).await;
        assert_eq!(at_once(&store), 48);
        assert_eq!(store.slots.available_permits(), 48, "no slot is lost");
    }

    #[tokio::test(start_paused = true)]
    async fn single_failures_change_nothing_and_a_request_given_up_has_failed() {
        let busy = Arc::new(Busy::default());
        busy.bears.store(100, SeqCst);
        let store = AdaptiveStore::new(busy.clone(), 48);
        for round in 0..10 {
            busy.bears.store(if round == 3 { 0 } else { 100 }, SeqCst);
            let some = (0..if round == 3 { 8 } else { 40 }).map(|_| store.delete("k"));
            futures_util::future::join_all(some).await;
        }
        assert_eq!(at_once(&store), 48);
        for _ in 0..100 {
            let _ = tokio::time::timeout(Duration::from_millis(1), store.delete("k")).await;
        }
        assert!(at_once(&store) < 48);
    }
}
