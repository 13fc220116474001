//! Where a volume's objects are, for commands: the storage URL understood, and the asynchronous store behind blocking
//! calls. The only place that opens object stores.
//!
//! Which volume a place belongs to is `claim.rs` for a folder and `claim_object.rs` for all else; what opens a store is
//! `storage_secrets.rs`.

use crate::claim;
use crate::claim_object;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::meta_url::MetaUrl;
use crate::storage_secrets::Source;
use crate::volume::Opened;
use bytes::Bytes;
use shoal_object_store::{
    ListedObject, ObjectStore, RenewedStore, RetryingStore, Secrets, StorageUrl, StoreResult, naming,
};
use shoal_types::{ObjectId, VolumeSettings};
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use tokio::runtime::Runtime;
use tokio::task::{JoinSet, spawn_blocking};

/// A storage URL that this build understands, and what opens it. Nothing has been touched yet.
pub struct Storage {
    url: StorageUrl,
    source: Source,
    /// As the source has said them.
    secrets: Secrets,
    settings: VolumeSettings,
}

/// The open store of one volume.
pub struct Objects {
    pub url: String,
    storage: StorageUrl,
    volume: String,
    store: Arc<dyn ObjectStore>,
    runtime: Runtime,
}

const DELETED_AT_ONCE: usize = 16;

impl Storage {
    /// Refuses a URL of another kind by its name.
    pub fn of(opened: &Opened) -> Outcome<Self> {
        let url = parse(&opened.settings.storage)?;
        let source = Source::volume(opened, url.service())?;
        Self::with(url, source, &opened.settings)
    }

    /// Of a volume that is yet to be made.
    pub fn for_format(settings: &VolumeSettings) -> Outcome<Self> {
        let url = parse(&settings.storage)?;
        let service = url.service();
        if service.read_only || service.is_volatile() {
            let why = if service.read_only { "nothing can be put there" } else { "it would be gone at once" };
            return Err(Failure::usage(format_args!("--storage {url}: {why}; shoal storages lists the others")));
        }
        Self::with(url, Source::environment(service)?, settings)
    }

    /// Another place of the same objects.
    pub fn elsewhere(opened: &Opened, place: &str) -> Outcome<Self> {
        let url = parse(place)?;
        // Secrets that are sealed were for the place that format was told.
        let source = Source::environment(url.service())?;
        Self::with(url, source, &opened.settings)
    }

    /// By what the environment says alone.
    pub fn by_environment(opened: &Opened) -> Outcome<Self> {
        Self::elsewhere(opened, &opened.settings.storage)
    }

    fn with(url: StorageUrl, source: Source, settings: &VolumeSettings) -> Outcome<Self> {
        let secrets = source.read()?;
        Ok(Storage { url, source, secrets, settings: settings.clone() })
    }

    pub fn is_read_only(&self) -> bool {
        self.url.service().read_only
    }

    pub fn is_folder(&self) -> bool {
        self.url.folder().is_some()
    }

    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Puts the volume's name into it, and makes it if it is a folder. Refuses a place that is in use.
    pub fn claim(&self, url: &MetaUrl) -> Outcome<()> {
        match self.url.folder() {
            Some(folder) => claim::lay(folder, &self.settings, url),
            None => claim_object::lay(&self.connect()?, &self.settings, url),
        }
    }

    /// Also where there is no claim.
    pub fn withdraw_claim(&self) -> Outcome<()> {
        match self.url.folder() {
            Some(folder) => claim::withdraw(folder, &self.settings),
            None => claim_object::withdraw(&self.connect()?, &self.settings),
        }
    }

    /// Opens what the volume has claimed. A place without the claim is somebody else's, or a disk that is not mounted:
    /// taking it for an empty store would make every file look lost.
    pub fn open(&self) -> Outcome<Objects> {
        match self.url.folder() {
            Some(folder) => {
                claim::check(folder, &self.settings)?;
                self.connect()
            }
            None => {
                let objects = self.connect()?;
                claim_object::check(&objects, &self.settings)?;
                Ok(objects)
            }
        }
    }

    /// For `destroy`, which may have removed the claim before it was interrupted. Never makes a folder.
    pub fn open_remains(&self) -> Outcome<Option<Objects>> {
        let Some(folder) = self.url.folder() else { return self.connect().map(Some) };
        match fs::metadata(folder) {
            Ok(_) => self.connect().map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::of_io(folder, "looking for the objects", &error)),
        }
    }

    /// The store as it is, for a runtime of the caller's: what one runtime has connected is of no use to another.
    pub fn store(&self) -> Outcome<Arc<dyn ObjectStore>> {
        shoal_object_store::open(&self.url, &self.secrets).map_err(|error| Failure::of_objects(&self.url, &error))
    }

    /// The same for as long as a mount lives: it's opened anew when its secrets have changed.
    pub fn lasting_store(&self) -> Outcome<Arc<dyn ObjectStore>> {
        let store = self.store()?;
        if !self.source.may_change() {
            return Ok(store);
        }
        let (url, source) = (self.url.clone(), self.source.clone());
        let known = Mutex::new(self.secrets.clone());
        let look = move || {
            let found = source.read();
            let secrets = found.inspect_err(|failure| tracing::warn!("looking for new credentials: {failure}")).ok()?;
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            if secrets == *known {
                return None;
            }
            let opened = shoal_object_store::open(&url, &secrets);
            let store = opened.inspect_err(|error| tracing::warn!(%error, "the new credentials open nothing")).ok()?;
            *known = secrets;
            Some(store)
        };
        Ok(Arc::new(RenewedStore::new(store, Arc::new(look))))
    }

    /// For a command, whose single requests are tried again as those of a mount are.
    fn connect(&self) -> Outcome<Objects> {
        let runtime = start_runtime(&self.url)?;
        let store = match self.is_folder() {
            true => self.store()?,
            false => Arc::new(RetryingStore::new(self.store()?)),
        };
        let volume = self.settings.uuid.clone();
        Ok(Objects { url: self.url.to_string(), storage: self.url.clone(), volume, store, runtime })
    }
}

/// With a thread that keeps its connections alive between calls.
pub fn start_runtime(url: &StorageUrl) -> Outcome<Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.map_err(|error| Failure::new(Exit::Other, url, error, "raise the limits of this user (ulimit -a)"))
}

pub fn parse(url: &str) -> Outcome<StorageUrl> {
    StorageUrl::parse(url).map_err(|error| Failure::usage(format_args!("--storage {error}")))
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

impl Objects {
    pub fn key(&self, object: ObjectId) -> String {
        naming::object_key(&self.volume, object)
    }

    /// The volume's objects, in no particular order. What lies among them and is none has no number.
    pub fn list(&self, mut found: impl FnMut(Option<ObjectId>, ListedObject) + Send) -> Outcome<()> {
        let prefix = naming::objects_prefix(&self.volume);
        self.list_keys(&prefix, |listed| {
            found(naming::parse_key(&self.volume, &listed.key), listed);
            Ok(())
        })
        .map_err(|error| Failure::of_objects(&self.url, &error))
    }

    /// Everything whose key begins so. An error of `found` ends it.
    pub fn list_keys(
        &self,
        prefix: &str,
        mut found: impl FnMut(ListedObject) -> StoreResult<()> + Send,
    ) -> StoreResult<()> {
        self.runtime.block_on(self.store.list(prefix, &mut found))
    }

    /// The keys of all backups of the metadata.
    pub fn backups(&self) -> Outcome<Vec<String>> {
        let mut keys = Vec::new();
        let mut note = |listed: ListedObject| {
            keys.push(listed.key);
            Ok(())
        };
        self.runtime
            .block_on(self.store.list(&naming::backups_prefix(&self.volume), &mut note))
            .map_err(|error| Failure::of_objects(&self.url, &error))?;
        Ok(keys)
    }

    pub fn exists(&self, object: ObjectId) -> Outcome<bool> {
        match self.runtime.block_on(self.store.get(&self.key(object), 0..0)) {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(Failure::of_objects(&self.url, &error)),
        }
    }

    pub fn get_whole(&self, key: &str) -> StoreResult<Bytes> {
        self.runtime.block_on(self.store.get_whole(key))
    }

    pub fn put(&self, key: &str, content: Bytes) -> StoreResult<()> {
        self.runtime.block_on(self.store.put(key, vec![content]))
    }

    /// Reads whole objects, `at_once` of them at any time, and has `look` see each on a thread that may take its time.
    /// `done` is told what that has made of it, in no particular order.
    pub fn read_each<T: Send + 'static>(
        &self,
        wanted: impl IntoIterator<Item = ObjectId>,
        at_once: usize,
        look: impl Fn(ObjectId, StoreResult<Bytes>) -> T + Clone + Send + 'static,
        mut done: impl FnMut(T) -> Outcome<()>,
    ) -> Outcome<()> {
        let mut wanted = wanted.into_iter();
        self.runtime.block_on(async {
            let mut reading = JoinSet::new();
            loop {
                while reading.len() < at_once
                    && let Some(object) = wanted.next()
                {
                    let (store, key, look) = (self.store.clone(), self.key(object), look.clone());
                    reading.spawn(async move {
                        let read = store.get_whole(&key).await;
                        spawn_blocking(move || look(object, read)).await
                    });
                }
                match reading.join_next().await {
                    Some(looked) => done(looked.and_then(|looked| looked).expect("looking at an object never panics"))?,
                    None => return Ok(()),
                }
            }
        })
    }

    /// Deletes objects by their keys, some at a time; what is gone already is as good. Calls `done` after each.
    pub fn delete(&self, keys: &[String], mut done: impl FnMut()) -> Outcome<()> {
        let mut keys = keys.iter();
        self.runtime.block_on(async {
            let mut deleting = JoinSet::new();
            loop {
                while deleting.len() < DELETED_AT_ONCE
                    && let Some(key) = keys.next()
                {
                    let (store, key) = (self.store.clone(), key.clone());
                    deleting.spawn(async move { store.delete(&key).await });
                }
                match deleting.join_next().await.map(|deleted| deleted.expect("deleting an object never panics")) {
                    Some(Err(error)) if !error.is_not_found() => return Err(Failure::of_objects(&self.url, &error)),
                    Some(_) => done(),
                    None => return Ok(()),
                }
            }
        })
    }

    /// What puts that were killed half-way left behind, if it is older than this; how many there were.
    pub fn remove_temporaries(&self, older_than: SystemTime) -> Outcome<u64> {
        self.runtime
            .block_on(self.store.remove_temporaries(older_than))
            .map_err(|error| Failure::of_objects(&self.url, &error))
    }

    /// Removes the empty folders that are left of a volume, where there are folders.
    pub fn remove_folders(&self) -> Outcome<()> {
        let Some(folder) = self.storage.folder() else {
            let removed = self.runtime.block_on(self.store.remove_empty_folders(&self.volume));
            return removed.map_err(|error| Failure::of_objects(&self.url, &error));
        };
        remove_empty(&folder.join(&self.volume))?;
        match fs::remove_dir(folder) {
            // It held other things before, or is a mount point: then it stays.
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// Removes a tree of folders that holds nothing else. Missing is as good.
pub fn remove_empty(folder: &Path) -> Outcome<()> {
    let failed = |error: std::io::Error| Failure::of_io(folder, "removing the folder", &error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            remove_empty(&entry.path())?;
        }
    }
    match fs::remove_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => Err(Failure::new(
            Exit::InUse,
            folder.display(),
            "it holds files that are no objects of the volume",
            "look at them, remove them, and run the command again",
        )),
        result => result.map_err(failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_of_another_kind_is_refused_by_name_and_without_its_password() {
        let refusal = |url: &str| parse(url).unwrap_err().to_string();
        let other = refusal("nosuch://key:secret@bucket");
        assert!(other.starts_with("--storage nosuch://…") && other.contains("file://"), "{other}");
        assert!(!other.contains("secret"), "{other}");
        assert!(refusal("objects").contains("file://"));
        assert!(refusal("/srv/objects").contains("write file:///srv/objects"));
    }
}
