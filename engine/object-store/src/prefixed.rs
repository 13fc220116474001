//! A part of a store as a store of its own: all keys below one prefix.

use crate::{BoxFuture, Figures, ListedObject, ObjectStore, StoreResult};
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;

pub struct PrefixedStore {
    inner: Arc<dyn ObjectStore>,
    prefix: String,
}

impl PrefixedStore {
    /// The prefix ends with a slash.
    pub fn new(inner: Arc<dyn ObjectStore>, prefix: String) -> Self {
        assert!(prefix.ends_with('/'), "a prefix is a folder");
        PrefixedStore { inner, prefix }
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }
}

impl ObjectStore for PrefixedStore {
    fn put<'a>(&'a self, key: &'a str, segments: Vec<Bytes>) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move { self.inner.put(&self.key(key), segments).await })
    }

    fn get<'a>(&'a self, key: &'a str, range: Range<u64>) -> BoxFuture<'a, StoreResult<Bytes>> {
        Box::pin(async move { self.inner.get(&self.key(key), range).await })
    }

    fn get_whole<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Bytes>> {
        Box::pin(async move { self.inner.get_whole(&self.key(key)).await })
    }

    fn sync<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            let keys: Vec<String> = keys.iter().map(|key| self.key(key)).collect();
            self.inner.sync(&keys).await
        })
    }

    fn sync_all(&self) -> BoxFuture<'_, StoreResult<()>> {
        self.inner.sync_all()
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move { self.inner.delete(&self.key(key)).await })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        found: &'a mut (dyn FnMut(ListedObject) -> StoreResult<()> + Send),
    ) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            let mut strip = |object: ListedObject| match object.key.strip_prefix(&self.prefix) {
                Some(key) => found(ListedObject { key: key.to_string(), ..object }),
                None => Ok(()),
            };
            self.inner.list(&self.key(prefix), &mut strip).await
        })
    }

    fn figures(&self) -> Option<Figures> {
        self.inner.figures()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OpendalStore;
    use crate::contract::Subject;

    fn subject() -> Subject {
        let memory: Arc<dyn ObjectStore> = Arc::new(OpendalStore::memory().unwrap());
        let beside = PrefixedStore::new(memory.clone(), "b/".into());
        futures_util::FutureExt::now_or_never(beside.put("v/1", vec![Bytes::from_static(b"of another")]));
        Subject::new(Arc::new(PrefixedStore::new(memory, "a/".into())))
    }

    crate::contract_tests!(subject());
}
