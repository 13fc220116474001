//! The thread that moves objects from the folder to the store behind.

use super::Shared;
use crate::{ListedObject, ObjectStore, StoreError, StoreResult};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, oneshot};

/// It ends with this; what it hasn't moved stays in the folder.
pub(super) struct Uploader {
    ended: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Uploader {
    pub fn start(shared: Arc<Shared>, store: Arc<dyn ObjectStore>) -> StoreResult<Self> {
        let failed = |error: std::io::Error| StoreError::Other(format!("starting the uploader: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(UPLOADS_AT_ONCE)
            .enable_all()
            .build()
            .map_err(failed)?;
        let (sender, end) = oneshot::channel();
        let (adopted_to, adopted) = mpsc::sync_channel(1);
        let work = move || {
            let result = runtime.block_on(adopt(&shared));
            let goes_on = result.is_ok();
            // Whoever started this waits for it.
            let _ = adopted_to.send(result);
            if goes_on {
                run(&runtime, shared, store, end);
            }
        };
        let thread = std::thread::Builder::new().name("uploader".into()).spawn(work).map_err(failed)?;
        let uploader = Uploader { ended: Some(sender), thread: Some(thread) };
        adopted.recv().unwrap_or_else(|_| Err(StoreError::Other("the uploader has ended".into())))?;
        Ok(uploader)
    }

    /// Only a panic ends it before its time.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Uploader {
    fn drop(&mut self) {
        drop(self.ended.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the uploader has panicked");
        }
    }
}

/// Takes over what is in the folder, in the order in which it came there.
async fn adopt(shared: &Shared) -> StoreResult<()> {
    let mut found: Vec<ListedObject> = Vec::new();
    let mut note = |object| {
        found.push(object);
        Ok(())
    };
    shared.disk.list("", &mut note).await?;
    found.sort_by_key(|object| object.modified.unwrap_or(SystemTime::UNIX_EPOCH));
    if let Some(bytes) = (!found.is_empty()).then(|| found.iter().map(|object| object.bytes).sum::<u64>()) {
        tracing::info!(objects = found.len(), bytes, "an earlier mount has left objects that are uploaded now");
    }
    let mut objects = shared.objects();
    found.into_iter().for_each(|object| objects.adopt(object.key, object.bytes));
    Ok(())
}

fn run(runtime: &Runtime, shared: Arc<Shared>, store: Arc<dyn ObjectStore>, end: oneshot::Receiver<()>) {
    let work = async {
        tokio::select! {
            () = upload_all(shared, store) => {}
            _ = end => {}
        }
    };
    runtime.block_on(work);
}

/// For ever.
async fn upload_all(shared: Arc<Shared>, store: Arc<dyn ObjectStore>) {
    let permits = Arc::new(Semaphore::new(UPLOADS_AT_ONCE));
    let mut changes = shared.changed.subscribe();
    loop {
        let permit = permits.clone().acquire_owned().await.expect("it's never closed");
        // A statement of its own, so that the lock isn't held while there is nothing to do.
        let next = shared.objects().take();
        let Some(key) = next else {
            drop(permit);
            if changes.changed().await.is_err() {
                return;
            }
            continue;
        };
        let (shared, store) = (shared.clone(), store.clone());
        tokio::spawn(async move {
            upload(&shared, &*store, &key).await;
            drop(permit);
        });
    }
}

/// Tries until it has succeeded or the object is unwanted.
async fn upload(shared: &Shared, store: &dyn ObjectStore, key: &str) {
    let mut pause = PAUSE_MIN;
    loop {
        let error = match move_on(shared, store, key).await {
            Ok(()) => return,
            Err(error) => error,
        };
        tracing::warn!(%error, key, "a staged object could not be uploaded");
        if !shared.objects().failed(key, error.to_string()) {
            return drop_unwanted(shared, store, key).await;
        }
        shared.tell();
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
        if !shared.objects().take_again(key) {
            return;
        }
    }
}

async fn move_on(shared: &Shared, store: &dyn ObjectStore, key: &str) -> StoreResult<()> {
    let content = shared.disk.get_whole(key).await?;
    match store.put(key, vec![content]).await {
        // An earlier try has stored it after all.
        Ok(()) | Err(StoreError::Exists(_)) => {}
        Err(error) => return Err(error),
    }
    store.sync(&[key.to_owned()]).await?;
    let wanted = shared.objects().uploaded(key);
    match wanted {
        true => leave(shared, key).await,
        false => drop_unwanted(shared, store, key).await,
    }
    Ok(())
}

/// It was deleted while it was on its way, and whoever did that waits.
async fn drop_unwanted(shared: &Shared, store: &dyn ObjectStore, key: &str) {
    match store.delete(key).await {
        Ok(()) | Err(StoreError::NotFound(_)) => {}
        // Who deletes it tries by itself, with the store behind.
        Err(error) => tracing::warn!(%error, key, "a deleted object could not be taken out of the store"),
    }
    leave(shared, key).await;
}

/// The folder is done with it.
async fn leave(shared: &Shared, key: &str) {
    if let Err(error) = shared.disk.delete(key).await {
        // The next mount uploads it again, which changes nothing.
        tracing::warn!(%error, key, "a staged object that has been uploaded could not be removed");
    }
    shared.objects().remove(key);
    shared.tell();
}

/// Each has an object in memory.
const UPLOADS_AT_ONCE: usize = 8;
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(30);
