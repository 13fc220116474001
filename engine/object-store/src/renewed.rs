//! A store that is opened anew when what opens it has changed: keys and passwords are replaced while mounts live.
//!
//! Somebody else knows where they come from. He is asked now and then, and at once when the store refuses: a request that
//! was refused is made again by what is open then. What a store had under way by then ends as it began.

use crate::{BoxFuture, ListedObject, ObjectStore, StoreError, StoreResult};
use bytes::Bytes;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Blocks. `Some` is the store opened by what has changed since the last time.
pub type Look = dyn Fn() -> Option<Arc<dyn ObjectStore>> + Send + Sync;

pub struct RenewedStore(Arc<Renewed>);

struct Renewed {
    current: RwLock<Arc<dyn ObjectStore>>,
    look: Arc<Look>,
    /// When somebody looked last; whoever has it is looking.
    looked: Mutex<Instant>,
}

/// Time between two looks while all goes well.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// Refusals that come sooner after a look are what they are.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);

impl RenewedStore {
    pub fn new(store: Arc<dyn ObjectStore>, look: Arc<Look>) -> Self {
        RenewedStore(Arc::new(Renewed { current: RwLock::new(store), look, looked: Mutex::new(Instant::now()) }))
    }

    async fn ask<'a, T>(
        &'a self,
        request: impl Fn(Arc<dyn ObjectStore>) -> BoxFuture<'a, StoreResult<T>> + 'a,
    ) -> StoreResult<T> {
        let store = self.0.current();
        self.look_when_due();
        match request(store.clone()).await {
            Err(StoreError::Permission(why)) => match self.0.other_than(&store).await {
                Some(new) => request(new).await,
                None => Err(StoreError::Permission(why)),
            },
            answer => answer,
        }
    }

    /// Nobody waits for it.
    fn look_when_due(&self) {
        let due = self.0.looked.try_lock().is_ok_and(|looked| looked.elapsed() >= LOOK_INTERVAL);
        if due {
            let renewed = self.0.clone();
            tokio::spawn(async move {
                let mut looked = renewed.looked.lock().await;
                if looked.elapsed() >= LOOK_INTERVAL {
                    renewed.look(&mut looked).await;
                }
            });
        }
    }
}

impl Renewed {
    fn current(&self) -> Arc<dyn ObjectStore> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is open now, if it's not this one, which has refused.
    async fn other_than(&self, refused: &Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        let mut looked = self.looked.lock().await;
        if Arc::ptr_eq(&self.current(), refused) && looked.elapsed() >= REFUSED_PAUSE {
            self.look(&mut looked).await;
        }
        Some(self.current()).filter(|store| !Arc::ptr_eq(store, refused))
    }

    async fn look(&self, looked: &mut Instant) {
        let look = self.look.clone();
        let found = tokio::task::spawn_blocking(move || look()).await;
        *looked = Instant::now();
        if let Ok(Some(store)) = found {
            tracing::info!(
                "the credentials of the object store have changed; it is asked with the new ones from now on"
            );
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = store;
        }
    }
}

impl ObjectStore for RenewedStore {
    fn put<'a>(&'a self, key: &'a str, segments: Vec<Bytes>) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(self.ask(move |store| {
            let segments = segments.clone();
            Box::pin(async move { store.put(key, segments).await })
        }))
    }

    fn get<'a>(&'a self, key: &'a str, range: Range<u64>) -> BoxFuture<'a, StoreResult<Bytes>> {
        Box::pin(self.ask(move |store| {
            let range = range.clone();
            Box::pin(async move { store.get(key, range).await })
        }))
    }

    fn get_whole<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Bytes>> {
        Box::pin(self.ask(move |store| Box::pin(async move { store.get_whole(key).await })))
    }

    fn sync<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(self.ask(move |store| Box::pin(async move { store.sync(keys).await })))
    }

    fn sync_all(&self) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(self.ask(move |store| Box::pin(async move { store.sync_all().await })))
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(self.ask(move |store| Box::pin(async move { store.delete(key).await })))
    }

    /// A listing that is refused half-way is not begun anew: `found` has seen some of it.
    fn list<'a>(
        &'a self,
        prefix: &'a str,
        found: &'a mut (dyn FnMut(ListedObject) -> StoreResult<()> + Send),
    ) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            let store = self.0.current();
            self.look_when_due();
            let mut begun = false;
            let mut note = |object| {
                begun = true;
                found(object)
            };
            match store.list(prefix, &mut note).await {
                Err(StoreError::Permission(why)) => match self.0.other_than(&store).await {
                    Some(new) if !begun => new.list(prefix, found).await,
                    _ => Err(StoreError::Permission(why)),
                },
                answer => answer,
            }
        })
    }

    fn remove_temporaries(&self, older_than: SystemTime) -> BoxFuture<'_, StoreResult<u64>> {
        Box::pin(self.ask(move |store| Box::pin(async move { store.remove_temporaries(older_than).await })))
    }

    fn remove_empty_folders<'a>(&'a self, folder: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(self.ask(move |store| Box::pin(async move { store.remove_empty_folders(folder).await })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

    /// One way into a store, open or not.
    struct Door {
        open: AtomicBool,
        asked: AtomicUsize,
    }

    impl Door {
        fn new(open: bool) -> Arc<Self> {
            Arc::new(Door { open: AtomicBool::new(open), asked: AtomicUsize::new(0) })
        }

        fn answer<T: Send + 'static>(&self, answer: T) -> BoxFuture<'static, StoreResult<T>> {
            self.asked.fetch_add(1, SeqCst);
            let answer = match self.open.load(SeqCst) {
                true => Ok(answer),
                false => Err(StoreError::Permission("the door is shut".into())),
            };
            Box::pin(async move { answer })
        }
    }

    impl ObjectStore for Door {
        fn put<'a>(&'a self, _: &'a str, _: Vec<Bytes>) -> BoxFuture<'a, StoreResult<()>> {
            self.answer(())
        }

        fn get<'a>(&'a self, _: &'a str, range: Range<u64>) -> BoxFuture<'a, StoreResult<Bytes>> {
            self.answer(vec![1; range.count()].into())
        }

        fn get_whole<'a>(&'a self, _: &'a str) -> BoxFuture<'a, StoreResult<Bytes>> {
            self.answer(Bytes::new())
        }

        fn sync<'a>(&'a self, _: &'a [String]) -> BoxFuture<'a, StoreResult<()>> {
            self.answer(())
        }

        fn sync_all(&self) -> BoxFuture<'_, StoreResult<()>> {
            self.answer(())
        }

        fn delete<'a>(&'a self, _: &'a str) -> BoxFuture<'a, StoreResult<()>> {
            self.answer(())
        }

        fn list<'a>(
            &'a self,
            prefix: &'a str,
            found: &'a mut (dyn FnMut(ListedObject) -> StoreResult<()> + Send),
        ) -> BoxFuture<'a, StoreResult<()>> {
            let told = found(ListedObject { key: prefix.into(), bytes: 0, modified: None });
            Box::pin(async move { told.and(self.answer(()).await) })
        }
    }

    /// A store behind the first door, and how often somebody has looked for the second.
    fn renewed(first: &Arc<Door>, second: Option<Arc<Door>>) -> (RenewedStore, Arc<AtomicUsize>) {
        let looks = Arc::new(AtomicUsize::new(0));
        let (counted, next) = (looks.clone(), std::sync::Mutex::new(second));
        let look = move || {
            counted.fetch_add(1, SeqCst);
            next.lock().unwrap().take().map(|door| door as Arc<dyn ObjectStore>)
        };
        (RenewedStore::new(first.clone(), Arc::new(look)), looks)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_is_asked_again_by_what_opens_it_now() {
        let (first, second) = (Door::new(true), Door::new(true));
        let (store, looks) = renewed(&first, Some(second.clone()));
        assert_eq!(store.get("k", 0..3).await.unwrap().len(), 3);
        first.open.store(false, SeqCst);
        tokio::time::advance(REFUSED_PAUSE).await;
        assert_eq!(store.get("k", 0..3).await.unwrap().len(), 3);
        store.put("k", vec![Bytes::new()]).await.unwrap();
        assert_eq!((first.asked.load(SeqCst), second.asked.load(SeqCst), looks.load(SeqCst)), (2, 2, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_nothing_opens_stays_refused_and_is_not_looked_for_all_the_time() {
        let first = Door::new(false);
        let (store, looks) = renewed(&first, None);
        tokio::time::advance(REFUSED_PAUSE).await;
        for _ in 0..5 {
            assert!(matches!(store.delete("k").await, Err(StoreError::Permission(_))));
        }
        assert_eq!((first.asked.load(SeqCst), looks.load(SeqCst)), (5, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_changed_is_found_before_the_store_refuses() {
        let (first, second) = (Door::new(true), Door::new(true));
        let (store, looks) = renewed(&first, Some(second.clone()));
        store.get_whole("k").await.unwrap();
        assert_eq!(looks.load(SeqCst), 0);
        tokio::time::advance(LOOK_INTERVAL).await;
        while second.asked.load(SeqCst) == 0 {
            store.get_whole("k").await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(looks.load(SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_listing_that_has_begun_is_not_begun_anew() {
        let (store, _) = renewed(&Door::new(false), Some(Door::new(true)));
        tokio::time::advance(REFUSED_PAUSE).await;
        let mut found = 0;
        let mut note = |_| {
            found += 1;
            Ok(())
        };
        assert!(store.list("k", &mut note).await.is_err());
        assert_eq!(found, 1);
    }
}
