//! Objects: put once, read by ranges, deleted, listed. Over a local folder with a put path of our own, and over opendal
//! for all else.
//!
//! A program opens a store with [`open`] and may wrap it: [`RetryingStore`] outside of [`FaultyStore`] outside of what
//! the URL names. Whatever the wrapping, [`contract`] holds.
//!
//! Relies on keys from [`naming`]. Never looks inside an object, never overwrites one.

// In tests a failed unwrap is a failed test, which is what it is for.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod chance;
pub mod contract;
mod error;
mod faulty;
mod fs_store;
pub mod naming;
mod opendal_store;
mod retrying;
mod store;
mod url;

pub use error::{StoreError, StoreResult};
pub use faulty::{FaultyStore, Injected};
pub use fs_store::FsStore;
pub use opendal_store::OpendalStore;
pub use retrying::RetryingStore;
pub use store::{BoxFuture, ListedObject, ObjectStore};
pub use url::open;
