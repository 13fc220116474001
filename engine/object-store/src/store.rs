//! The trait every store implements.

use crate::{Figures, StoreResult};
use bytes::Bytes;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::time::SystemTime;

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Runs on a tokio runtime. Dropping a future cancels what has not happened yet.
pub trait ObjectStore: Send + Sync + 'static {
    /// Stores the segments, one after the other, as one object: whole or not at all, also when this process is killed
    /// half-way. It is in the kernel's (or the service's) hands when this returns; `sync` makes it survive power loss.
    /// `Exists` when the key is taken.
    fn put<'a>(&'a self, key: &'a str, segments: Vec<Bytes>) -> BoxFuture<'a, StoreResult<()>>;

    /// As `put`, past whatever keeps objects back for a while: for bytes that must not become less safe than they are.
    fn put_through<'a>(&'a self, key: &'a str, segments: Vec<Bytes>) -> BoxFuture<'a, StoreResult<()>> {
        self.put(key, segments)
    }

    /// Exactly the bytes of `range`; an object that is shorter is an error, never a short answer.
    fn get<'a>(&'a self, key: &'a str, range: Range<u64>) -> BoxFuture<'a, StoreResult<Bytes>>;

    /// All bytes of an object, for readers who cannot know how many there are.
    fn get_whole<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Bytes>>;

    /// Makes objects that were put survive power loss.
    fn sync<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, StoreResult<()>>;

    /// The same for everything that was put so far, by whomever.
    fn sync_all(&self) -> BoxFuture<'_, StoreResult<()>>;

    /// `NotFound` where there is nothing to delete, if the store can tell.
    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>>;

    /// Calls `found` for each object whose key begins with `prefix`, in no particular order. An error of `found` ends it.
    fn list<'a>(
        &'a self,
        prefix: &'a str,
        found: &'a mut (dyn FnMut(ListedObject) -> StoreResult<()> + Send),
    ) -> BoxFuture<'a, StoreResult<()>>;

    /// Removes what puts left that were killed half-way: temporary objects last changed before `older_than`. Gives back
    /// how many. A put in flight, also another process's, is younger than any sensible grace time.
    fn remove_temporaries(&self, _older_than: SystemTime) -> BoxFuture<'_, StoreResult<u64>> {
        Box::pin(async { Ok(0) })
    }

    /// Removes the folder of this name with those below it, where a store has such a thing as folders. No object may be
    /// there any more.
    fn remove_empty_folders<'a>(&'a self, _folder: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async { Ok(()) })
    }

    /// What was asked of the store itself, where somebody counts.
    fn figures(&self) -> Option<Figures> {
        None
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedObject {
    pub key: String,
    pub bytes: u64,
    /// Where the store tells.
    pub modified: Option<SystemTime>,
}

/// The methods of a store around `self.inner` that is about puts, gets and deletions alone.
macro_rules! forward_the_rest {
    () => {
        fn sync<'a>(&'a self, keys: &'a [String]) -> $crate::BoxFuture<'a, $crate::StoreResult<()>> {
            self.inner.sync(keys)
        }

        fn sync_all(&self) -> $crate::BoxFuture<'_, $crate::StoreResult<()>> {
            self.inner.sync_all()
        }

        fn list<'a>(
            &'a self,
            prefix: &'a str,
            found: &'a mut (dyn FnMut($crate::ListedObject) -> $crate::StoreResult<()> + Send),
        ) -> $crate::BoxFuture<'a, $crate::StoreResult<()>> {
            self.inner.list(prefix, found)
        }

        fn remove_temporaries(
            &self,
            older_than: std::time::SystemTime,
        ) -> $crate::BoxFuture<'_, $crate::StoreResult<u64>> {
            self.inner.remove_temporaries(older_than)
        }

        fn remove_empty_folders<'a>(&'a self, folder: &'a str) -> $crate::BoxFuture<'a, $crate::StoreResult<()>> {
            self.inner.remove_empty_folders(folder)
        }
    };
}
pub(crate) use forward_the_rest;
