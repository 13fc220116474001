//! An object store in memory that can be told to be down, to fail now and then, or to hold puts back, and that remembers
//! what was synced.

use bytes::{Bytes, BytesMut};
use shoal_kv::Random;
use shoal_object_store::{BoxFuture, ListedObject, ObjectStore, StoreError, StoreResult};
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

pub(super) struct TestStore {
    objects: Mutex<BTreeMap<String, Bytes>>,
    synced: Mutex<HashSet<String>>,
    random: Mutex<Random>,
    failure_rate: f64,
    pub down: AtomicBool,
    pub puts: AtomicU64,
    pub gets: AtomicU64,
    pub bytes_got: AtomicU64,
    gets_under_way: AtomicU64,
    /// How far away it is.
    pub get_delay_ms: AtomicU64,
    pub failures: AtomicU64,
}

impl TestStore {
    pub fn new(failure_rate: f64) -> Self {
        TestStore {
            objects: Mutex::default(),
            synced: Mutex::default(),
            random: Mutex::new(Random::new(7)),
            failure_rate,
            down: AtomicBool::new(false),
            puts: AtomicU64::new(0),
            gets: AtomicU64::new(0),
            bytes_got: AtomicU64::new(0),
            gets_under_way: AtomicU64::new(0),
            get_delay_ms: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }

    pub fn count(&self) -> usize {
        self.objects.lock().unwrap().len()
    }

    /// Of all objects.
    pub fn bytes(&self) -> u64 {
        self.objects.lock().unwrap().values().map(|object| object.len() as u64).sum()
    }

    pub fn gets_under_way(&self) -> u64 {
        self.gets_under_way.load(SeqCst)
    }

    async fn got(&self, key: &str, part: impl FnOnce(&Bytes) -> Bytes) -> StoreResult<Bytes> {
        self.answer()?;
        self.gets.fetch_add(1, SeqCst);
        self.gets_under_way.fetch_add(1, SeqCst);
        let delay = self.get_delay_ms.load(SeqCst);
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        self.gets_under_way.fetch_sub(1, SeqCst);
        let objects = self.objects.lock().unwrap();
        let part = objects.get(key).map(part).ok_or_else(|| StoreError::NotFound(key.into()))?;
        self.bytes_got.fetch_add(part.len() as u64, SeqCst);
        Ok(part)
    }

    pub fn unsynced(&self) -> usize {
        let synced = self.synced.lock().unwrap();
        self.objects.lock().unwrap().keys().filter(|key| !synced.contains(*key)).count()
    }

    fn answer(&self) -> StoreResult<()> {
        let fails = self.down.load(SeqCst) || self.random.lock().unwrap().chance(self.failure_rate);
        if fails {
            self.failures.fetch_add(1, SeqCst);
            return Err(StoreError::Unavailable("told to fail".into()));
        }
        Ok(())
    }
}

impl ObjectStore for TestStore {
    fn put<'a>(&'a self, key: &'a str, segments: Vec<Bytes>) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            self.answer()?;
            self.puts.fetch_add(1, SeqCst);
            let whole: BytesMut = segments.iter().flat_map(|segment| segment.iter().copied()).collect();
            match self.objects.lock().unwrap().insert(key.to_owned(), whole.freeze()) {
                Some(_) => Err(StoreError::Exists(key.into())),
                None => Ok(()),
            }
        })
    }

    fn get<'a>(&'a self, key: &'a str, range: Range<u64>) -> BoxFuture<'a, StoreResult<Bytes>> {
        Box::pin(self.got(key, move |object| object.slice(range.start as usize..range.end as usize)))
    }

    fn get_whole<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Bytes>> {
        Box::pin(self.got(key, Bytes::clone))
    }

    fn sync<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            self.answer()?;
            let objects = self.objects.lock().unwrap();
            if let Some(missing) = keys.iter().find(|key| !objects.contains_key(*key)) {
                return Err(StoreError::NotFound(missing.clone()));
            }
            self.synced.lock().unwrap().extend(keys.iter().cloned());
            Ok(())
        })
    }

    fn sync_all(&self) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async move {
            self.answer()?;
            self.synced.lock().unwrap().extend(self.objects.lock().unwrap().keys().cloned());
            Ok(())
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            self.answer()?;
            let removed = self.objects.lock().unwrap().remove(key);
            removed.map(|_| ()).ok_or_else(|| StoreError::NotFound(key.into()))
        })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        found: &'a mut (dyn FnMut(ListedObject) -> StoreResult<()> + Send),
    ) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            for (key, bytes) in self.objects.lock().unwrap().iter().filter(|(key, _)| key.starts_with(prefix)) {
                found(ListedObject { key: key.clone(), bytes: bytes.len() as u64, modified: None })?;
            }
            Ok(())
        })
    }
}
