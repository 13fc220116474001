//! Where a volume's objects are, for commands: the storage URL understood, and the asynchronous store behind blocking
//! calls. The only place that knows object stores by name.
//!
//! Which volume a folder belongs to is `claim.rs`.

use crate::claim;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::meta_url::MetaUrl;
use bytes::Bytes;
use shoal_object_store::{FsStore, ListedObject, ObjectStore, StoreResult, naming};
use shoal_types::{ObjectId, VolumeSettings};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use tokio::runtime::Runtime;
use tokio::task::{JoinSet, spawn_blocking};

/// A storage URL that this build understands. Nothing has been touched yet.
pub struct Storage {
    folder: PathBuf,
    settings: VolumeSettings,
}

/// The open store of one volume.
pub struct Objects {
    pub url: String,
    folder: PathBuf,
    volume: String,
    store: Arc<FsStore>,
    runtime: Runtime,
}

const SUPPORTED: &str = "file:///FOLDER";
const DELETED_AT_ONCE: usize = 16;

impl Storage {
    /// Refuses a URL of another kind by its name.
    pub fn of(settings: &VolumeSettings) -> Outcome<Self> {
        Ok(Storage { folder: folder_of(&settings.storage)?, settings: settings.clone() })
    }

    /// Makes the folder and puts the volume's name into it. Refuses one that is in use.
    pub fn claim(&self, url: &MetaUrl) -> Outcome<()> {
        claim::lay(&self.folder, &self.settings, url)
    }

    /// Also where there is no claim.
    pub fn withdraw_claim(&self) -> Outcome<()> {
        claim::withdraw(&self.folder, &self.settings)
    }

    /// Opens what the volume has claimed. A folder without the claim is somebody else's, or a disk that is not mounted:
    /// taking it for an empty store would make every file look lost.
    pub fn open(&self) -> Outcome<Objects> {
        claim::check(&self.folder, &self.settings)?;
        self.open_unclaimed()
    }

    /// For `destroy`, which may have removed the claim before it was interrupted. Never makes the folder.
    pub fn open_remains(&self) -> Outcome<Option<Objects>> {
        match fs::metadata(&self.folder) {
            Ok(_) => self.open_unclaimed().map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::of_io(&self.folder, "looking for the objects", &error)),
        }
    }

    fn open_unclaimed(&self) -> Outcome<Objects> {
        let url = &self.settings.storage;
        let store = FsStore::open(&self.folder).map_err(|error| Failure::of_objects(url, &error))?;
        // The store works on the blocking threads of this runtime; it starts them when it needs them.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|error| Failure::of_io(&self.folder, "starting a runtime for the object store", &error))?;
        let (url, volume) = (url.clone(), self.settings.uuid.clone());
        Ok(Objects { url, folder: self.folder.clone(), volume, store: Arc::new(store), runtime })
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.settings.storage)
    }
}

impl Objects {
    pub fn store(&self) -> Arc<FsStore> {
        self.store.clone()
    }

    pub fn key(&self, object: ObjectId) -> String {
        naming::object_key(&self.volume, object)
    }

    /// The volume's objects, in no particular order. What lies among them and is none has no number.
    pub fn list(&self, mut found: impl FnMut(Option<ObjectId>, ListedObject) + Send) -> Outcome<()> {
        let prefix = naming::objects_prefix(&self.volume);
        let mut each = |listed: ListedObject| {
            found(naming::parse_key(&self.volume, &listed.key), listed);
            Ok(())
        };
        self.runtime
            .block_on(self.store.list(&prefix, &mut each))
            .map_err(|error| Failure::of_objects(&self.url, &error))
    }

    pub fn exists(&self, object: ObjectId) -> Outcome<bool> {
        match self.runtime.block_on(self.store.get(&self.key(object), 0..0)) {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(Failure::of_objects(&self.url, &error)),
        }
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

    /// Removes the empty folders that are left of a volume.
    pub fn remove_folders(&self) -> Outcome<()> {
        remove_empty(&self.folder.join(&self.volume))?;
        match fs::remove_dir(&self.folder) {
            // It held other things before, or is a mount point: then it stays.
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// Removes a tree of folders that holds nothing else. Missing is as good.
fn remove_empty(folder: &Path) -> Outcome<()> {
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

fn folder_of(url: &str) -> Outcome<PathBuf> {
    let Some((scheme, rest)) = url.split_once("://") else {
        let cure = match url.starts_with('/') {
            true => format!("write file://{url}"),
            false => format!("write {SUPPORTED} with the full path of the folder"),
        };
        return Err(Failure::usage(format_args!("--storage {url}: this is no storage URL; {cure}")));
    };
    match scheme {
        "file" if rest.starts_with('/') && rest.len() > 1 && !rest.contains('\0') => Ok(PathBuf::from(rest)),
        "file" => Err(Failure::usage(format_args!(
            "--storage {url}: the path of the folder must be a full one; write {SUPPORTED}, for example file:///srv/objects"
        ))),
        // The rest may hold a password.
        _ => Err(Failure::usage(format_args!(
            "--storage {scheme}://…: storage of the kind '{scheme}' is not supported by this build; it knows {SUPPORTED}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_of_another_kind_is_refused_by_name_and_without_its_password() {
        assert_eq!(folder_of("file:///srv/a b").unwrap(), Path::new("/srv/a b"));
        let refusal = |url: &str| folder_of(url).unwrap_err().to_string();
        let other = refusal("s3://key:secret@bucket");
        assert!(other.contains("'s3'") && other.contains(SUPPORTED) && !other.contains("secret"), "{other}");
        assert!(refusal("objects").contains("file:///FOLDER"));
        assert!(refusal("/srv/objects").contains("write file:///srv/objects"));
        for relative in ["file://srv", "file:///", "file://"] {
            assert!(refusal(relative).contains("full one"), "{relative}");
        }
    }
}
