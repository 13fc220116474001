//! Objects over an opendal operator: every service that is not a local folder, and memory for tests.
//!
//! Relies on the service to show an object whole or not at all, and to have made it durable when it confirms it. Where
//! the service has a conditional write, an existing object is refused by the service itself. Elsewhere we look first,
//! which is enough for objects whose numbers are never used twice, but does not decide a race.

mod errors;

use crate::{BoxFuture, ListedObject, ObjectStore, StoreError, StoreResult};
use bytes::Bytes;
use errors::store_error;
use futures_util::TryStreamExt;
use opendal::{Buffer, Capability, Entry, Metadata, Operator};
use std::ops::Range;
use std::time::SystemTime;

pub struct OpendalStore {
    operator: Operator,
    capability: Capability,
}

impl OpendalStore {
    pub fn new(operator: Operator) -> Self {
        let capability = operator.info().capability();
        OpendalStore { operator, capability }
    }

    /// A store in memory, gone with its last handle. For tests.
    pub fn memory() -> StoreResult<Self> {
        let operator = Operator::new(opendal::services::Memory::default());
        Ok(OpendalStore::new(operator.map_err(|error| store_error("memory", &error))?))
    }

    async fn put_whole(&self, key: &str, content: Buffer) -> opendal::Result<()> {
        if self.capability.write_with_if_not_exists {
            return self.operator.write_with(key, content).if_not_exists(true).await.map(|_| ());
        }
        if self.operator.exists(key).await? {
            return Err(opendal::Error::new(opendal::ErrorKind::AlreadyExists, "looked before writing"));
        }
        self.operator.write(key, content).await.map(|_| ())
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> StoreResult<Bytes> {
        let Some(length) = range.end.checked_sub(range.start) else {
            return Err(StoreError::Other(format!("{key}: {range:?} is no range")));
        };
        // Many services cannot be asked for nothing; whether the object is there must be told all the same.
        let content = match length {
            0 => self.operator.stat(key).await.map(|_| Buffer::new()),
            _ => self.operator.read_with(key).range(range.clone()).await,
        };
        let content = content.map_err(|error| store_error(key, &error))?;
        if content.len() as u64 != length {
            let got = content.len();
            return Err(StoreError::Other(format!("{key}: damaged: {got} bytes came for {range:?}")));
        }
        Ok(content.to_bytes())
    }

    async fn list_all(
        &self,
        prefix: &str,
        found: &mut (dyn FnMut(ListedObject) -> StoreResult<()> + Send),
    ) -> StoreResult<()> {
        // Services list below a folder; the rest of the prefix is filtered here.
        let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let failed = |error: opendal::Error| store_error(prefix, &error);
        let mut entries = self.operator.lister_with(&folder).recursive(true).await.map_err(failed)?;
        loop {
            let entry = match entries.try_next().await {
                Ok(Some(entry)) => entry,
                Ok(None) => return Ok(()),
                Err(error) if error.kind() == opendal::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(failed(error)),
            };
            if !entry.path().starts_with(prefix) || entry.path().ends_with('/') {
                continue;
            }
            if let Some(object) = self.listed(entry).await? {
                found(object)?;
            }
        }
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
            Err(error) => Err(store_error(&key, &error)),
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
        Box::pin(async move { self.put_whole(key, content).await.map_err(|error| store_error(key, &error)) })
    }

    fn get<'a>(&'a self, key: &'a str, range: Range<u64>) -> BoxFuture<'a, StoreResult<Bytes>> {
        Box::pin(self.get_range(key, range))
    }

    fn get_whole<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Bytes>> {
        Box::pin(async move {
            let content = self.operator.read(key).await.map_err(|error| store_error(key, &error))?;
            Ok(content.to_bytes())
        })
    }

    /// Nothing to do: a service confirms a put when it is durable.
    fn sync<'a>(&'a self, _keys: &'a [String]) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async { Ok(()) })
    }

    fn sync_all(&self) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async { Ok(()) })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move { self.operator.delete(key).await.map_err(|error| store_error(key, &error)) })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        found: &'a mut (dyn FnMut(ListedObject) -> StoreResult<()> + Send),
    ) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(self.list_all(prefix, found))
    }
}

#[cfg(test)]
mod tests;
