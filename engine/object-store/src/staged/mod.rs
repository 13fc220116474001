//! A store whose puts go to the local disk first, and to the store behind it later.
//!
//! A put returns when the object is durable in a folder of this host. An uploader moves it on, oldest first; until then it's
//! read from the folder. What a killed process or a power failure has left there is moved on by whoever opens the folder next.
//!
//! Relies on keys that are never used twice: whether a key is taken is asked of the folder alone, and an object that is
//! found behind already is taken for the one that was to be put there.

mod left;
mod uploader;

pub use left::Left;

use crate::{BoxFuture, Figures, ListedObject, ObjectStore, StoreError, StoreResult};
use bytes::Bytes;
use left::{Objects, Room, Whereabouts};
use std::collections::HashSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use uploader::Uploader;

pub struct StagedStore {
    shared: Arc<Shared>,
    uploader: Uploader,
}

struct Shared {
    /// The folder.
    disk: Arc<dyn ObjectStore>,
    behind: Arc<dyn ObjectStore>,
    objects: Mutex<Objects>,
    /// Told after each change of `objects`.
    changed: watch::Sender<()>,
}

impl StagedStore {
    /// Takes over what is in the folder. `uploads` is the store behind as the uploader's thread has it: connections live on the
    /// threads that opened them. At most `bytes_max` are ever in the folder; what doesn't fit goes straight to the store.
    pub fn start(
        disk: Arc<dyn ObjectStore>,
        behind: Arc<dyn ObjectStore>,
        uploads: Arc<dyn ObjectStore>,
        bytes_max: u64,
    ) -> StoreResult<Self> {
        let shared = Arc::new(Shared {
            disk,
            behind,
            objects: Mutex::new(Objects::new(bytes_max)),
            changed: watch::Sender::new(()),
        });
        let uploader = Uploader::start(shared.clone(), uploads)?;
        Ok(StagedStore { shared, uploader })
    }

    /// What is in the folder.
    pub fn left(&self) -> Left {
        self.shared.objects().left()
    }

    /// From now on puts go straight to the store, so that the folder empties.
    pub fn stage_no_more(&self) {
        self.shared.objects().close();
    }

    /// Waits until nothing is left, or `patience` has passed with errors and without an object less. Gives what is left.
    pub fn drain(&self, patience: Duration) -> Left {
        let drained = async {
            let mut changes = self.shared.changed.subscribe();
            let mut left = self.left();
            while left.objects > 0 {
                let before = left.objects;
                let fewer = async { while self.left().objects >= before && changes.changed().await.is_ok() {} };
                let in_time = tokio::time::timeout(patience, fewer).await;
                left = self.left();
                let fails = left.error.is_some() || self.uploader.has_ended();
                if in_time.is_err() && left.objects >= before && fails {
                    break;
                }
            }
            left
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.map_or_else(|_| self.left(), |runtime| runtime.block_on(drained))
    }
}

impl Shared {
    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().expect("no panic under this lock")
    }

    fn tell(&self) {
        self.changed.send_replace(());
    }

    async fn put(self: &Arc<Self>, key: &str, segments: Vec<Bytes>) -> StoreResult<()> {
        let bytes = segments.iter().map(|segment| segment.len() as u64).sum();
        let Some(room) = Room::take(self, bytes) else { return self.behind.put(key, segments).await };
        match self.stage(key, segments.clone()).await {
            Ok(()) => {
                room.fill(key);
                Ok(())
            }
            Err(error @ StoreError::Exists(_)) => Err(error),
            Err(error) => {
                // A broken or full disk costs time, as without a folder.
                tracing::warn!(%error, key, "an object can't be staged; it goes straight to the store");
                drop(room);
                self.behind.put(key, segments).await
            }
        }
    }

    async fn stage(&self, key: &str, segments: Vec<Bytes>) -> StoreResult<()> {
        self.disk.put(key, segments).await?;
        let synced = self.disk.sync(&[key.to_owned()]).await;
        if synced.is_err() {
            // It may not be whole after a power failure. If this fails too, an object is left that nothing refers to.
            let _ = self.disk.delete(key).await;
        }
        synced
    }

    /// From the folder if it's there, else from behind.
    async fn read<'a>(
        &'a self,
        key: &'a str,
        from: impl Fn(&'a Arc<dyn ObjectStore>) -> BoxFuture<'a, StoreResult<Bytes>>,
    ) -> StoreResult<Bytes> {
        if self.objects().holds(key) {
            match from(&self.disk).await {
                // It has been moved on meanwhile.
                Err(StoreError::NotFound(_)) if !self.objects().holds(key) => {}
                other => return other,
            }
        }
        from(&self.behind).await
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        let mut changes = self.changed.subscribe();
        loop {
            // A statement of its own, so that the lock isn't held any more.
            let found = self.objects().cancel(key);
            match found {
                Whereabouts::Behind => return self.behind.delete(key).await,
                Whereabouts::Taken => {
                    self.tell();
                    return self.disk.delete(key).await;
                }
                Whereabouts::TakenAndBehind => {
                    self.tell();
                    self.disk.delete(key).await?;
                    return match self.behind.delete(key).await {
                        Err(StoreError::NotFound(_)) => Ok(()),
                        other => other,
                    };
                }
                // The upload ends soon, one way or the other, and isn't begun again.
                Whereabouts::OnItsWay => {}
            }
            if changes.changed().await.is_err() {
                return Err(StoreError::Unavailable("the uploader has ended".into()));
            }
        }
    }

    async fn list(
        &self,
        prefix: &str,
        found: &mut (dyn FnMut(ListedObject) -> StoreResult<()> + Send),
    ) -> StoreResult<()> {
        // The folder first: what moves on meanwhile is told from here, and not twice.
        let mut staged = Vec::new();
        let mut note = |object: ListedObject| {
            if self.objects().holds(&object.key) {
                staged.push(object);
            }
            Ok(())
        };
        self.disk.list(prefix, &mut note).await?;
        let known: HashSet<String> = staged.iter().map(|object| object.key.clone()).collect();
        staged.into_iter().try_for_each(&mut *found)?;
        let mut others = |object: ListedObject| if known.contains(&object.key) { Ok(()) } else { found(object) };
        self.behind.list(prefix, &mut others).await
    }
}

impl ObjectStore for StagedStore {
    fn put<'a>(&'a self, key: &'a str, segments: Vec<Bytes>) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(self.shared.put(key, segments))
    }

    fn put_through<'a>(&'a self, key: &'a str, segments: Vec<Bytes>) -> BoxFuture<'a, StoreResult<()>> {
        self.shared.behind.put(key, segments)
    }

    fn get<'a>(&'a self, key: &'a str, range: Range<u64>) -> BoxFuture<'a, StoreResult<Bytes>> {
        Box::pin(self.shared.read(key, move |store| store.get(key, range.clone())))
    }

    fn get_whole<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Bytes>> {
        Box::pin(self.shared.read(key, move |store| store.get_whole(key)))
    }

    fn sync<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            // What is in the folder is durable, and what leaves it was synced behind.
            let others: Vec<String> = {
                let objects = self.shared.objects();
                keys.iter().filter(|key| !objects.holds(key)).cloned().collect()
            };
            if others.is_empty() { Ok(()) } else { self.shared.behind.sync(&others).await }
        })
    }

    fn sync_all(&self) -> BoxFuture<'_, StoreResult<()>> {
        self.shared.behind.sync_all()
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(self.shared.delete(key))
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        found: &'a mut (dyn FnMut(ListedObject) -> StoreResult<()> + Send),
    ) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(self.shared.list(prefix, found))
    }

    fn remove_temporaries(&self, older_than: SystemTime) -> BoxFuture<'_, StoreResult<u64>> {
        Box::pin(async move {
            let staged = self.shared.disk.remove_temporaries(older_than).await?;
            Ok(staged + self.shared.behind.remove_temporaries(older_than).await?)
        })
    }

    fn remove_empty_folders<'a>(&'a self, folder: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        self.shared.behind.remove_empty_folders(folder)
    }

    fn figures(&self) -> Option<Figures> {
        self.shared.behind.figures()
    }
}

#[cfg(test)]
mod tests;
