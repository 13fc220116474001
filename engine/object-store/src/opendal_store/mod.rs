//! Objects over an opendal operator: every service that is not a local folder, and memory for tests.
//!
//! Relies on the service to have made an object durable when it confirms it. Where the service has a conditional write, an
//! existing object is refused by the service itself. Elsewhere we look first, which is enough for objects whose numbers
//! are never used twice, but does not decide a race. Where an object can be seen while it is written, it is written under
//! another name and renamed.
//!
//! A store is for one runtime: connections that one has opened are of no use to another.

mod errors;

use crate::landing;
use crate::naming::{TEMPORARY_PREFIX, is_temporary};
use crate::{BoxFuture, ListedObject, ObjectStore, Secrets, StoreError, StoreResult};
use bytes::Bytes;
use errors::store_error;
use futures_util::TryStreamExt;
use opendal::{Buffer, Capability, Entry, Metadata, Operator};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

pub struct OpendalStore {
    operator: Operator,
    capability: Capability,
    writes: Writes,
    secrets: Secrets,
    /// With this, no two processes write under one temporary name.
    run: u64,
    writes_begun: AtomicU64,
}

/// How an object comes to its place, and what keeps it from taking another's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Writes {
    /// The service refuses to overwrite; one that cannot is `LookedFor`.
    Conditional,
    LookedFor,
    /// The same, and renamed when it is whole.
    Renamed,
}

impl OpendalStore {
    pub fn new(operator: Operator) -> Self {
        let capability = operator.info().capability();
        let writes = match capability.write_with_if_not_exists {
            true => Writes::Conditional,
            false => Writes::LookedFor,
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let run = (now.as_nanos() as u64) ^ (u64::from(std::process::id()) << 32);
        OpendalStore { operator, capability, writes, secrets: Secrets::default(), run, writes_begun: AtomicU64::new(0) }
    }

    pub(crate) fn with_writes(mut self, writes: Writes) -> Self {
        if writes != Writes::Conditional || self.capability.write_with_if_not_exists {
            self.writes = writes;
        }
        self
    }

    /// What is in none of its errors.
    pub(crate) fn hiding(mut self, secrets: Secrets) -> Self {
        self.secrets = secrets;
        self
    }

    /// A store in memory, gone with its last handle. For tests.
    pub fn memory() -> StoreResult<Self> {
        let operator = Operator::new(opendal::services::Memory::default());
        Ok(OpendalStore::new(operator.map_err(|error| store_error("memory", &error, &Secrets::default()))?))
    }

    fn failed(&self, key: &str, error: &opendal::Error) -> StoreError {
        store_error(key, error, &self.secrets)
    }

    async fn put_whole(&self, key: &str, content: Buffer) -> opendal::Result<()> {
        if self.writes == Writes::Conditional {
            return self.operator.write_with(key, content).if_not_exists(true).await.map(|_| ());
        }
        if self.operator.exists(key).await? {
            return Err(opendal::Error::new(opendal::ErrorKind::AlreadyExists, "looked before writing"));
        }
        if self.writes == Writes::LookedFor {
            return self.operator.write(key, content).await.map(|_| ());
        }
        let folder = key.rsplit_once('/').map_or("", |(folder, _)| folder);
        let number = self.writes_begun.fetch_add(1, Ordering::Relaxed);
        let temporary = format!("{folder}/{TEMPORARY_PREFIX}{:016x}-{number}", self.run);
        let moved = match self.operator.write(&temporary, content).await {
            Ok(_) => self.operator.rename(&temporary, key).await,
            Err(error) => Err(error),
        };
        if moved.is_err() {
            // If even this fails, garbage collection does it later; the first error is the one to report.
            let _ = self.operator.delete(&temporary).await;
        }
        moved
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> StoreResult<Bytes> {
        let Some(length) = range.end.checked_sub(range.start) else {
            return Err(StoreError::Other(format!("{key}: {range:?} is no range")));
        };
        // Many services cannot be asked for nothing; whether the object is there must be told all the same.
        let content = match length {
            0 => self.operator.stat(key).await.map(|_| Bytes::new()),
            _ => landing::read(&self.operator, key, range.clone(), Some(length as usize)).await,
        };
        let content = content.map_err(|error| self.failed(key, &error))?;
        if content.len() as u64 != length {
            let got = content.len();
            return Err(StoreError::Other(format!("{key}: damaged: {got} bytes came for {range:?}")));
        }
        Ok(content)
    }

    async fn list_all(
        &self,
        prefix: &str,
        found: &mut (dyn FnMut(ListedObject) -> StoreResult<()> + Send),
    ) -> StoreResult<()> {
        // Services list below a folder; the rest of the prefix is filtered here.
        let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let failed = |error: opendal::Error| self.failed(prefix, &error);
        let mut entries = self.operator.lister_with(&folder).recursive(true).await.map_err(failed)?;
        loop {
            let entry = match entries.try_next().await {
                Ok(Some(entry)) => entry,
                Ok(None) => return Ok(()),
                Err(error) if error.kind() == opendal::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(failed(error)),
            };
            let name = entry.path().rsplit('/').next().unwrap_or_default();
            if !entry.path().starts_with(prefix) || name.is_empty() || is_temporary(name) {
                continue;
            }
            if let Some(object) = self.listed(entry).await? {
                found(object)?;
            }
        }
    }

    async fn remove_left(&self, older_than: SystemTime) -> StoreResult<u64> {
        let mut removed = 0;
        let failed = |error: opendal::Error| self.failed("unfinished puts", &error);
        let mut entries = self.operator.lister_with("").recursive(true).await.map_err(failed)?;
        while let Some(entry) = entries.try_next().await.map_err(failed)? {
            let name = entry.path().rsplit('/').next().unwrap_or_default();
            let modified = entry.metadata().last_modified().map(SystemTime::from);
            if is_temporary(name) && modified.is_some_and(|modified| modified < older_than) {
                self.operator.delete(entry.path()).await.map_err(failed)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    async fn remove_folders(&self, folder: &str) -> opendal::Result<()> {
        let top = format!("{}/", folder.trim_end_matches('/'));
        let mut folders = vec![top.clone()];
        let mut entries = self.operator.lister_with(&top).recursive(true).await?;
        while let Some(entry) = entries.try_next().await? {
            match entry.path().ends_with('/') {
                true => folders.push(entry.path().to_string()),
                false => return Err(opendal::Error::new(opendal::ErrorKind::Unexpected, "there is an object in it")),
            }
        }
        // What lies within comes before what it lies in.
        folders.sort_unstable_by(|one, other| other.cmp(one));
        folders.dedup();
        for folder in folders {
            match self.operator.delete(&folder).await {
                Err(error) if error.kind() != opendal::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// `None` if the object vanished meanwhile. Not every service tells lengths in its listing: they are zero there.
    async fn listed(&self, entry: Entry) -> StoreResult<Option<ListedObject>> {
        let (key, metadata) = entry.into_parts();
        if metadata.content_length() > 0 {
            return Ok(Some(described(key, &metadata)));
        }
        match self.operator.stat(&key).await {
            Ok(metadata) => Ok(Some(described(key, &metadata))),
            Err(error) if error.kind() == opendal::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed(&key, &error)),
        }
    }
}

fn described(key: String, metadata: &Metadata) -> ListedObject {
    ListedObject { key, bytes: metadata.content_length(), modified: metadata.last_modified().map(SystemTime::from) }
}

impl ObjectStore for OpendalStore {
    fn put<'a>(&'a self, key: &'a str, segments: Vec<Bytes>) -> BoxFuture<'a, StoreResult<()>> {
        // opendal takes an empty part in the middle for one that has yet to come, and asks for ever.
        let content: Buffer = segments.into_iter().filter(|segment| !segment.is_empty()).collect();
        Box::pin(async move { self.put_whole(key, content).await.map_err(|error| self.failed(key, &error)) })
    }

    fn get<'a>(&'a self, key: &'a str, range: Range<u64>) -> BoxFuture<'a, StoreResult<Bytes>> {
        Box::pin(self.get_range(key, range))
    }

    fn get_whole<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Bytes>> {
        Box::pin(
            async move { landing::read(&self.operator, key, .., None).await.map_err(|error| self.failed(key, &error)) },
        )
    }

    /// Nothing to do: a service confirms a put when it is durable.
    fn sync<'a>(&'a self, _keys: &'a [String]) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async { Ok(()) })
    }

    fn sync_all(&self) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async { Ok(()) })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move { self.operator.delete(key).await.map_err(|error| self.failed(key, &error)) })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        found: &'a mut (dyn FnMut(ListedObject) -> StoreResult<()> + Send),
    ) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(self.list_all(prefix, found))
    }

    fn remove_temporaries(&self, older_than: SystemTime) -> BoxFuture<'_, StoreResult<u64>> {
        Box::pin(async move {
            match self.writes {
                Writes::Renamed => self.remove_left(older_than).await,
                Writes::Conditional | Writes::LookedFor => Ok(0),
            }
        })
    }

    fn remove_empty_folders<'a>(&'a self, folder: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            match self.capability.create_dir {
                true => self.remove_folders(folder).await.map_err(|error| self.failed(folder, &error)),
                false => Ok(()),
            }
        })
    }
}

#[cfg(test)]
mod tests;
